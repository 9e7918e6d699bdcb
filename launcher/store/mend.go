package store

import (
	"io/fs"
	"os"
	"path"
	"syscall"
)

// Mend gives what others are to read in a shared directory the modes that let them, and returns the paths of what had others: its rooms,
// and the SIFs of images that anyone may have, and directories above that were made for it. It is for directories that were filled before the site shared them. Of an image that is known to be private,
// or not known not to be, the SIF stays as it is. links are as for Collect. Only what belongs to the caller or an owner is looked at.
func (s *Store) Mend(links func(blob []byte) []string) (mended []string, err error) {
	root, err := s.root(false)
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m := &mender{s, root, openWay(s.dir), nil}
	if info, err := root.Stat("."); err == nil && info.Mode().Perm()&0o055 == 0 { // a group of its own may have been let in
		m.set(".", info, publicDir)
	}
	for _, room := range []string{dirSIF, dirRefs, dirBlobs, dirBlobs + "/sha256", dirBlobs + "/sha512", dirLayers, dirLayers + "/sha256", dirLayers + "/sha512"} {
		m.room(room)
	}
	keys, err := s.entries(root, dirSIF)
	if err != nil {
		return m.mended, err
	}
	for _, k := range keys {
		m.room(path.Join(dirSIF, k.Name()))
	}
	images, err := s.Images()
	for _, i := range images {
		if info, gone := root.Lstat(i.name); gone == nil && i.Why == "" && info.Mode().Perm() != publicFile && s.publicImage(root, i.Digest, links) {
			m.set(i.name, info, publicFile)
		}
	}
	if err == nil {
		err = m.err
	}
	return m.mended, err
}

type mender struct {
	s      *Store
	root   *os.Root
	mended []string
	err    error // the first
}

func (m *mender) room(name string) {
	if info, err := m.root.Lstat(name); err == nil && info.IsDir() && info.Mode().Perm() != publicDir {
		m.set(name, info, publicDir)
	}
}

func (m *mender) set(name string, info fs.FileInfo, mode fs.FileMode) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !m.s.trusts(owner(info)) || !ok || info.Mode().IsRegular() && st.Nlink != 1 { // whose other name may be anywhere
		return
	}
	if err := m.root.Chmod(name, mode); err == nil {
		m.mended = append(m.mended, m.s.path(name))
	} else if m.err == nil {
		m.err = cacheFault(m.s.path(name), "letting others read", err)
	}
}

// publicImage tells whether anyone may have an image: its manifest and config came without credentials, and so did those of its layers that are here.
func (s *Store) publicImage(root *os.Root, digest string, links func(blob []byte) []string) bool {
	raw, ok, err := s.Blob(digest)
	if err != nil || !ok || !s.PublicBlob(digest) {
		return false
	}
	config := false
	for _, next := range links(raw) {
		algorithm, sum, err := splitDigest(next)
		if err != nil {
			return false
		}
		if _, err := root.Lstat(path.Join(dirBlobs, algorithm, sum)); err == nil {
			if !s.PublicBlob(next) {
				return false
			}
			config = true
		}
		if info, err := root.Lstat(path.Join(dirLayers, algorithm, sum)); err == nil && info.Mode().Perm()&0o004 == 0 {
			return false
		}
	}
	return config
}
