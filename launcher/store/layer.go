package store

import (
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"slices"
	"strings"
)

// DamagedError is in the chain if the cache's copy of a layer is damaged. The copy was removed: the
// next try gets the layer from elsewhere.
type DamagedError struct{ Digest, Why string }

func (e *DamagedError) Error() string {
	return fmt.Sprintf("reading layer %s from the cache: %s", e.Digest, e.Why)
}

// Layer returns a reader of a stored layer, and whether anyone may read it; ok is false if there is
// no copy of this size. The digest is checked while reading: io.EOF means that it matched.
func (s *Store) Layer(digest string, size int64) (r io.ReadCloser, public, ok bool) {
	algorithm, sum, err := splitDigest(digest)
	if err != nil {
		return nil, false, false
	}
	root, err := s.root(false)
	if err != nil {
		return nil, false, false
	}
	name := path.Join(dirLayers, algorithm, sum)
	if info, err := root.Lstat(name); err != nil || !s.trusted(info) {
		return nil, false, false
	}
	f, err := openQuietly(root, name)
	if err != nil {
		return nil, false, false
	}
	info, err := f.Stat()
	if err != nil || !s.trusted(info) || info.Size() != size {
		_ = f.Close() // nothing was written to it
		return nil, false, false
	}
	Used(s.path(name))
	l := &keptLayer{
		File: f, digest: digest, want: sum, hash: newHash(algorithm),
		drop: func() { _ = root.Remove(name) },
	}
	return l, info.Mode().Perm()&0o004 != 0, true
}

// keptLayer checks what it reads.
type keptLayer struct {
	*os.File
	digest, want string
	hash         hash.Hash
	drop         func()
}

func (l *keptLayer) Read(p []byte) (int, error) {
	n, err := l.File.Read(p)
	l.hash.Write(p[:n])
	switch {
	case err == nil || n > 0:
		return n, nil // an error that came with data comes again
	case !errors.Is(err, io.EOF):
		l.drop()
		return 0, l.damaged(cause(err).Error())
	}
	if got := hexSum(l.hash); got != l.want {
		l.drop()
		return 0, l.damaged("its content has another digest, " + got)
	}
	return 0, io.EOF
}

// WriteTo hides os.File's own, which would bypass the check.
func (l *keptLayer) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, onlyReader{l}) }

func (l *keptLayer) damaged(why string) error { return damagedLayer(l.digest, why) }

func damagedLayer(digest, why string) error {
	return ErrUnusable.New("%w", &DamagedError{digest, why}).Hint("it was removed: try again")
}

// Evict removes the least recently used layers until the rest has at most limit bytes; a negative
// limit means none. It returns how many bytes were freed.
func (s *Store) Evict(limit int64) (freed int64) {
	root, err := s.root(false)
	if err != nil || limit < 0 {
		return 0
	}
	blobs, err := s.blobs(root)
	if err != nil {
		return 0
	}
	blobs = slices.DeleteFunc(blobs, func(b blobFile) bool { return b.kind != KindLayer })
	slices.SortFunc(blobs, func(a, b blobFile) int { // the least recently used first
		if c := a.info.ModTime().Compare(b.info.ModTime()); c != 0 {
			return c
		}
		return strings.Compare(a.name, b.name)
	})
	var sum int64
	for _, b := range blobs {
		sum += b.info.Size()
	}
	for _, b := range blobs {
		if sum <= limit {
			break
		}
		if root.Remove(b.name) == nil {
			sum, freed = sum-b.info.Size(), freed+b.info.Size()
		}
	}
	return freed
}
