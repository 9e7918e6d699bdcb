package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

// maxPerKey bounds what is looked at in the directory of one SIF, which holds one file.
const maxPerKey = 64

// key names the SIF of a manifest. arch is GOARCH spelling.
func key(manifestDigest, arch string) (string, error) {
	algorithm, sum, err := splitDigest(manifestDigest)
	if err != nil {
		return "", err
	}
	if arch == "" || len(arch) > 32 || strings.Trim(arch, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return "", fault.New(fault.Cache, "reading the cache: %q is not an architecture", arch)
	}
	return fmt.Sprintf("%s-%s-%s-v%d", algorithm, sum, arch, FormatVersion), nil
}

// SIF returns the path of the SIF made of a manifest, and whether there is one. It asks for no more than the directory
// and the inode: a file that is cut short, or that the caller does not own alone, counts as absent.
func (s *Store) SIF(manifestDigest, arch string) (file string, ok bool, err error) {
	k, err := key(manifestDigest, arch)
	if err != nil {
		return "", false, err
	}
	root, err := s.root(false)
	if missing(err) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	return s.find(root, k)
}

func (s *Store) find(root *os.Root, k string) (file string, ok bool, err error) {
	names, err := list(root, path.Join(dirSIF, k))
	if err != nil {
		return "", false, cacheFault(s.dir, "reading the cache", err)
	}
	for _, name := range names {
		if whole(root, name) {
			return s.path(name), true, nil
		}
	}
	return "", false, nil
}

// list returns the names of what lies in a directory, relative to the root; none if there is no such directory.
func list(root *os.Root, dir string) ([]string, error) {
	d, err := root.Open(dir)
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	found, _ := d.Readdirnames(maxPerKey)
	for i, name := range found {
		found[i] = path.Join(dir, name)
	}
	return found, nil
}

// whole says whether the file is the caller's and as long as its name says.
func whole(root *os.Root, name string) bool {
	digits, ok := strings.CutSuffix(path.Base(name), ".sif")
	size, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || size <= 0 {
		return false
	}
	info, err := root.Lstat(name)
	return err == nil && trusted(info) && info.Size() == size
}

// CreateSIF returns the SIF of a manifest, calling write to fill a new file if there is none. Of many processes that ask
// at once, one writes and the others wait for its file; if it dies, one of them takes over. Whatever happens before the
// file is complete and on disk, no other process ever sees it. The error of write is returned as it is, but for a full
// file system, which becomes a fault.Cache.
func (s *Store) CreateSIF(ctx context.Context, manifestDigest, arch string, write func(*os.File) error) (file string, err error) {
	if file, ok, err := s.SIF(manifestDigest, arch); ok || err != nil { // also on a read-only file system
		return file, err
	}
	k, err := key(manifestDigest, arch)
	if err != nil {
		return "", err
	}
	root, err := s.ready(dirSIF, dirTmp, dirLocks)
	if err != nil {
		return "", err
	}
	found := func() (ok bool) {
		file, ok, err = s.find(root, k)
		return ok || err != nil
	}
	l, lockErr := s.acquire(ctx, root, k, found)
	if lockErr != nil {
		return "", waitFault(s.dir, lockErr)
	}
	if l == nil {
		return file, err
	}
	defer l.release()
	if found() { // by the process that had the lock before us
		return file, err
	}
	s.sweep(root, k, l)
	return s.write(ctx, root, k, write)
}

func waitFault(dir string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("waiting for another process that makes this SIF: %w", err)
	}
	return cacheFault(dir, "locking the cache", err)
}

// write makes the file of k. The caller holds the lock.
func (s *Store) write(ctx context.Context, root *os.Root, k string, write func(*os.File) error) (file string, err error) {
	f, tmp, err := s.temp(root, k)
	if err != nil {
		return "", cacheFault(s.dir, "making a SIF", err)
	}
	defer func() { // also when write panics
		_ = f.Close()
		if file == "" {
			_ = root.Remove(tmp)
		}
	}()
	if err = write(f); err == nil {
		err = ctx.Err()
	}
	if full(err) {
		return "", cacheFault(s.dir, "writing a SIF", cause(err))
	}
	if err != nil {
		return "", err
	}
	name, err := s.publish(root, k, f, tmp)
	if err != nil {
		return "", cacheFault(s.dir, "writing a SIF", err)
	}
	return s.path(name), nil
}

// publish gives a complete file its name, once its content is on disk.
func (s *Store) publish(root *os.Root, k string, f *os.File, tmp string) (name string, err error) {
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if info.Size() == 0 {
		return "", errors.New("nothing was written")
	}
	// Nobody has a reason to change it, and a private image stays private should the directory ever be opened.
	if err := f.Chmod(0o400); err != nil {
		return "", err
	}
	if err := f.Sync(); err != nil {
		return "", err
	}
	dir := path.Join(dirSIF, k)
	if err := clear(root, dir); err != nil {
		return "", err
	}
	name = path.Join(dir, strconv.FormatInt(info.Size(), 10)+".sif")
	if err := root.Rename(tmp, name); err != nil {
		return "", err
	}
	// A file system that cannot sync directories has done what it can.
	_, _ = syncDir(root, dir), syncDir(root, dirSIF)
	return name, nil
}

// clear makes the directory of a SIF and removes what is broken in it.
func clear(root *os.Root, dir string) error {
	if err := root.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	names, err := list(root, dir)
	for _, name := range names {
		if !whole(root, name) {
			err = errors.Join(err, root.RemoveAll(name))
		}
	}
	return err
}

func syncDir(root *os.Root, dir string) error {
	d, err := root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Discard removes the SIF of a manifest, for instance because its content turned out to be broken. Processes that have
// it open are not disturbed.
func (s *Store) Discard(ctx context.Context, manifestDigest, arch string) error {
	k, err := key(manifestDigest, arch)
	if err != nil {
		return err
	}
	root, err := s.ready(dirLocks)
	if err != nil {
		return err
	}
	l, err := s.acquire(ctx, root, k, func() bool { return false })
	if err != nil {
		return waitFault(s.dir, err)
	}
	defer l.release()
	if err := root.RemoveAll(path.Join(dirSIF, k)); err != nil {
		return cacheFault(s.dir, "removing a SIF", err)
	}
	return nil
}
