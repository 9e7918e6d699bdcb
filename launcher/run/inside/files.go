package inside

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/device"
	"github.com/hpc3-project/hpc3/launcher/squashfs"
	"github.com/hpc3-project/hpc3/probe"
)

// Locate follows the image's symlinks in a path of the container. If that leads into a directory
// that something else is bound over, it stops there and returns that directory as well.
func (i Files) Locate(target string, over map[string]string) (at, dir string) {
	todo := strings.Split(target, "/")
	for links := 0; len(todo) > 0 && links <= maxLinks; {
		next := path.Join("/", at, todo[0]) // "." and ".." are taken out
		todo = todo[1:]
		if _, bound := over[next]; bound {
			dir, at = next, path.Join(next, path.Join(todo...))
			for longer := range over { // a bind below the bind
				if len(longer) > len(dir) && Within(at, longer) {
					dir = longer
				}
			}
			return at, dir
		}
		link, err := i.readlink(next)
		if err != nil { // no symlink, or nothing there
			at = next
			continue
		}
		if links++; path.IsAbs(link) {
			at = ""
		}
		todo = append(strings.Split(link, "/"), todo...)
	}
	return at, ""
}

// Regular tells whether the image has a regular file at a path. A symlink to one does not count.
func (i Files) Regular(file string) bool {
	_, notLink := i.readlink(file)
	kind, there := i.Mode(file)
	return there && notLink != nil && kind == unix.S_IFREG
}

// Mode returns the file type (S_IFMT) of a file of the image. Symlinks are followed.
func (i Files) Mode(file string) (kind uint32, there bool) {
	if i.FS == nil {
		return 0, false
	}
	ref, err := i.FS.Resolve(file)
	if err != nil {
		return 0, false
	}
	a, err := i.FS.Stat(ref)
	return a.Mode & unix.S_IFMT, err == nil
}

// Interpreted tells whether a file names no interpreter, or one that the image has.
func (i Files) Interpreted(file string) bool {
	ref, err := i.FS.Resolve(file)
	if err != nil {
		return false
	}
	head := make([]byte, 256)
	n, _ := i.FS.ReadAt(ref, head, 0) // Apptainer refuses a file that cannot be read
	line, script := strings.CutPrefix(string(head[:n]), "#!")
	if !script {
		return true
	}
	line, _, _ = strings.Cut(line, "\n")
	words := strings.Fields(line)
	return len(words) > 0 && Executable(i.FS, words[0])
}

// Files holds what was read from the SIF before the start. The zero value stands for an image that
// could not be read.
type Files struct {
	Known bool
	FS    *squashfs.FS // stays open until exec
	File  *os.File     // the SIF that FS reads
	bash  string       // "" if there is none
	sh    string
	lacks []string // requested locales that the image lacks
}

// Bare tells whether the image is known to have no shell.
func (i Files) Bare() bool { return i.Known && i.sh == "" && i.bash == "" }

// Shell returns the shell for the user database and for SHELL.
func (i Files) Shell() string {
	if i.bash != "" {
		return i.bash
	}
	return "/bin/sh"
}

// AnyShell returns the shell that runs our scripts. The image must have one.
func (i Files) AnyShell() string {
	if i.Known && i.sh == "" {
		return i.bash
	}
	return "/bin/sh"
}

// Has tells whether the image has something at a path.
func (i Files) Has(path string) bool {
	_, there := i.Mode(path)
	return there
}

// Read returns the content of a file of the image; nil if there is none, or if it is larger than
// limit.
func (i Files) Read(path string, limit int64) []byte {
	if i.FS == nil {
		return nil
	}
	ref, err := i.FS.Resolve(path)
	if err != nil {
		return nil
	}
	a, err := i.FS.Stat(ref)
	if err != nil || a.Mode&unix.S_IFMT != unix.S_IFREG || int64(a.Size) > limit {
		return nil
	}
	raw := make([]byte, a.Size)
	if _, err := i.FS.ReadAt(ref, raw, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil
	}
	return raw
}

// libc finds the C library of the image's programs.
func (i Files) libc() device.Libc {
	var found device.Libc
	if i.FS == nil {
		return found
	}
	for _, dir := range probe.LibraryDirs(runtime.GOARCH) {
		dir = "/" + dir
		if ref, err := i.FS.Resolve(dir + "/libc.so.6"); err == nil {
			minor, err := probe.GlibcDefined(fileIn{i.FS, ref}, runtime.GOARCH)
			if err == nil {
				return device.Libc{Dir: dir, Minor: minor}
			}
		}
		found.Musl = found.Musl || hasMusl(i.FS, dir)
	}
	return found
}

// names returns the names in a directory of the image, nothing if there is none.
func (i Files) names(dir string) []string {
	if kind, _ := i.Mode(dir); kind != unix.S_IFDIR {
		return nil
	}
	ref, err := i.FS.Resolve(dir)
	if err != nil {
		return nil
	}
	entries, err := i.FS.ReadDir(ref)
	if err != nil {
		return nil // CheckImage reports damage
	}
	names := make([]string, len(entries))
	for at, e := range entries {
		names[at] = e.Name
	}
	return names
}

// open returns a regular file of the image for reading; nil if there is none. A symlink to one does
// not count.
func (i Files) open(file string) io.ReaderAt {
	if !i.Regular(file) {
		return nil
	}
	ref, err := i.FS.Resolve(file)
	if err != nil {
		return nil
	}
	return fileIn{i.FS, ref}
}

// fileIn is a file of an image.
type fileIn struct {
	img *squashfs.FS
	ref squashfs.Ref
}

func (f fileIn) ReadAt(p []byte, off int64) (int, error) { return f.img.ReadAt(f.ref, p, off) }

// Executable tells whether an image has a program at a path.
func Executable(img *squashfs.FS, path string) bool {
	ref, err := img.Resolve(path)
	if err != nil {
		return false
	}
	a, err := img.Stat(ref)
	return err == nil && a.Mode&unix.S_IFMT == unix.S_IFREG && a.Mode&0o111 != 0
}

// readlink reads a symlink of the image. An image that could not be read has no symlinks.
func (i Files) readlink(file string) (string, error) {
	if i.FS == nil {
		return "", fs.ErrNotExist
	}
	dir, err := i.FS.Resolve(path.Dir(file))
	if err != nil {
		return "", err
	}
	ref, err := i.FS.Lookup(dir, path.Base(file))
	if err != nil {
		return "", err
	}
	return i.FS.Readlink(ref)
}

// SharesTmp tells whether the image's /tmp and /var/tmp are the same directory. Apptainer then
// shows the node's /tmp at both.
func (i Files) SharesTmp() bool {
	if i.FS == nil {
		return false
	}
	tmp, _, err := Trace("/tmp", i.readlink)
	varTmp, _, err2 := Trace("/var/tmp", i.readlink)
	return err == nil && err2 == nil && tmp == varTmp
}

// LedInto tells whether the image's symlinks lead a path into one of these directories of the node,
// although the path itself is outside of it.
func (i Files) LedInto(target string, dirs []string) bool {
	if i.FS == nil || Within(target, "/tmp") {
		return false
	}
	if Within(target, "/var/tmp") {
		return i.SharesTmp()
	}
	rel, links, err := Trace(target, i.readlink)
	return err == nil && len(links) > 0 && LeadsInto(rel, target, dirs)
}
