package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// MakeShared makes a directory that others are to read, with those above it, or gives the one that is there its owner and modes. made and changed are the
// directories of which it did either. A gid of -1 lets everybody in, another one its group alone. Directories above that are there stay as they are, but
// for those that the caller owns, that let nobody else in and hold nothing else: they were made for this one.
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
	d, info, err := openPlace(dir)
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
	fits := info.Mode().Perm() == mode || gid < 0 && info.Mode().Perm()&0o022 == 0 && info.Mode().Perm()&0o055 != 0
	if right := fits && owner(info) == uint32(uid) && sameGroup(info, group); !right {
		if err := errors.Join(d.Chown(uid, group), d.Chmod(mode)); err != nil {
			return made, nil, err
		}
		if !isNew {
			changed = append(changed, dir)
		}
	}
	return made, append(openWay(dir), changed...), nil
}

func sameGroup(info fs.FileInfo, gid int) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Gid) == gid
}

// openPlace opens a directory, and nothing to which its name may lead instead.
func openPlace(dir string) (*os.File, fs.FileInfo, error) {
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

// makeParents makes the directories above a path so that anyone can enter them, whatever the umask, and returns those that it has made.
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
	d, _, err := openPlace(parent)
	if err != nil {
		return made, err
	}
	defer d.Close()
	return append(made, parent), d.Chmod(publicDir)
}

// openWay lets others through the directories above one that were made for it: the caller's own, which nobody else may enter, and with nothing
// else in them.
func openWay(dir string) (opened []string) {
	for above := filepath.Dir(dir); above != filepath.Dir(above); dir, above = above, filepath.Dir(above) {
		d, info, err := openPlace(above)
		if err != nil {
			continue
		}
		names, err := d.Readdirnames(2)
		alone := err == nil && len(names) == 1 && names[0] == filepath.Base(dir)
		if alone && owner(info) == uint32(os.Geteuid()) && info.Mode().Perm()&0o077 == 0 && d.Chmod(publicDir) == nil {
			opened = append(opened, above)
		}
		_ = d.Close() // its mode was set
	}
	return opened
}
