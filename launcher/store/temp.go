package store

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

const (
	// foreignAge is when a temporary file of another node (or an earlier boot of this one) is taken
	// for dead. A lock says nothing about it: flock may not reach other nodes (NFS local_lock,
	// Lustre localflock).
	foreignAge = 24 * time.Hour
	// maxSwept bounds how many temporary files one sweep checks.
	maxSwept = 4096
	// small begins the name of temporary files that are written without a lock.
	small = "small"
)

// bootID identifies the running kernel: flock is reliable within one. It is empty if it cannot be
// read.
func bootID() string {
	f, err := os.Open("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return ""
	}
	return strings.ReplaceAll(strings.TrimSpace(string(raw)), "-", "")
}

// temp makes a new file for key, with a name that nobody could have guessed, and returns both.
func (s *Store) temp(root *os.Root, key string) (*os.File, string, error) {
	name := path.Join(dirTmp, key+"."+s.boot+"."+rand.Text())
	f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	return f, name, err
}

// Scratch makes an empty file without a name: it is gone when it is closed.
func (s *Store) Scratch() (*os.File, error) {
	root, err := s.ready(dirTmp)
	if err != nil {
		return nil, err
	}
	f, name, err := s.temp(root, small)
	if err != nil {
		return nil, cacheFault(s.dir, "making a file", err)
	}
	if err := root.Remove(name); err != nil {
		return nil, errors.Join(cacheFault(s.dir, "making a file", err), f.Close())
	}
	return f, nil
}

// sweep removes temporary files whose writers are dead, and partials that nobody resumed. The
// caller holds the lock of key.
func (s *Store) sweep(root *os.Root, key string, held *lock) {
	s.dropPartials(partialFile.expired)
	dir, err := root.Open(dirTmp)
	if err != nil {
		return
	}
	defer dir.Close()
	entries, _ := dir.ReadDir(maxSwept)
	for _, e := range entries {
		if s.dead(root, e, key, held) {
			_ = root.Remove(path.Join(dirTmp, e.Name()))
		}
	}
}

// dead reports whether the writer of a temporary file is gone. held is the caller's lock on key;
// nil for none.
func (s *Store) dead(root *os.Root, e os.DirEntry, key string, held *lock) bool {
	if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > foreignAge {
		return true
	}
	owner, rest, _ := strings.Cut(e.Name(), ".")
	boot, _, _ := strings.Cut(rest, ".")
	if boot == "" || boot != s.boot || owner == small {
		return false
	}
	if held != nil && owner == key {
		return held.works
	}
	other, err := s.tryLock(root, owner)
	if err != nil || other == nil {
		return false
	}
	defer other.release()
	return other.works
}

// writeSmall writes a file without an fsync: its reader checks it.
func (s *Store) writeSmall(room, name string, raw []byte) error {
	mode := s.blobMode()
	root, err := s.ready(dirTmp, room)
	if err != nil {
		return err
	}
	f, tmp, err := s.temp(root, small)
	if err != nil {
		return cacheFault(s.dir, "writing "+name, err)
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Chmod(mode), f.Close()); err == nil {
		err = root.Rename(tmp, path.Join(room, name))
	}
	if err != nil {
		_ = root.Remove(tmp)
		return cacheFault(s.dir, "writing "+name, err)
	}
	return nil
}

// readSmall returns the content of a file of at most limit bytes; nil without an error if there is
// none that can be trusted.
func (s *Store) readSmall(name string, limit int64) ([]byte, error) {
	root, err := s.root(false)
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	info, err := root.Lstat(name)
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, cacheFault(s.dir, "reading "+name, err)
	}
	if !s.trusted(info) || info.Size() > limit {
		return nil, nil
	}
	f, err := root.Open(name)
	if s.opt.Shared && errors.Is(err, fs.ErrPermission) {
		return nil, nil // another user's private image
	}
	if err != nil {
		return nil, cacheFault(s.dir, "reading "+name, err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return nil, cacheFault(s.dir, "reading "+name, err)
	}
	return raw, nil
}
