package programs

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// Bounds of what is looked at, since an image may be hostile: directories of a PATH, files in all
// of them, and symlinks that are followed for these. A distribution's /usr/bin has a few thousand.
const (
	maxDirs  = 1024
	maxFiles = 1 << 16
	maxHops  = 1 << 18
)

// Bounds of one path, as the kernel has them.
const (
	maxLinks = 40
	maxPath  = 4096
)

// command is a program in a directory of PATH.
type command struct {
	name   string
	file   string // its path, without symlinks among the directories
	target string // of a symlink: the file that it leads to in the end; else ""
}

// admin tells whether a command is in a directory for root's programs. Where /usr/sbin is a symlink
// to /usr/bin, it is in that.
func (c command) admin() bool {
	dir := path.Dir(c.file)
	return dir == "/sbin" || dir == "/usr/sbin"
}

// ofSystem tells whether a command is where packages of a distribution have theirs.
func (c command) ofSystem() bool {
	dir := path.Dir(c.file)
	return dir == "/bin" || dir == "/usr/bin" || c.admin()
}

// entrypoint tells whether a file is there to be started by docker.
func entrypoint(name string) bool {
	name = strings.TrimSuffix(strings.ToLower(name), ".sh")
	return strings.HasSuffix(name, "entrypoint")
}

// tree is an image's files. It keeps what symlinks among its directories lead to.
type tree struct {
	fs   *squashfs.FS
	dirs map[string]string // a directory's path without symlinks, by that with them
	hops int               // how many symlinks may still be followed
	cut  bool              // there are more files than were looked at
}

func newTree(img *squashfs.FS) *tree {
	return &tree{fs: img, dirs: map[string]string{}, hops: maxHops}
}

// unreadable tells an image that cannot be read from a file that is not there.
func unreadable(err error) bool {
	return errors.Is(err, squashfs.ErrCorrupt) || errors.Is(err, squashfs.ErrRead)
}

// trace returns the path and the inode of a file after all symlinks.
func (t *tree) trace(file string) (string, squashfs.Ref, error) {
	names, refs := []string{""}, []squashfs.Ref{t.fs.Root()}
	rest := file
	for links := 0; rest != ""; {
		if len(rest) > maxPath {
			return "", 0, fmt.Errorf("%.40s…: %w", file, syscall.ENAMETOOLONG)
		}
		name, after, _ := strings.Cut(rest, "/")
		rest = after
		if name == ".." {
			up := max(1, len(refs)-1)
			names, refs = names[:up], refs[:up]
		}
		if name == "" || name == "." || name == ".." {
			continue
		}
		child, err := t.fs.Lookup(refs[len(refs)-1], name)
		if err != nil {
			return "", 0, fmt.Errorf("%s: %w", file, err)
		}
		target, err := t.fs.Readlink(child)
		if errors.Is(err, fs.ErrInvalid) {
			names, refs = append(names, name), append(refs, child)
			continue
		}
		if err != nil {
			return "", 0, fmt.Errorf("%s: %w", file, err)
		}
		if links, t.hops = links+1, t.hops-1; links > maxLinks || t.hops < 0 {
			return "", 0, fmt.Errorf("%s: %w", file, syscall.ELOOP)
		}
		if strings.HasPrefix(target, "/") {
			names, refs = names[:1], refs[:1]
		}
		rest = target + "/" + rest
	}
	return "/" + path.Join(names...), refs[len(refs)-1], nil
}

// dir returns the path of a directory without symlinks; as it is if there is no such directory.
func (t *tree) dir(name string) string {
	if real, known := t.dirs[name]; known {
		return real
	}
	real, _, err := t.trace(name)
	if err != nil {
		real = name
	}
	if len(t.dirs) < maxFiles {
		t.dirs[name] = real
	}
	return real
}

func (t *tree) executable(ref squashfs.Ref) bool {
	a, err := t.fs.Stat(ref)
	return err == nil && a.Mode&syscall.S_IFMT == syscall.S_IFREG && a.Mode&0o111 != 0
}

// scan returns the commands in the directories of path. The first of a name counts.
func (t *tree) scan(dirs []string) ([]command, error) {
	var done []string
	var found []command
	named, left := map[string]bool{}, maxFiles
	for _, dir := range dirs[:min(len(dirs), maxDirs)] {
		real, ref, err := t.trace(dir)
		switch {
		case unreadable(err):
			return nil, err
		case err != nil || slices.Contains(done, real):
			continue
		}
		done = append(done, real)
		list, err := t.fs.List(ref)
		for err == nil {
			var e squashfs.DirEntry
			var more bool
			if e, more, err = list.Next(); !more || err != nil {
				break
			}
			if left--; left < 0 {
				t.cut = true
				return found, nil
			}
			if c, is := t.command(real, e); is && !named[e.Name] {
				named[e.Name] = true
				found = append(found, c)
			}
		}
		if unreadable(err) {
			return nil, err
		}
	}
	return found, nil
}

// command returns what a name in a directory is, if that is a program.
func (t *tree) command(dir string, e squashfs.DirEntry) (c command, is bool) {
	c = command{name: e.Name, file: path.Join(dir, e.Name)}
	switch e.Type {
	case syscall.S_IFREG:
		return c, t.executable(e.Ref)
	case syscall.S_IFLNK:
		target, ref, err := t.trace(c.file)
		c.target = target
		return c, err == nil && t.executable(ref)
	}
	return c, false
}
