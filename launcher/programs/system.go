package programs

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"syscall"

	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// Bounds of what is read of data bases, since an image may be hostile: of one file, of all files of
// one data base, and of a line. Of 3000 packages of Debian, status has 4 MiB, and the lists of
// their files have 60 MiB.
const (
	maxDatabase = 64 << 20
	maxLists    = 512 << 20
	maxRecord   = 1 << 20
)

// errLarge is why a data base is not read.
var errLarge = errors.New("it is larger than any that is in use")

// others are where package managers keep their data bases that are not read.
var others = []string{ //nolint:gochecknoglobals // a constant list
	"/var/lib/pacman/local", "/var/db/pkg", "/nix/var/nix/db", "/usr/lib/opkg/status",
	"/var/db/xbps",
}

// system reads the data base that an image has. Without one, no file is owned by a package.
func (i Image) system(t *tree, o *owners) (*system, error) {
	for _, read := range []func(*tree, *owners) (*system, error){dpkg, apk, i.rpm} {
		s, err := read(t, o)
		switch {
		case unreadable(err):
			return nil, err
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return unread(err), nil
		}
		return s, nil
	}
	for _, place := range others {
		if _, _, err := t.trace(place); err == nil {
			return unread(errors.New(place + " is of a kind that is not known")), nil
		}
	}
	return newSystem(), nil
}

// unread is a system whose packages are not known.
func unread(why error) *system {
	s := newSystem()
	s.unread = true
	s.note("its package data base was not read, so that commands in /bin and /usr/bin do not count: "+
		"%v", why)
	return s
}

// lines gives take each line of a file. The error is fs.ErrNotExist if there is no such file.
func (t *tree) lines(file string, limit int64, take func(line string)) (size int64, err error) {
	_, ref, err := t.trace(file)
	if err != nil {
		return 0, absent(err)
	}
	return t.linesOf(ref, limit, take)
}

func (t *tree) linesOf(ref squashfs.Ref, limit int64, take func(string)) (size int64, err error) {
	a, err := t.fs.Stat(ref)
	switch {
	case err != nil:
		return 0, err
	case a.Mode&syscall.S_IFMT != syscall.S_IFREG:
		return 0, fs.ErrNotExist
	case int64(a.Size) > limit:
		return 0, errLarge
	}
	f, err := t.fs.OpenFile(ref)
	if err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(io.NewSectionReader(f, 0, int64(a.Size)))
	lines.Buffer(nil, maxRecord)
	for lines.Scan() {
		take(lines.Text())
	}
	return int64(a.Size), lines.Err()
}

// absent makes fs.ErrNotExist of every reason why a path leads nowhere.
func absent(err error) error {
	if unreadable(err) {
		return err
	}
	return fs.ErrNotExist
}

// each gives take the names in a directory, up to a number; none if there is no such directory.
func (t *tree) each(dir string, most int, take func(squashfs.DirEntry) error) error {
	_, ref, err := t.trace(dir)
	if err != nil {
		if unreadable(err) {
			return err
		}
		return nil
	}
	list, err := t.fs.List(ref)
	for err == nil {
		var e squashfs.DirEntry
		var more bool
		if e, more, err = list.Next(); err != nil || !more {
			break
		}
		if most--; most < 0 {
			return errLarge
		}
		err = take(e)
	}
	if errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	return err
}
