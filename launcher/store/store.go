// Package store keeps what hpc3 made or fetched under one directory of the user: SIF files by the digest of the
// manifest they were made of, small blobs by digest, and which digest a reference named when it was last asked.
//
// Every file appears whole or not at all: it is written under a temporary name in the same file system and renamed.
// Many processes, of one node or of several, may use one directory at once.
//
//	DIR/sif/ALGORITHM-HEX-ARCH-vN/SIZE.sif   the size in the name tells a file that was cut short
//	DIR/blobs/ALGORITHM/HEX                  manifests and configs
//	DIR/refs/HEX.json                        pins, named by the SHA-256 of the reference
//	DIR/tmp                                  files being written
//	DIR/locks                                a file per SIF that is being made
package store

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

// FormatVersion is part of each SIF's name. It is raised when the same image would be converted to other bytes,
// so that two versions of hpc3 can share a directory.
const FormatVersion = 2

// The rooms of the directory.
const (
	dirSIF   = "sif"
	dirBlobs = "blobs"
	dirRefs  = "refs"
	dirTmp   = "tmp"
	dirLocks = "locks"
)

// Store is a cache directory. Its methods may be called concurrently.
type Store struct {
	// OnWait, if set, is called once by a CreateSIF that has to wait for another process; path is the lock it waits for.
	OnWait func(path string)

	dir   string
	boot  string
	flock func(*os.File) error // the system's; tests put one that is not supported

	mu   sync.Mutex
	open *os.Root // nil until the directory is known to exist
}

// Open returns the store in dir. The directory need not exist: it is made when something is written. An existing one
// must belong to the caller and be writable by no one else, or the error is a fault.Cache with a hint.
func Open(dir string) (*Store, error) {
	if dir == "" {
		return nil, fault.New(fault.Cache, "opening the cache: no directory is known").
			Hint("set HPC3_CACHEDIR to a directory of your own")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, cacheFault(dir, "opening the cache", err)
	}
	s := &Store{dir: abs, boot: bootID(), flock: flock}
	if _, err := s.root(false); err != nil && !missing(err) {
		return nil, err
	}
	return s, nil
}

// Dir returns the absolute path of the directory.
func (s *Store) Dir() string { return s.dir }

// root returns the open directory, making it if create is set. Everything goes through this descriptor, whose owner and
// mode were checked: a directory that is swapped later is not followed. The error is fs.ErrNotExist or a fault.Cache.
func (s *Store) root(create bool) (*os.Root, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open != nil {
		return s.open, nil
	}
	if create {
		if err := os.MkdirAll(s.dir, 0o700); err != nil {
			return nil, cacheFault(s.dir, "making the cache", err)
		}
	}
	root, err := openDir(s.dir)
	if missing(err) && !create {
		return nil, fs.ErrNotExist
	}
	if err != nil {
		return nil, cacheFault(s.dir, "opening the cache", err)
	}
	if err := s.checkOwner(root); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	s.open = root
	return root, nil
}

// openDir opens a directory and nothing else: opening a FIFO would hang.
func openDir(dir string) (*os.Root, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, syscall.ENOTDIR
	}
	return os.OpenRoot(dir)
}

// missing is true for errors that mean "there is no such file".
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// checkOwner refuses a directory into which others could put files.
func (s *Store) checkOwner(root *os.Root) error {
	link, err := os.Lstat(s.dir)
	if err != nil {
		return cacheFault(s.dir, "opening the cache", err)
	}
	uid := uint32(os.Geteuid())
	if link.Mode()&fs.ModeSymlink != 0 && owner(link) != uid && owner(link) != 0 {
		return s.refuse("it is a symbolic link of another user (uid %d)", owner(link)).
			Hint("remove the link, or set HPC3_CACHEDIR to a directory of your own")
	}
	dir, err := root.Stat(".")
	if err != nil {
		return cacheFault(s.dir, "opening the cache", err)
	}
	if owner(dir) != uid {
		return s.refuse("it belongs to uid %d, and you are uid %d", owner(dir), uid).
			Hint("set HPC3_CACHEDIR to a directory of your own")
	}
	if dir.Mode().Perm()&0o022 != 0 {
		return s.refuse("others may write to it (mode %#o)", dir.Mode().Perm()).
			Hint("chmod go-w %q, or set HPC3_CACHEDIR to a directory of your own", s.dir)
	}
	return nil
}

func (s *Store) refuse(format string, args ...any) *fault.Error {
	return fault.New(fault.Cache, "refusing the cache %q: %w", s.dir, fmt.Errorf(format, args...))
}

// ready returns the open directory with the named rooms in it.
func (s *Store) ready(rooms ...string) (*os.Root, error) {
	root, err := s.root(true)
	if err != nil {
		return nil, err
	}
	for _, room := range rooms {
		if err := root.MkdirAll(room, 0o700); err != nil {
			return nil, cacheFault(s.dir, "making the cache", err)
		}
	}
	return root, nil
}

// path returns the absolute path of a name relative to the directory.
func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

func owner(info fs.FileInfo) uint32 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Uid
	}
	return ^uint32(0)
}

// trusted says whether info is a file that only the caller can have written.
func trusted(info fs.FileInfo) bool {
	return info.Mode().IsRegular() && owner(info) == uint32(os.Geteuid()) && info.Mode().Perm()&0o022 == 0
}

// splitDigest takes a digest apart. Only well-formed ones become part of a path.
func splitDigest(digest string) (algorithm, sum string, err error) {
	algorithm, sum, _ = strings.Cut(digest, ":")
	raw, err := hex.DecodeString(sum)
	h := newHash(algorithm)
	if err != nil || h == nil || len(raw) != h.Size() || strings.ToLower(sum) != sum {
		return "", "", fault.New(fault.Cache, "reading the cache: %q is not a digest", digest)
	}
	return algorithm, sum, nil
}

// newHash returns nil for an algorithm that image-spec does not register.
func newHash(algorithm string) hash.Hash {
	switch algorithm {
	case "sha256":
		return sha256.New()
	case "sha512":
		return sha512.New()
	}
	return nil
}
