package inside

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// Checksums says where a SIF holds the checksums of its file system. The zero value: it has none.
type Checksums struct{ Offset, Size int64 }

// Aside says what to do with a file of a cache that turns out to be damaged. The zero value is for
// files outside of caches.
type Aside struct {
	Name string // its new path, under which no start finds it
	Mark string // if it cannot be renamed: a file that is made to tell this user's starts
}

// MaxSums bounds the table of checksums in memory, which has 8 bytes for each piece. A file system
// of more than a terabyte is read without checks.
const MaxSums = 128 << 20

// OpenImage opens the SquashFS in a SIF.
func OpenImage(sif *os.File, offset int64, sums Checksums) (*squashfs.FS, error) {
	in := fileFrom{sif, offset}
	if sums.Size <= 0 || sums.Size > MaxSums {
		return squashfs.Open(in)
	}
	raw := make([]byte, sums.Size)
	if _, err := sif.ReadAt(raw, sums.Offset); err != nil {
		return nil, err
	}
	table, err := squashfs.ParseSums(raw)
	if err != nil {
		return nil, err
	}
	return squashfs.OpenChecked(in, table)
}

// fileFrom is a file from an offset on.
type fileFrom struct {
	f  *os.File
	at int64
}

func (r fileFrom) ReadAt(p []byte, off int64) (int, error) { return r.f.ReadAt(p, r.at+off) }

// Put sets a damaged file of a cache aside. gone tells whether the caller's next start no longer
// uses it, and hint what the user can do. If another file has replaced it meanwhile, that is left
// alone.
func (a Aside) Put(file string, sif *os.File) (hint string, gone bool) {
	var open, there unix.Stat_t
	err := unix.Fstat(int(sif.Fd()), &open)
	if err == nil {
		err = unix.Lstat(file, &there)
	}
	if err != nil || open.Ino != there.Ino || open.Dev != there.Dev {
		return "it is replaced already: start again", true
	}
	if os.Rename(file, a.Name) == nil {
		return "it is set aside as " + filepath.Base(a.Name) +
			": start again, and the image is made anew", true
	}
	if a.Mark == "" {
		return "remove it, and the next start makes the image anew", false
	}
	const tell = "tell who keeps this cache: hpc3 cache verify --repair"
	if a.leaveMark(file) != nil {
		return "you may not replace it; " + tell, false
	}
	return "you may not replace it, and your next start passes it over; " + tell, true
}

// errNotOwn refuses a cache in which other users could redirect a write.
var errNotOwn = errors.New("it is not the caller's alone")

// leaveMark makes the mark below the directory of the caller's cache. Owner and mode of that
// directory are checked on the open descriptor, so that a link in its place cannot redirect the
// write.
func (a Aside) leaveMark(file string) error {
	dir, name := filepath.Split(a.Mark)
	room := filepath.Base(dir)
	dir = filepath.Dir(filepath.Clean(dir))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	cache, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = cache.Close() }() // nothing was written through it
	info, err := cache.Stat(".")
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Uid != uint32(os.Geteuid()) || info.Mode().Perm()&0o022 != 0 {
		return errNotOwn
	}
	if err := cache.MkdirAll(room, 0o700); err != nil {
		return err
	}
	return cache.WriteFile(filepath.Join(room, name), []byte(file+"\n"), 0o600)
}

// DamagedImage returns the error about an image that cannot be read. A file of a cache is set
// aside, unless the fault is its file system's.
func DamagedImage(file string, sif *os.File, aside Aside, err error) *fault.Error {
	switch {
	case errors.Is(err, squashfs.ErrRead):
		return fault.New(fault.Engine, "reading the image in %s: %w", file, err).
			Hint("see whether its file system works")
	case aside.Name == "":
		return fault.New(fault.Engine, "the image in %s cannot be read: %w", file, err).
			Hint("make or fetch it anew")
	}
	hint, _ := aside.Put(file, sif)
	return fault.New(fault.Cache, "the image in %s cannot be read: %w", file, err).Hint("%s", hint)
}
