package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hpc3-project/hpc3/launcher/convert"
	"github.com/hpc3-project/hpc3/launcher/outside"
	"github.com/hpc3-project/hpc3/launcher/run/inside"
	"github.com/hpc3-project/hpc3/launcher/store"
)

// Config returns the config of an image of which a cache has the SIF, and keeps what it read of
// that for Obtain.
func (s *Source) Config(digest, arch string) (config []byte, made bool, err error) {
	if s.Asks {
		return nil, false, nil
	}
	s.made.Close()
	s.of = choice{digest, arch}
	s.made, err = s.find(digest, arch)
	return s.made.Contents.Config, s.made.Path != "", err
}

// take returns the SIF that a cache has, with an empty Path if none has it: the one that Config
// found.
func (s *Source) take(digest, arch string) (Image, error) {
	found, of := s.made, s.of
	s.made, s.of = Image{}, choice{}
	if found.Path != "" && of == (choice{digest, arch}) {
		return found, nil
	}
	found.Close()
	return s.find(digest, arch)
}

// maxDamaged bounds in how many caches a SIF may be damaged.
const maxDamaged = 8

// find looks for a SIF in the caches, and opens it once. Its Path is empty if there is none.
func (s *Source) find(digest, arch string) (Image, error) {
	for range maxDamaged {
		path, err := s.Caches.SIF(digest, arch)
		if err != nil || path == "" {
			return Image{}, err
		}
		img, gone, err := s.hold(path)
		switch {
		case gone:
			continue
		case err == nil:
			return img, nil
		case vanished(path, err), damaged(err) && s.Looks:
			return Image{}, nil
		case !damaged(err) || !s.putAside(path, err):
			return img, err
		}
	}
	return Image{}, nil
}

// hold opens the SIF of a cache, keeps it from being cleared, and reads what it says of itself.
// gone tells that it was removed before.
func (s *Source) hold(path string) (img Image, gone bool, err error) {
	img.Path = path
	if !s.Looks {
		if img.Held, gone = store.Hold(path); gone {
			return Image{}, true, nil
		}
	}
	if img.Held != nil {
		img.Contents, err = convert.InspectFile(img.Held)
	} else {
		img.Contents, err = convert.Inspect(path)
	}
	if err == nil && (len(img.Contents.Config) == 0 || img.Contents.Sums.Size == 0) {
		err = fmt.Errorf("%s is %w: parts of it are not there", path, convert.ErrNotSIF)
	}
	if err != nil {
		img.Close()
		img.Held = nil
	}
	return img, false, err
}

// vanished tells whether something went wrong with a SIF because it was removed.
func vanished(path string, err error) bool {
	_, gone := os.Lstat(path)
	return errors.Is(gone, os.ErrNotExist) || errors.Is(err, syscall.ESTALE)
}

// damaged tells whether an error says that a SIF is not what was written, rather than that it could
// not be read.
func damaged(err error) bool {
	return errors.Is(err, convert.ErrNotSIF) && !errors.As(err, new(syscall.Errno))
}

// putAside sets a damaged SIF of a cache aside, and tells whether it is not found again.
func (s *Source) putAside(path string, why error) bool {
	f, err := outside.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	if _, gone := s.Aside(path).Put(path, f); !gone {
		return false
	}
	s.Sayf("warning: %v; it is set aside, and the image is made anew", why)
	return true
}

// Aside says what becomes of the SIF of a cache if it turns out to be damaged.
func (s *Source) Aside(path string) inside.Aside {
	a := inside.Aside{Name: store.Aside(path)}
	own, err := s.Caches.Own()
	if err == nil && !strings.HasPrefix(path, own.Dir()+string(filepath.Separator)) {
		a.Mark = own.DamageMark(path)
	}
	return a
}
