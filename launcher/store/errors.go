package store

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

// ErrUnusable is in the chain of an error if the cache could not be read or written.
var ErrUnusable = fault.Sentinel(fault.Cache, "the cache cannot be used")

// cacheFault makes one sentence of the file system's answer, with a hint.
func cacheFault(path, doing string, err error) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return err
	}
	return ErrUnusable.New("%s in %q: %w", doing, path, cause(err)).Hint("%s", hint(err))
}

// cause strips the operation and the path, which the message names already.
func cause(err error) error {
	var number syscall.Errno
	if errors.As(err, &number) {
		return number
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

func hint(err error) string {
	switch {
	case full(err):
		return "free some space or quota, or set HPC3_CACHEDIR to a directory on another file " +
			"system"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return "set HPC3_CACHEDIR to a directory that you can write to"
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ELOOP):
		return "something else lies at this path: move it away, or set HPC3_CACHEDIR to another " +
			"directory"
	}
	return "see whether the file system works, or set HPC3_CACHEDIR to a directory on another one"
}

// full reports whether err means that the file system or the user's quota is full.
func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) ||
		errors.Is(err, syscall.EFBIG)
}
