package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
)

// maxPerKey bounds how many entries of a SIF's directory are checked; it holds one file.
const maxPerKey = 64

// key names the SIF of a manifest. arch is GOARCH spelling.
func key(manifestDigest, arch string) (string, error) {
	algorithm, sum, err := splitDigest(manifestDigest)
	if err != nil {
		return "", err
	}
	if arch == "" || len(arch) > 32 ||
		strings.Trim(arch, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return "", ErrUnusable.New("reading the cache: %q is not an architecture", arch)
	}
	return fmt.Sprintf("%s-%s-%s-v%d", algorithm, sum, arch, FormatVersion), nil
}

// SIF returns the path of the SIF made from a manifest, and whether there is one. It checks no more
// than the directory and the inode: a file that is cut short, or that others may have written,
// counts as absent.
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
	names, err := s.list(root, path.Join(dirSIF, k))
	if err != nil {
		return "", false, cacheFault(s.dir, "reading the cache", err)
	}
	for _, name := range names {
		if _, why := s.inspect(root, name); why == "" {
			return s.path(name), true, nil
		}
	}
	return "", false, nil
}

// list returns the names in the directory of a SIF, relative to the root; none if there is no such
// directory, or if others could put files into it.
func (s *Store) list(root *os.Root, dir string) ([]string, error) {
	d, err := root.Open(dir)
	if missing(err) || s.opt.Shared && errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	if info, err := d.Stat(); err != nil || s.checkDir(info, dir) != nil {
		return nil, err
	}
	found, _ := d.Readdirnames(maxPerKey)
	for i, name := range found {
		found[i] = path.Join(dir, name)
	}
	return found, nil
}

// sifName is the name of a file with this content. The size comes first because each use checks it.
func sifName(size int64, sum string) string {
	return strconv.FormatInt(size, 10) + "-" + sum +
		".sif"
}

// parseSIFName returns what the name of a SIF says of its content, with or without a leading
// directory.
func parseSIFName(name string) (size int64, sum string, ok bool) {
	stem, isSIF := strings.CutSuffix(path.Base(name), ".sif")
	digits, sum, _ := strings.Cut(stem, "-")
	size, err := strconv.ParseInt(digits, 10, 64)
	raw, errHex := hex.DecodeString(sum)
	return size, sum, isSIF && err == nil && errHex == nil && size > 0 && len(raw) == sha256.Size
}

// inspect says why a file is not the SIF that its name promises, as far as can be told without
// reading it; empty if it is.
func (s *Store) inspect(root *os.Root, name string) (info fs.FileInfo, why string) {
	size, _, ok := parseSIFName(name)
	if strings.HasSuffix(name, damagedSuffix) {
		return nil, "it was found damaged by a start, and set aside"
	}
	if !ok {
		return nil, "its name is not that of a SIF"
	}
	info, err := s.look(root, name)
	if err != nil {
		return nil, cause(err).Error()
	}
	if why := s.whyUntrusted(info); why != "" {
		return info, why
	}
	if info.Size() != size {
		return info, fmt.Sprintf("it has %d bytes, and should have %d", info.Size(), size)
	}
	return info, ""
}

// look returns the file's info. In a shared directory it asks the open file, which also shows
// whether the caller may read it.
func (s *Store) look(root *os.Root, name string) (fs.FileInfo, error) {
	info, err := root.Lstat(name)
	if err != nil || !s.opt.Shared || !info.Mode().IsRegular() {
		return info, err
	}
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Stat()
}

// CreateSIF returns the SIF of a manifest, calling write to fill a new file if there is none. If
// many processes ask at once, one writes and the others wait for its file; if it dies, another
// takes over. No other process ever sees the file before it is complete and on disk. The error of
// write is returned unchanged, except that a full file system becomes ErrUnusable. A waiter gets
// the writer's error if it would run into the same failure.
func (s *Store) CreateSIF(ctx context.Context, manifestDigest, arch string,
	write func(*os.File) error,
) (file string, err error) {
	// also on a read-only file system
	if file, ok, err := s.SIF(manifestDigest, arch); ok || err != nil {
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
	before := s.lastFailure(k)
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
	if f := s.lastFailure(k); f.Mark != before.Mark && f.Mark != "" { // as well
		return "", f.err()
	}
	s.sweep(root, k, l)
	file, err = s.write(ctx, root, k, write)
	s.leaveFailure(ctx, root, k, err)
	return file, err
}

func waitFault(dir string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("waiting for another process that makes this SIF: %w", err)
	}
	return cacheFault(dir, "locking the cache", err)
}

// write makes the file of k. The caller holds the lock.
func (s *Store) write(ctx context.Context, root *os.Root, k string, write func(*os.File) error) (
	file string, err error,
) {
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

// publish gives a complete file its name, after its content is on disk.
func (s *Store) publish(root *os.Root, k string, f *os.File, tmp string) (name string, err error) {
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if info.Size() == 0 {
		return "", errors.New("nothing was written")
	}
	if err := f.Chmod(s.sifMode()); err != nil {
		return "", err
	}
	sum, err := syncAndSum(f, info.Size())
	if err != nil {
		return "", err
	}
	dir := path.Join(dirSIF, k)
	name = path.Join(dir, sifName(info.Size(), sum))
	// Collect and Verify remove empty directories, at any moment if locks do not work.
	for range 3 {
		if err = s.clear(root, dir); err == nil {
			err = root.Rename(tmp, name)
		}
		if !missing(err) {
			break
		}
	}
	if err != nil {
		return "", err
	}
	// A file system that cannot sync directories has done what it can.
	_, _ = syncDir(root, dir), syncDir(root, dirSIF)
	return name, nil
}

// syncAndSum brings a file to disk and returns its SHA-256 in hex. It is read from memory while the
// disk writes.
func syncAndSum(f *os.File, size int64) (sum string, err error) {
	synced := make(chan error, 1)
	go func() { synced <- f.Sync() }()
	sum, err = sumOfFile(f, size)
	return sum, errors.Join(<-synced, err)
}

func sumOfFile(f io.ReaderAt, size int64) (string, error) {
	h := sha256.New()
	n, err := io.CopyBuffer(h, onlyReader{io.NewSectionReader(f, 0, size)}, make([]byte, 256<<10))
	if err == nil && n < size {
		err = io.ErrUnexpectedEOF
	}
	return hexSum(h), err
}

// onlyReader hides the methods that would make CopyBuffer ignore the buffer.
type onlyReader struct{ io.Reader }

// clear makes the directory of a SIF and removes broken files in it.
func (s *Store) clear(root *os.Root, dir string) error {
	if info, err := root.Lstat(dir); err == nil && s.checkDir(info, dir) != nil {
		if err := root.RemoveAll(dir); err != nil {
			return err
		}
	}
	if err := s.makeRoom(root, dir); err != nil {
		return err
	}
	names, err := s.list(root, dir)
	for _, name := range names {
		if _, why := s.inspect(root, name); why != "" {
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
