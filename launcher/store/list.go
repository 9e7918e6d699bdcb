package store

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Image is a SIF in a store.
type Image struct {
	Path    string
	Digest  string // of the manifest it was made of
	Arch    string // GOARCH spelling
	Version int    // FormatVersion of the hpc3 that made it
	Size    int64  // bytes
	Made    time.Time
	Used    time.Time // last start that could tell
	Why     string    // why it does not count; empty if it does

	name string // relative to the root
	key  string
}

// parseKey is the inverse of key. ok is false for a name that no version of hpc3 makes.
func parseKey(k string) (digest, arch string, version int, ok bool) {
	parts := strings.Split(k, "-")
	if len(parts) != 4 {
		return "", "", 0, false
	}
	digest, arch = parts[0]+":"+parts[1], parts[2]
	digits, isVersion := strings.CutPrefix(parts[3], "v")
	version, err := strconv.Atoi(digits)
	_, errKey := key(digest, arch)
	return digest, arch, version, isVersion && err == nil && errKey == nil
}

// Images returns every SIF, including those that do not count.
func (s *Store) Images() ([]Image, error) {
	root, err := s.root(false)
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	keys, err := s.entries(root, dirSIF)
	if err != nil {
		return nil, err
	}
	var images []Image
	for _, k := range keys {
		names, err := s.entries(root, path.Join(dirSIF, k.Name()))
		if err != nil {
			return images, err
		}
		for _, n := range names {
			images = append(images, s.imageOf(root, k.Name(), n.Name()))
		}
	}
	return images, nil
}

func (s *Store) imageOf(root *os.Root, k, base string) Image {
	dir := path.Join(dirSIF, k)
	i := Image{key: k, name: path.Join(dir, base), Path: s.path(path.Join(dir, base))}
	digest, arch, version, ok := parseKey(k)
	i.Digest, i.Arch, i.Version = digest, arch, version
	info, why := s.inspect(root, i.name)
	if info == nil {
		info, _ = root.Lstat(i.name) // why says what is wrong with it
	}
	if info != nil {
		i.Size, i.Used = info.Size(), s.used(info)
	}
	at, err := root.Lstat(dir)
	switch i.Why = why; {
	case err != nil:
		i.Why = cause(err).Error()
	case !ok:
		i.Why = "its directory is not that of a SIF"
	case s.checkDir(at, dir) != nil:
		i.Why = "others may write to its directory"
	}
	if err == nil {
		i.Made = at.ModTime()
	}
	return i
}

// used returns when a file was last used. A start updates the time of its SIF; if other users own
// the file it may not, and then the access time tells.
func (s *Store) used(info fs.FileInfo) time.Time {
	when := info.ModTime()
	if st, ok := info.Sys().(*syscall.Stat_t); ok && s.opt.Shared {
		if read := time.Unix(st.Atim.Unix()); read.After(when) {
			return read
		}
	}
	return when
}

// entries lists a directory, sorted by name; nil if there is none.
func (s *Store) entries(root *os.Root, dir string) ([]fs.DirEntry, error) {
	d, err := fs.ReadDir(root.FS(), dir)
	if missing(err) || errors.Is(err, syscall.ENOTDIR) ||
		s.opt.Shared && errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	if err != nil {
		return nil, cacheFault(s.dir, "reading the cache", err)
	}
	return d, nil
}

// Pins returns all intact pins, in no particular order.
func (s *Store) Pins() ([]Pin, error) {
	root, err := s.root(false)
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	entries, err := s.entries(root, dirRefs)
	if err != nil {
		return nil, err
	}
	var pins []Pin
	for _, e := range entries {
		if p, ok := s.pinIn(e.Name()); ok {
			pins = append(pins, p)
		}
	}
	return pins, nil
}

// pinIn reads the pin in a file of this name.
func (s *Store) pinIn(name string) (Pin, bool) {
	raw, err := s.readSmall(path.Join(dirRefs, name), maxPin)
	if err != nil || raw == nil {
		return Pin{}, false
	}
	p, ok := decodePin(raw)
	return p, ok && pinName(p.Reference) == name
}

// Used notes that a SIF is used now, if the caller may: one system call, by the file system's
// clock.
func Used(file string) {
	_ = unix.UtimesNanoAt(unix.AT_FDCWD, file, []unix.Timespec{
		{Nsec: unix.UTIME_OMIT},
		{Nsec: unix.UTIME_NOW},
	}, 0)
}
