package store

import (
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"path"
	"path/filepath"
	"time"
)

// maxBlob is the largest blob that is kept: manifests have at most 4 MiB (distribution-spec), and
// configs are about as large.
const maxBlob = 16 << 20

// Blob returns the blob with this digest, and whether it is there. Its digest is checked: a damaged
// file is removed and counts as absent.
func (s *Store) Blob(digest string) (raw []byte, ok bool, err error) {
	algorithm, sum, err := splitDigest(digest)
	if err != nil {
		return nil, false, err
	}
	name := path.Join(dirBlobs, algorithm, sum)
	raw, err = s.readSmall(name, maxBlob)
	if err != nil || raw == nil {
		return nil, false, err
	}
	if sumOf(algorithm, raw) == sum {
		return raw, true, nil
	}
	if root, err := s.root(false); err == nil {
		_ = root.Remove(name)
	}
	return nil, false, nil
}

// PutBlob keeps a blob of at most 16 MiB. The digest must be its own.
func (s *Store) PutBlob(digest string, raw []byte) error {
	algorithm, sum, err := splitDigest(digest)
	if err != nil {
		return err
	}
	if len(raw) > maxBlob {
		return ErrUnusable.New("writing blob %s: it is larger than %d bytes", digest, maxBlob)
	}
	if got := sumOf(algorithm, raw); got != sum {
		return ErrUnusable.New("writing blob %s: %w", digest,
			fmt.Errorf("its digest is %s:%s", algorithm, got))
	}
	// a public blob stays public, even if it was fetched again with credentials
	if !s.public() && s.PublicBlob(digest) {
		if _, ok, err := s.Blob(digest); err == nil && ok {
			Used(s.path(path.Join(dirBlobs, algorithm, sum)))
			return nil
		}
	}
	return s.writeSmall(path.Join(dirBlobs, algorithm), sum, raw)
}

// keptFor is longer than most jobs last.
const keptFor = 30 * 24 * time.Hour

// KeepFile keeps a file that containers of the caller bind, and returns its path. Whether a
// container on another node still has it cannot be known, so its time lies in the future: Collect
// spares it until then. An existing file is kept: replacing it would pull it from containers that
// have it mounted.
func (s *Store) KeepFile(raw []byte) (file string, err error) {
	sum := sumOf("sha256", raw)
	if _, ok, err := s.Blob("sha256:" + sum); err != nil || !ok {
		if err = errors.Join(err, s.PutBlob("sha256:"+sum, raw)); err != nil {
			return "", err
		}
	}
	root, err := s.root(false)
	if err != nil {
		return "", err
	}
	name, until := path.Join(dirBlobs, "sha256", sum), time.Now().Add(keptFor)
	return filepath.Join(s.dir, name), errors.Join(root.Chmod(name, privateFile),
		root.Chtimes(name, until, until))
}

func sumOf(algorithm string, raw []byte) string {
	h := newHash(algorithm)
	h.Write(raw)
	return hexSum(h)
}

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// PublicBlob reports whether anyone may read a blob: whether it came without credentials.
func (s *Store) PublicBlob(digest string) bool {
	algorithm, sum, err := splitDigest(digest)
	if err != nil {
		return false
	}
	root, err := s.root(false)
	if err != nil {
		return false
	}
	info, err := root.Lstat(path.Join(dirBlobs, algorithm, sum))
	return err == nil && s.trusted(info) && info.Mode().Perm()&0o004 != 0
}
