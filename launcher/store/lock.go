package store

import (
	"context"
	"errors"
	"os"
	"path"
	"syscall"
	"time"
)

// Waiting for another process polls: a blocking flock cannot be cancelled, and over NFSv4 it wakes
// up to 30 s late.
const (
	firstPoll = 5 * time.Millisecond
	maxPoll   = 100 * time.Millisecond
	// quietWait is how long a lock may be busy before the user is told: sweeping holds one briefly.
	quietWait = 50 * time.Millisecond
)

// lock is the right to write one SIF. It ends when the process does.
type lock struct {
	root  *os.Root
	name  string
	file  *os.File
	works bool // false where the file system has no flock: then others may hold it as well
}

func lockName(key string) string { return path.Join(dirLocks, key+".lock") }

// tryLock returns nil without an error while another process holds the lock.
func (s *Store) tryLock(root *os.Root, key string) (*lock, error) {
	name := lockName(key)
	for {
		f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		err = s.flock(f)
		switch {
		case errors.Is(err, syscall.EWOULDBLOCK):
			return nil, f.Close()
		case errors.Is(err, syscall.ESTALE):
			_ = f.Close() // removed by another node
			continue
		case unsupported(err):
			return &lock{root: root, name: name, file: f}, nil
		case err != nil:
			return nil, errors.Join(err, f.Close())
		}
		// The previous holder removed the file when it was done: then we locked a file that nobody
		// else finds.
		if current(root, name, f) {
			return &lock{root: root, name: name, file: f, works: true}, nil
		}
		_ = f.Close()
	}
}

func flock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// unsupported is true on NFS without a lock daemon, Lustre mounted without -o flock, and some FUSE
// file systems.
func unsupported(err error) bool {
	return errors.Is(err, syscall.ENOLCK) || errors.Is(err, syscall.EOPNOTSUPP) ||
		errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EINVAL)
}

func current(root *os.Root, name string, f *os.File) bool {
	there, err := root.Lstat(name)
	if err != nil {
		return false
	}
	ours, err := f.Stat()
	return err == nil && os.SameFile(there, ours)
}

// release gives the lock back. It removes the file while it still holds the lock, so that none are
// left behind.
func (l *lock) release() {
	_ = l.root.Remove(l.name)
	_ = l.file.Close()
}

// acquire waits for the lock of key. It returns a nil lock if done reports that there is nothing
// left to do.
func (s *Store) acquire(ctx context.Context, root *os.Root, key string, done func() bool) (
	*lock, error,
) {
	var waited time.Duration
	told := false
	for poll := firstPoll; ; poll = min(2*poll, maxPoll) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		l, err := s.tryLock(root, key)
		if l != nil || err != nil {
			return l, err
		}
		if done() {
			return nil, nil
		}
		if waited >= quietWait && !told && s.OnWait != nil {
			told = true
			s.OnWait(s.path(lockName(key)))
		}
		if err := pause(ctx, poll); err != nil {
			return nil, err
		}
		waited += poll
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
