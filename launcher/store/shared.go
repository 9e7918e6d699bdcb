package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// MakeShared makes a directory for others to read, with its parents, or gives an existing one its
// owner and modes. made and changed list the directories that it made or changed. A gid of -1
// admits everybody, another gid only that group. Existing parents keep their modes, except those
// that the caller owns, that admit nobody else and hold nothing else: they were made for this
// directory.
func MakeShared(dir string, uid, gid int) (made, changed []string, err error) {
	if made, err = makeParents(dir); err != nil {
		return made, nil, err
	}
	isNew, mode := false, publicDir
	if err = os.Mkdir(dir, privateDir); err == nil {
		isNew, made = true, append(made, dir)
	} else if !errors.Is(err, fs.ErrExist) {
		return made, nil, err
	}
	d, info, err := openExactDir(dir)
	if err != nil {
		return made, nil, err
	}
	defer d.Close()
	if gid >= 0 {
		mode = 0o750
	}
	group := gid
	if st, ok := info.Sys().(*syscall.Stat_t); ok && gid < 0 {
		group = int(st.Gid)
	}
	fits := info.Mode().Perm() == mode || gid < 0 && info.Mode().Perm()&0o022 == 0 &&
		info.Mode().Perm()&0o055 != 0
	if right := fits && owner(info) == uint32(uid) && sameGroup(info, group); !right {
		if err := errors.Join(d.Chown(uid, group), d.Chmod(mode)); err != nil {
			return made, nil, err
		}
		if !isNew {
			changed = append(changed, dir)
		}
	}
	return made, append(openParents(dir), changed...), nil
}

func sameGroup(info fs.FileInfo, gid int) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Gid) == gid
}

// openExactDir opens a directory and follows no link.
func openExactDir(dir string) (*os.File, fs.FileInfo, error) {
	d, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := d.Stat()
	if err != nil {
		return nil, nil, errors.Join(err, d.Close())
	}
	return d, info, nil
}

// makeParents makes the directories above a path so that anyone can enter them, whatever the umask,
// and returns those that it made.
func makeParents(dir string) (made []string, err error) {
	parent := filepath.Dir(dir)
	if _, err := os.Stat(parent); err == nil || parent == dir {
		return nil, nil
	}
	if made, err = makeParents(parent); err != nil {
		return made, err
	}
	err = os.Mkdir(parent, privateDir)
	if errors.Is(err, fs.ErrExist) { // another was quicker
		return made, nil
	}
	if err != nil {
		return made, err
	}
	d, _, err := openExactDir(parent)
	if err != nil {
		return made, err
	}
	defer d.Close()
	return append(made, parent), d.Chmod(publicDir)
}

// openParents admits others to the directories above one that were made for it: they are the
// caller's, admit nobody else, and hold nothing else.
func openParents(dir string) (opened []string) {
	for above := filepath.Dir(dir); above != filepath.Dir(above); dir, above = above,
		filepath.Dir(above) {
		d, info, err := openExactDir(above)
		if err != nil {
			continue
		}
		names, err := d.Readdirnames(2)
		alone := err == nil && len(names) == 1 && names[0] == filepath.Base(dir)
		if alone && owner(info) == uint32(os.Geteuid()) && info.Mode().Perm()&0o077 == 0 &&
			d.Chmod(publicDir) == nil {
			opened = append(opened, above)
		}
		_ = d.Close() // its mode was set
	}
	return opened
}
