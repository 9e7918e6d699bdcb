package probe

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// openRecorded opens the directory of a recorded node, and nothing else: opening a FIFO would wait
// for its writer.
func openRecorded(dir string) (*os.Root, error) {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: dir, Err: syscall.ENOTDIR}
	}
	if err != nil {
		return nil, err
	}
	return os.OpenRoot(dir)
}

// recorded holds the files of a recorded node. A copy may have a FIFO or a device in place of a
// file; it is not opened.
type recorded struct{ fs.FS }

func (r recorded) Open(name string) (fs.File, error) {
	if info, err := fs.Stat(r.FS, name); err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		err := errors.New("it is neither a file nor a directory")
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return r.FS.Open(name)
}

// ReadLink returns where a symlink points.
func (r recorded) ReadLink(name string) (string, error) { return fs.ReadLink(r.FS, name) }

// Lstat describes the symlink itself.
func (r recorded) Lstat(name string) (fs.FileInfo, error) { return fs.Lstat(r.FS, name) }

// Stat describes what a name leads to, without opening it.
func (r recorded) Stat(name string) (fs.FileInfo, error) { return fs.Stat(r.FS, name) }
