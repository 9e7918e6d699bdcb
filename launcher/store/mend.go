package store

import (
	"io/fs"
	"os"
	"path"
	"syscall"
)

// Mend gives a directory that was filled before the site shared it the modes that others need, and
// returns the changed paths: its rooms, the SIFs of public images, and directories above that were
// made for it. The SIF of an image that is private, or not known to be public, keeps its mode. Only
// files of the caller or an owner are touched. links is as for Collect.
func (s *Store) Mend(links func(blob []byte) []string) (mended []string, err error) {
	root, err := s.root(false)
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m := &mender{s, root, openParents(s.dir), nil}
	// a mode that admits a group is deliberate
	if info, err := root.Stat("."); err == nil && info.Mode().Perm()&0o055 == 0 {
		m.set(".", info, publicDir)
	}
	for _, room := range []string{
		dirSIF, dirRefs, dirFloors, dirBlobs, dirBlobs + "/sha256", dirBlobs + "/sha512",
		dirLayers, dirLayers + "/sha256", dirLayers + "/sha512",
	} {
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
		if info, gone := root.Lstat(i.name); gone == nil && i.Why == "" &&
			info.Mode().Perm() != publicFile && s.publicImage(root, i.Digest, links) {
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
	if info, err := m.root.Lstat(name); err == nil && info.IsDir() &&
		info.Mode().Perm() != publicDir {
		m.set(name, info, publicDir)
	}
}

func (m *mender) set(name string, info fs.FileInfo, mode fs.FileMode) {
	st, ok := info.Sys().(*syscall.Stat_t)
	// another hard link may be anywhere
	if !m.s.trusts(owner(info)) || !ok || info.Mode().IsRegular() && st.Nlink != 1 {
		return
	}
	if err := m.root.Chmod(name, mode); err == nil {
		m.mended = append(m.mended, m.s.path(name))
	} else if m.err == nil {
		m.err = cacheFault(m.s.path(name), "letting others read", err)
	}
}

// publicImage reports whether anyone may have an image: its manifest and config came without
// credentials, and so did those of its layers that are in the store.
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
		if info, err := root.Lstat(path.Join(dirLayers, algorithm, sum)); err == nil &&
			info.Mode().Perm()&0o004 == 0 {
			return false
		}
	}
	return config
}
