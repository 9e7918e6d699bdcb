package squashfs

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
)

// Bounds of Resolve, equal to the kernel's: how many symlinks are followed (MAXSYMLINKS), and the
// length of the remaining path (PATH_MAX).
const (
	maxLinks = 40
	maxPath  = 4096
)

// Readlink returns the target of a symlink.
func (f *FS) Readlink(ref Ref) (string, error) {
	in, err := f.inode(ref)
	if err != nil {
		return "", err
	}
	if in.Mode&syscall.S_IFMT != syscall.S_IFLNK {
		return "", fs.ErrInvalid
	}
	return in.target, nil
}

// Resolve returns the inode at a path. It follows symlinks inside the file system: an absolute
// target starts at its root, and no path leads above the root. The error wraps fs.ErrNotExist if
// there is no such file.
func (f *FS) Resolve(path string) (Ref, error) {
	parents := []Ref{f.Root()} // the directories from the root to the current one
	rest := path
	for links := 0; rest != ""; {
		if len(rest) > maxPath {
			return 0, fmt.Errorf("%.40s…: %w", path, syscall.ENAMETOOLONG)
		}
		name, after, _ := strings.Cut(rest, "/")
		rest = after
		switch name {
		case "", ".":
			continue
		case "..":
			parents = parents[:max(1, len(parents)-1)]
			continue
		}
		child, err := f.Lookup(parents[len(parents)-1], name)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		target, err := f.Readlink(child)
		if errors.Is(err, fs.ErrInvalid) {
			parents = append(parents, child)
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		if links++; links > maxLinks {
			return 0, fmt.Errorf("%s: %w", path, syscall.ELOOP)
		}
		if strings.HasPrefix(target, "/") {
			parents = parents[:1]
		}
		rest = target + "/" + rest
	}
	return parents[len(parents)-1], nil
}
