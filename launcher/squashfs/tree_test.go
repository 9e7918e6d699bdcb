package squashfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// entry is a file of a tree, as tests write and compare it.
type entry struct {
	Path   string
	Mode   uint32 // as st_mode
	UID    uint32
	GID    uint32
	Time   int64
	Data   string // content, or target
	Major  uint32
	Minor  uint32
	Xattrs string // name=value
	Link   string // hard link to this path, the first of the inode's
}

// write makes a file system of entries, in which parents precede their children.
func write(t testing.TB, entries []entry, opt squashfs.Options) []byte {
	t.Helper()
	var out writeSeeker
	w, err := squashfs.NewWriter(&out, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	size, err := w.Finish(build(t, w, entries))
	if err != nil {
		t.Fatalf("Finish: %v", err)
	}
	if size != int64(len(out.data)) || size%4096 != 0 {
		t.Fatalf("Finish() = %d, and %d bytes were written", size, len(out.data))
	}
	return out.data
}

// build adds the entries to w and returns the tree.
func build(t testing.TB, w *squashfs.Writer, entries []entry) *squashfs.Dir {
	t.Helper()
	root := &squashfs.Dir{Meta: squashfs.Meta{Mode: 0o755}, Entries: map[string]squashfs.Node{}}
	dirs := map[string]*squashfs.Dir{".": root}
	inodes := map[string]*squashfs.Inode{}
	for _, e := range entries {
		m := squashfs.Meta{Mode: e.Mode & 0o7777, UID: e.UID, GID: e.GID, ModTime: e.Time}
		if e.Xattrs != "" {
			name, value, _ := strings.Cut(e.Xattrs, "=")
			m.Xattrs = []squashfs.Xattr{{Name: name, Value: []byte(value)}}
		}
		parent, name := dirs[filepath.Dir(e.Path)], filepath.Base(e.Path)
		switch {
		case e.Path == ".":
			root.Meta = m
		case e.Mode&unix.S_IFMT == unix.S_IFDIR && e.Link == "":
			d := &squashfs.Dir{Meta: m, Entries: map[string]squashfs.Node{}}
			parent.Entries[name], dirs[e.Path] = d, d
		default:
			if inodes[e.Path] = inodes[e.Link]; e.Link == "" {
				inodes[e.Path] = add(t, w, m, e)
			}
			parent.Entries[name] = inodes[e.Path]
		}
	}
	return root
}

func add(t testing.TB, w *squashfs.Writer, m squashfs.Meta, e entry) *squashfs.Inode {
	t.Helper()
	switch e.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		in, err := w.File(m, int64(len(e.Data)), strings.NewReader(e.Data))
		if err != nil {
			t.Fatalf("File(%s): %v", e.Path, err)
		}
		return in
	case unix.S_IFLNK:
		return w.Symlink(m, e.Data)
	case unix.S_IFBLK:
		return w.Special(m, squashfs.BlockDevice, e.Major, e.Minor)
	case unix.S_IFCHR:
		return w.Special(m, squashfs.CharDevice, e.Major, e.Minor)
	case unix.S_IFIFO:
		return w.Special(m, squashfs.Fifo, 0, 0)
	default:
		return w.Special(m, squashfs.Socket, 0, 0)
	}
}

type writeSeeker struct {
	data []byte
	at   int64
}

func (w *writeSeeker) Write(p []byte) (int, error) {
	if need := w.at + int64(len(p)); need > int64(len(w.data)) {
		w.data = append(w.data, make([]byte, need-int64(len(w.data)))...)
	}
	w.at += int64(copy(w.data[w.at:], p))
	return len(p), nil
}

func (w *writeSeeker) Seek(off int64, whence int) (int64, error) {
	if whence == io.SeekCurrent {
		off += w.at
	}
	w.at = off
	return off, nil
}

func (w *writeSeeker) Truncate(size int64) error {
	w.data = w.data[:size]
	return nil
}

// list reads a whole file system back.
func list(t testing.TB, r io.ReaderAt) []entry {
	t.Helper()
	f, err := squashfs.Open(r)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := read(f)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func read(f *squashfs.FS) ([]entry, error) {
	var entries []found
	err := walk(f, f.Root(), ".", func(a squashfs.Attr, path string) error {
		e, err := describe(f, a)
		e.Path = path
		entries = append(entries, found{e, uint64(a.Inode)})
		return err
	})
	return linked(entries), err
}

// found is an entry and the number of its inode.
type found struct {
	entry
	inode uint64
}

// linked sorts entries by path and turns all names of an inode but the first into hard links.
func linked(entries []found) []entry {
	slices.SortFunc(entries, func(a, b found) int { return strings.Compare(a.Path, b.Path) })
	first := map[uint64]string{}
	var plain []entry
	for _, e := range entries {
		path, ok := first[e.inode]
		if ok && e.Mode&unix.S_IFMT != unix.S_IFDIR {
			e.entry = entry{Path: e.Path, Link: path}
		} else {
			first[e.inode] = e.Path
		}
		plain = append(plain, e.entry)
	}
	return plain
}

var errDeep = errors.New("too deep")

func walk(f *squashfs.FS, ref squashfs.Ref, path string, visit func(squashfs.Attr, string) error) error {
	a, err := f.Stat(ref)
	if err != nil {
		return err
	}
	if err := visit(a, path); err != nil || !a.IsDir() {
		return err
	}
	if strings.Count(path, "/") > 50 {
		return errDeep
	}
	children, err := f.ReadDir(ref)
	if err != nil {
		return err
	}
	for _, c := range children {
		if found, err := f.Lookup(ref, c.Name); err != nil || found != c.Ref {
			return fmt.Errorf("Lookup(%s) = %v, %w; ReadDir says %v", c.Name, found, err, c.Ref)
		}
		if err := walk(f, c.Ref, filepath.Join(path, c.Name), visit); err != nil {
			return err
		}
	}
	return nil
}

func describe(f *squashfs.FS, a squashfs.Attr) (entry, error) {
	e := entry{Mode: a.Mode, UID: a.UID, GID: a.GID, Time: a.ModTime, Major: a.Major, Minor: a.Minor}
	xattrs, err := f.Xattrs(a.Ref)
	if err != nil {
		return e, err
	}
	for _, x := range xattrs {
		e.Xattrs += x.Name + "=" + string(x.Value)
	}
	switch a.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		data := make([]byte, min(a.Size, 64<<20))
		if n, err := f.ReadAt(a.Ref, data, 0); n != len(data) {
			return e, fmt.Errorf("%d bytes of %d: %w", n, len(data), err)
		}
		e.Data = string(data)
	case unix.S_IFLNK:
		e.Data, err = f.Readlink(a.Ref)
	}
	return e, err
}

// sample returns a tree with everything that the format can hold.
func sample() []entry {
	rng := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, 300<<10)
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	text := strings.Repeat("all work and no play makes jack a dull boy\n", 20000)
	dir, file := uint32(unix.S_IFDIR|0o755), uint32(unix.S_IFREG|0o644)
	entries := []entry{
		{Path: ".", Mode: dir, Time: 1700000000},
		{Path: "dev", Mode: dir},
		{Path: "dev/null", Mode: unix.S_IFCHR | 0o666, Major: 1, Minor: 3},
		{Path: "dev/wide", Mode: unix.S_IFBLK | 0o600, Major: 0xabc, Minor: 0x12345},
		{Path: "dev/pipe", Mode: unix.S_IFIFO | 0o600},
		{Path: "dev/pipe.too", Link: "dev/pipe"},
		{Path: "dev/socket", Mode: unix.S_IFSOCK | 0o755},
		{Path: "empty", Mode: file, Time: 5},
		{Path: "holes", Mode: file, Data: "begin" + strings.Repeat("\x00", 1<<20) + "end"},
		{Path: "link", Mode: unix.S_IFLNK | 0o777, Data: "../a/../b"},
		{Path: "many", Mode: dir, UID: 1000, GID: 100000},
		{Path: "random", Mode: file, Data: string(random)},
		{Path: "random2", Mode: file, Data: string(random)},
		{Path: "setuid", Mode: unix.S_IFREG | 0o4755, Data: "x", Xattrs: "security.capability=\x01\x00\x00\x02\x00\x20\x00\x00" + strings.Repeat("\x00", 12)},
		{Path: "small", Mode: file, Data: "small", UID: 65534},
		{Path: "small2", Mode: file, Data: "small"},
		{Path: "small3", Mode: file, Data: "smaller", Xattrs: "user.note=" + strings.Repeat("v", 3000)},
		{Path: "text", Mode: file, Data: text},
		{Path: "text.hard", Link: "text"},
		{Path: "trusted", Mode: unix.S_IFLNK | 0o777, Data: "text", Xattrs: "trusted.x=\x00\xff"},
		{Path: "with blank\nand line break ü", Mode: file, Data: "odd"},
		{Path: "xdir", Mode: dir, Xattrs: "user.dir=1"},
		{Path: "zeros", Mode: file, Data: strings.Repeat("\x00", 5000)},
	}
	for i := range 3000 {
		entries = append(entries, entry{Path: fmt.Sprintf("many/%s-%04d", strings.Repeat("n", i%40), i), Mode: file, Data: fmt.Sprint(i)})
	}
	return entries
}

func sorted(entries []entry) []entry {
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.Path, b.Path) })
	return entries
}

// image opens the file system that write makes.
func image(t testing.TB, entries []entry, opt squashfs.Options) *bytes.Reader {
	t.Helper()
	return bytes.NewReader(write(t, entries, opt))
}
