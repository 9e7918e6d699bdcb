package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"syscall"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

// The modes. Nobody needs to change a file, and a private image stays private if the directory is
// ever opened to others.
const (
	privateDir, privateFile fs.FileMode = 0o700, 0o400
	publicDir, publicFile   fs.FileMode = 0o755, 0o444
)

// checkOwner refuses a directory into which others could put files.
func (s *Store) checkOwner(root *os.Root) error {
	link, err := os.Lstat(s.dir)
	if err != nil {
		return cacheFault(s.dir, "opening the cache", err)
	}
	if link.Mode()&fs.ModeSymlink != 0 && !s.trusts(owner(link)) && owner(link) != 0 {
		return s.refuse("it is a symbolic link of another user (uid %d)", owner(link)).
			Hint("remove the link, or set HPC3_CACHEDIR to a directory of your own")
	}
	dir, err := root.Stat(".")
	if err != nil {
		return cacheFault(s.dir, "opening the cache", err)
	}
	if err := s.checkDir(dir, "it"); err != nil {
		return err
	}
	// blobs are checked against their digests
	for _, room := range []string{dirSIF, dirRefs, dirFloors} {
		if info, err := root.Lstat(room); err == nil {
			if err := s.checkDir(info, "its "+room); err != nil {
				return err
			}
			if err := s.checkReadable(root, room, info); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkReadable refuses another user's directory that the caller cannot list.
func (s *Store) checkReadable(root *os.Root, room string, info fs.FileInfo) error {
	if !s.opt.Shared || owner(info) == uint32(os.Geteuid()) {
		return nil
	}
	d, err := root.Open(room)
	if errors.Is(err, fs.ErrPermission) {
		return s.refuse("its %s cannot be read (mode %#o)", room, info.Mode().Perm()).
			Hint("as its owner: hpc3 cache init --site %q", s.dir)
	}
	if err == nil {
		_ = d.Close() // opened to see whether it can be
	}
	return nil
}

func (s *Store) checkDir(dir fs.FileInfo, what string) error {
	switch uid := owner(dir); {
	case !dir.IsDir():
		return s.refuse("%s is no directory", what).Hint("move it away")
	case !s.trusts(uid) && len(s.opt.Owners) > 0:
		return s.refuse("%s belongs to uid %d, which is not one of its owners", what, uid).
			Hint("the site file names its owners; or change the owner of the directory")
	case !s.trusts(uid):
		return s.refuse("%s belongs to uid %d, and you are uid %d", what, uid, os.Geteuid()).
			Hint("set HPC3_CACHEDIR to a directory of your own")
	case dir.Mode().Perm()&0o022 != 0:
		return s.refuse("others may write to %s (mode %#o)", what, dir.Mode().Perm()).
			Hint("chmod go-w %q, or set HPC3_CACHEDIR to a directory of your own", s.dir)
	}
	return nil
}

func (s *Store) refuse(format string, args ...any) *fault.Error {
	return ErrUnusable.New("refusing the cache %q: %w", s.dir, fmt.Errorf(format, args...))
}

// trusts reports whether a user's files count.
func (s *Store) trusts(uid uint32) bool {
	return uid == uint32(os.Geteuid()) || slices.Contains(s.opt.Owners, uid)
}

func owner(info fs.FileInfo) uint32 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Uid
	}
	return ^uint32(0)
}

// whyUntrusted says why info is not a regular file that only trusted users can have written; empty
// if it is one.
func (s *Store) whyUntrusted(info fs.FileInfo) string {
	switch {
	case !info.Mode().IsRegular():
		return "it is no regular file"
	case !s.trusts(owner(info)):
		return fmt.Sprintf("it belongs to uid %d", owner(info))
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Sprintf("others may write to it (mode %#o)", info.Mode().Perm())
	}
	return ""
}

func (s *Store) trusted(info fs.FileInfo) bool { return s.whyUntrusted(info) == "" }

// makeDir makes the directory itself, and reports whether it did. An existing directory keeps its
// mode.
func (s *Store) makeDir() (made bool, err error) {
	if _, err := os.Stat(s.dir); err == nil {
		return false, nil
	}
	if s.opt.Shared {
		if _, err := makeParents(s.dir); err != nil {
			return false, err
		}
	}
	return true, os.MkdirAll(s.dir, privateDir)
}

// makeRoom makes a directory below the root. In a shared directory others can enter it, whatever
// the umask.
func (s *Store) makeRoom(root *os.Root, room string) error {
	if err := root.MkdirAll(room, privateDir); err != nil || !s.opt.Shared ||
		slices.Contains([]string{dirTmp, dirLocks, dirNotices, dirAnswers, dirPartial}, room) {
		return err
	}
	for ; room != "."; room = path.Dir(room) {
		info, err := root.Lstat(room)
		if err != nil || info.Mode().Perm() == publicDir {
			return err
		}
		if err := root.Chmod(room, publicDir); err != nil {
			return err
		}
	}
	return nil
}

// public reports whether anyone may read what is being written.
func (s *Store) public() bool { return s.opt.Public != nil && s.opt.Public() }

// blobMode is the mode of a new blob; it records whether anyone may read it.
func (s *Store) blobMode() fs.FileMode {
	if s.public() {
		return publicFile
	}
	return privateFile
}

// sifMode is the mode of a new SIF: a private cache keeps its SIFs private, even those of public
// images.
func (s *Store) sifMode() fs.FileMode {
	if s.opt.Shared && s.public() {
		return publicFile
	}
	return privateFile
}
