package store

import (
	"errors"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"path"
	"time"
)

// agreeAge is how long an agreement counts: an old one may have a name whose process ids are in use
// again.
const agreeAge = time.Hour

// Agree publishes mine under a name unless another process has done so, and returns what was
// published first. It works across all nodes that share the directory.
func (s *Store) Agree(name, mine string) (theirs string, err error) {
	root, err := s.noticeRoom()
	if err != nil {
		return "", err
	}
	at := noticeFile(name)
	f, tmp, err := s.temp(root, small)
	if err != nil {
		return "", cacheFault(s.dir, "writing to the cache", err)
	}
	defer root.Remove(tmp) //nolint:errcheck // it may have another name by now
	if _, err := f.WriteString(mine); err != nil {
		return "", cacheFault(s.dir, "writing to the cache", errors.Join(err, f.Close()))
	}
	if err := f.Close(); err != nil {
		return "", cacheFault(s.dir, "writing to the cache", err)
	}
	err = root.Link(tmp, at)
	if !errors.Is(err, fs.ErrExist) {
		return mine, err
	}
	if info, err := root.Lstat(at); err != nil || time.Since(info.ModTime()) > agreeAge {
		return mine, errors.Join(err, root.Rename(tmp, at))
	}
	raw, err := s.readSmall(at, maxNotice)
	return string(raw), err
}

// First reports whether this is the first call with these words, on any node that shares the
// directory.
func (s *Store) First(words string) (bool, error) {
	root, err := s.noticeRoom()
	if err != nil {
		return false, err
	}
	f, err := root.OpenFile(noticeFile(words), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, cacheFault(s.dir, "writing to the cache", err)
	}
	return true, f.Close()
}

// noticeFile is the file of the notice for a text.
func noticeFile(text string) string { return path.Join(dirNotices, sumOf("sha256", []byte(text))) }

// noticeRoom opens the directory for another notice. One call in sweepEvery removes old ones, so
// that they need no collection.
func (s *Store) noticeRoom() (*os.Root, error) {
	root, err := s.ready(dirTmp, dirNotices)
	if err == nil && mathrand.IntN(sweepEvery) == 0 {
		s.removeOlder(root, dirNotices, noticeAge)
	}
	return root, err
}

const sweepEvery = 32

// removeOlder removes the files of a room that are older than age.
func (s *Store) removeOlder(root *os.Root, room string, age time.Duration) {
	entries, err := s.entries(root, room)
	for _, e := range entries {
		info, infoErr := e.Info()
		if err == nil && infoErr == nil && time.Since(info.ModTime()) > age {
			_ = root.Remove(path.Join(room, e.Name()))
		}
	}
}
