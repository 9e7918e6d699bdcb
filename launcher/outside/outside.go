// Package outside opens the files that a user, a site or an image names. Such a name may lead to a
// FIFO that nobody writes into, a tape drive or a terminal: opening one may wait for ever, or do
// something to it. Open looks at what the name leads to first, and opens regular files only; Stream
// takes pipes as well, and can be interrupted.
package outside

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// KindError is in the chain where a name leads to something that is no regular file.
type KindError struct{ Kind string } // "a directory", "a named pipe"

func (e KindError) Error() string { return "it is " + e.Kind + ", and a regular file is wanted" }

// Reason returns the reason of a file's error without its path, which the sentence around it names already.
func Reason(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	var link *os.LinkError
	if errors.As(err, &link) {
		return link.Err
	}
	return err
}

// Open opens a regular file for reading. The null device is taken for an empty one. It cannot
// block, but for a file system that does not answer. Errors are *fs.PathError.
func Open(name string) (*os.File, error) {
	f, _, err := open(name, false)
	return f, err
}

// Read returns what is in a regular file of up to limit bytes. A larger one is an error.
func Read(name string, limit int64) ([]byte, error) {
	f, err := Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	return raw, err
}

// open looks at a name by a descriptor that opens nothing (O_PATH), and opens the very inode that
// was looked at.
func open(name string, pipe bool) (f *os.File, isPipe bool, err error) {
	at, err := again(func() (int, error) { return unix.Open(name, unix.O_PATH|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, false, failed(name, err)
	}
	defer unix.Close(at)
	var st unix.Stat_t
	if err := unix.Fstat(at, &st); err != nil {
		return nil, false, failed(name, err)
	}
	kind := kindOf(&st)
	isPipe = pipe && st.Mode&unix.S_IFMT == unix.S_IFIFO
	if kind != "" && !isPipe {
		return nil, false, failed(name, KindError{kind})
	}
	flags := unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NOCTTY
	if isPipe {
		flags |= unix.O_NONBLOCK // of a regular file it would be an error while a lease on it is broken
	}
	fd, err := again(func() (int, error) { return unix.Open("/proc/self/fd/"+strconv.Itoa(at), flags, 0) })
	if errors.Is(err, unix.ENOENT) { // there is no /proc
		fd, err = same(name, flags|unix.O_NONBLOCK, &st)
	}
	if err != nil {
		return nil, false, failed(name, err)
	}
	return os.NewFile(uintptr(fd), name), isPipe, nil
}

// same opens a name, and refuses another inode than the one that was looked at.
func same(name string, flags int, seen *unix.Stat_t) (int, error) {
	fd, err := again(func() (int, error) { return unix.Open(name, flags, 0) })
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && (st.Dev != seen.Dev || st.Ino != seen.Ino) {
		err = errors.New("it was replaced while it was opened")
	}
	if err != nil {
		_ = unix.Close(fd) // nothing was written
		return -1, err
	}
	return fd, nil
}

// again repeats a call that a signal interrupted: Go's own signals do.
func again(call func() (int, error)) (fd int, err error) {
	for {
		if fd, err = call(); !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

func failed(name string, err error) error { return &fs.PathError{Op: "open", Path: name, Err: err} }

// kindOf names what is no regular file; "" for one, and for the null device.
func kindOf(st *unix.Stat_t) string {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return ""
	case unix.S_IFDIR:
		return "a directory"
	case unix.S_IFIFO:
		return "a named pipe"
	case unix.S_IFSOCK:
		return "a socket"
	case unix.S_IFCHR:
		if unix.Major(st.Rdev) == 1 && unix.Minor(st.Rdev) == 3 {
			return ""
		}
	}
	return "a device"
}
