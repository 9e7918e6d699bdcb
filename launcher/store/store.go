// Package store keeps what hpc3 made or fetched under one directory of the user: SIF files by the
// digest of the manifest they were made of, small blobs by digest, and which digest a reference
// named when it was last asked.
//
// Every file appears whole or not at all: it is written under a temporary name in the same file
// system and renamed. Many processes, of one node or of several, may use one directory at once.
//
//	DIR/sif/ALGORITHM-HEX-ARCH-vN/SIZE-HEX.sif   named by size and SHA-256
//	DIR/blobs/ALGORITHM/HEX                      manifests and configs
//	DIR/blobs/layers/ALGORITHM/HEX               layers, compressed as they came
//	DIR/partial/ALGORITHM-HEX                    incomplete layers, for the next fetch
//	DIR/refs/HEX.json                            pins, named by the SHA-256 of the reference
//	DIR/floors/ALGORITHM-HEX.json                what the code of an image needs, by its manifest
//	DIR/tmp                                      files being written
//	DIR/locks                                    a file per SIF that is being made
//	DIR/words                                    notices that processes leave one another
//	DIR/answers                                  what was found out about a node
package store

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// FormatVersion is part of each SIF's name. It is raised when the same image would be converted to
// other bytes, so that two versions of hpc3 can share a directory.
const FormatVersion = 3

// The rooms of the directory.
const (
	dirSIF     = "sif"
	dirBlobs   = "blobs"
	dirLayers  = "blobs/layers"
	dirPartial = "partial"
	dirRefs    = "refs"
	dirFloors  = "floors"
	dirTmp     = "tmp"
	dirLocks   = "locks"
	dirNotices = "words"
	dirAnswers = "answers"
)

// Store is a cache directory. Its methods may be called concurrently.
type Store struct {
	// OnWait, if set, is called once by a CreateSIF that waits for another process; path is the
	// lock.
	OnWait func(path string)

	opt   Options
	dir   string
	boot  string
	flock func(*os.File) error // the system's; tests put one that is not supported

	mu   sync.Mutex
	open *os.Root // nil until the directory is known to exist
}

// Options says who uses a directory. The zero value is for one that only the caller uses.
type Options struct {
	Owners []uint32 // uids whose files count as well as the caller's
	Shared bool     // others read it: what anyone may read gets a mode that lets them
	// Public reports whether anyone may read what is being written, as far as is known by then; nil
	// for no. Blobs and layers record the answer in their mode, even in a directory of the caller's
	// own.
	Public func() bool
}

// Open returns the store in dir. The directory is made when something is first written. An existing
// one must belong to the caller and be writable by no one else, or the error is ErrUnusable with a
// hint.
func Open(dir string) (*Store, error) { return OpenWith(dir, Options{}) }

// OpenWith is Open for a directory that may also belong to one of the owners.
func OpenWith(dir string, opt Options) (*Store, error) {
	if dir == "" {
		return nil, ErrUnusable.New("opening the cache: no directory is known").
			Hint("set HPC3_CACHEDIR to a directory of your own")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, cacheFault(dir, "opening the cache", err)
	}
	s := &Store{opt: opt, dir: abs, boot: bootID(), flock: flock}
	if _, err := s.root(false); err != nil && !missing(err) {
		return nil, err
	}
	return s, nil
}

// Dir returns the absolute path of the directory.
func (s *Store) Dir() string { return s.dir }

// root returns the open directory, and makes it if create is set. All access goes through this
// descriptor, whose owner and mode were checked: a directory that is swapped later is not followed.
// The error is fs.ErrNotExist or ErrUnusable.
func (s *Store) root(create bool) (*os.Root, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open != nil {
		return s.open, nil
	}
	made := false
	if create {
		var err error
		if made, err = s.makeDir(); err != nil {
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
	if made && s.opt.Shared {
		if err := root.Chmod(".", publicDir); err != nil { // whatever the umask
			return nil, cacheFault(s.dir, "making the cache", errors.Join(err, root.Close()))
		}
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

// missing reports whether an error means "there is no such file".
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// ready returns the open directory with the named rooms in it.
func (s *Store) ready(rooms ...string) (*os.Root, error) {
	root, err := s.root(true)
	if err != nil {
		return nil, err
	}
	for _, room := range rooms {
		if err := s.makeRoom(root, room); err != nil {
			return nil, cacheFault(s.dir, "making the cache", err)
		}
	}
	return root, nil
}

// path returns the absolute path of a name relative to the directory.
func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

// splitDigest takes a digest apart. Only a well-formed digest becomes part of a path.
func splitDigest(digest string) (algorithm, sum string, err error) {
	algorithm, sum, _ = strings.Cut(digest, ":")
	raw, err := hex.DecodeString(sum)
	h := newHash(algorithm)
	if err != nil || h == nil || len(raw) != h.Size() || strings.ToLower(sum) != sum {
		return "", "", ErrUnusable.New("reading the cache: %q is not a digest", digest)
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
