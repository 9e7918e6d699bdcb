// Package outside opens the files that a user, a site or an image names. Such a name may lead to a
// FIFO without a writer, a tape drive or a terminal: opening one may block for ever or have an
// effect. Open checks first what the name leads to, and opens regular files only; Stream also takes
// pipes, and can be interrupted.
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

// KindError is in the chain if a name leads to something other than a regular file.
type KindError struct{ Kind string } // "a directory", "a named pipe"

func (e KindError) Error() string { return "it is " + e.Kind + ", not a regular file" }

// Open opens a regular file for reading. The null device counts as an empty file. Open does not
// block, unless the file system hangs. Errors are *fs.PathError.
func Open(name string) (*os.File, error) {
	f, _, err := open(name, false)
	return f, err
}

// Read returns the content of a regular file of up to limit bytes. A larger file is an error.
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

// open checks a name through a descriptor that opens nothing (O_PATH), then opens that very inode.
func open(name string, pipe bool) (f *os.File, isPipe bool, err error) {
	at, err := retry(func() (int, error) { return unix.Open(name, unix.O_PATH|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, false, pathError(name, err)
	}
	defer unix.Close(at)
	var st unix.Stat_t
	if err := unix.Fstat(at, &st); err != nil {
		return nil, false, pathError(name, err)
	}
	kind := kindOf(&st)
	isPipe = pipe && st.Mode&unix.S_IFMT == unix.S_IFIFO
	if kind != "" && !isPipe {
		return nil, false, pathError(name, KindError{kind})
	}
	flags := unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NOCTTY
	if isPipe {
		// only for pipes: a regular file under a lease would fail with it while the lease is broken
		flags |= unix.O_NONBLOCK
	}
	fd, err := retry(
		func() (int, error) { return unix.Open("/proc/self/fd/"+strconv.Itoa(at), flags, 0) })
	if errors.Is(err, unix.ENOENT) { // there is no /proc
		fd, err = openSame(name, flags|unix.O_NONBLOCK, &st)
	}
	if err != nil {
		return nil, false, pathError(name, err)
	}
	return os.NewFile(uintptr(fd), name), isPipe, nil
}

// openSame opens a name and refuses an inode other than the one that was checked.
func openSame(name string, flags int, seen *unix.Stat_t) (int, error) {
	fd, err := retry(func() (int, error) { return unix.Open(name, flags, 0) })
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

// retry repeats a call that a signal interrupted, as Go's own signals do.
func retry(call func() (int, error)) (fd int, err error) {
	for {
		if fd, err = call(); !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

func pathError(name string, err error) error {
	return &fs.PathError{Op: "open", Path: name, Err: err}
}

// kindOf names the kind of a file that is not regular; "" for a regular one and the null device.
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
