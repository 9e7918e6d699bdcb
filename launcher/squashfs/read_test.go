package squashfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

func TestResolve(t *testing.T) {
	f, err := squashfs.Open(image(t, []entry{
		{Path: "bin", Mode: unix.S_IFLNK, Data: "usr/bin"},
		{Path: "file", Mode: unix.S_IFREG, Data: "x"},
		{Path: "grow", Mode: unix.S_IFLNK, Data: strings.Repeat("grow/", 800)},
		{Path: "loop", Mode: unix.S_IFLNK, Data: "/loop"},
		{Path: "up", Mode: unix.S_IFLNK, Data: "../../../usr/bin/sh"},
		{Path: "usr", Mode: unix.S_IFDIR},
		{Path: "usr/bin", Mode: unix.S_IFDIR},
		{Path: "usr/bin/sh", Mode: unix.S_IFLNK, Data: "/usr/bin/dash"},
		{Path: "usr/bin/dash", Mode: unix.S_IFREG, Data: "dash"},
	}, squashfs.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	want, err := f.Resolve("/usr/bin/dash")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"bin/sh", "/bin/../bin/./sh", "up", "/../../bin/dash"} {
		if got, err := f.Resolve(path); got != want || err != nil {
			t.Errorf("Resolve(%q) = %v, %v; want %v", path, got, err, want)
		}
	}
	for path, want := range map[string]error{
		"/bin/none": fs.ErrNotExist, "none/..": fs.ErrNotExist, "/loop": unix.ELOOP, "grow": unix.ENAMETOOLONG, "file/x": unix.ENOTDIR,
	} {
		if _, err := f.Resolve(path); !errors.Is(err, want) {
			t.Errorf("Resolve(%q) = %v, want %v", path, err, want)
		}
	}
	for _, root := range []string{"", "/", ".", "/.."} {
		if got, err := f.Resolve(root); got != f.Root() || err != nil {
			t.Errorf("Resolve(%q) = %v, %v; want the root", root, got, err)
		}
	}
}

// Any part of a file is read as written: across blocks, holes, the tail, and beyond the end.
func TestReadAt(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var data []byte
	for range 2500 { // more blocks than between two marks
		block := make([]byte, 4096)
		if kind := rng.IntN(3); kind > 0 {
			for i := range block {
				block[i] = byte(rng.IntN(kind * kind * 60))
			}
		}
		data = append(data, block...)
	}
	for _, tail := range []int{0, 1, 4095} {
		content := string(data) + strings.Repeat("t", tail)
		f, err := squashfs.Open(image(t, []entry{{Path: "a", Mode: unix.S_IFREG, Data: content}}, squashfs.Options{BlockSize: 4096}))
		if err != nil {
			t.Fatal(err)
		}
		ref, err := f.Resolve("a")
		if err != nil {
			t.Fatal(err)
		}
		file, err := f.OpenFile(ref)
		if err != nil {
			t.Fatal(err)
		}
		want := strings.NewReader(content)
		for range 2000 {
			off, p, q := rng.Int64N(int64(len(content))+100), make([]byte, rng.IntN(20000)), make([]byte, 20000)
			n, err := file.ReadAt(p, off)
			wantN, wantErr := want.ReadAt(q[:len(p)], off)
			if n != wantN || !errors.Is(err, wantErr) && len(p) > 0 || !bytes.Equal(p[:n], q[:n]) {
				t.Fatalf("ReadAt(%d bytes, %d) of %d = %d, %v; want %d, %v, or the bytes differ", len(p), off, len(content), n, err, wantN, wantErr)
			}
		}
		if _, err := file.ReadAt(nil, -1); err == nil {
			t.Error("ReadAt before the beginning gave no error")
		}
	}
}

func TestWrongKinds(t *testing.T) {
	f, err := squashfs.Open(image(t, []entry{{Path: "a", Mode: unix.S_IFREG, Data: "x"}}, squashfs.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	file, err := f.Resolve("a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.OpenFile(f.Root()); err == nil {
		t.Error("OpenFile of a directory gave no error")
	}
	if _, err := f.Readlink(file); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("Readlink of a file = %v, want fs.ErrInvalid", err)
	}
	if _, err := f.ReadDir(file); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("ReadDir of a file = %v, want ENOTDIR", err)
	}
	if _, err := f.Lookup(file, "x"); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("Lookup in a file = %v, want ENOTDIR", err)
	}
}

// Many readers of one file system read the same, also with caches that hold almost nothing.
func TestConcurrentReaders(t *testing.T) {
	entries := sample()
	f, err := squashfs.Open(image(t, entries, squashfs.Options{BlockSize: 4096}))
	if err != nil {
		t.Fatal(err)
	}
	f.ShrinkCaches(20 << 10)
	want := sorted(entries)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			got, err := read(f)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("a reader among others reads something else, %v:\n%.1000s", err, diff)
			}
		})
	}
	all.Wait()
}

// Lookups in a directory of 100,000 names use its index: looking up all names is not 100,000 reads
// of the whole directory.
func TestLargeDirectory(t *testing.T) {
	const n = 100_000
	r := image(t, largeDirectory(n), squashfs.Options{})
	f, err := squashfs.Open(r)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := f.Resolve("d")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := f.ReadDir(dir)
	if err != nil || len(entries) != n {
		t.Fatalf("ReadDir() = %d names, %v; want %d", len(entries), err, n)
	}
	for i, e := range entries {
		if want := fmt.Sprintf("name-%06d", i); e.Name != want {
			t.Fatalf("name %d is %q, want %q", i, e.Name, want)
		}
		if ref, err := f.Lookup(dir, e.Name); ref != e.Ref || err != nil {
			t.Fatalf("Lookup(%q) = %v, %v; want %v", e.Name, ref, err, e.Ref)
		}
	}
	for _, name := range []string{"", "a", "name-", "name-0000000", "name-050000x", "z"} {
		if _, err := f.Lookup(dir, name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Lookup(%q) = %v, want fs.ErrNotExist", name, err)
		}
	}
}

func largeDirectory(n int) []entry {
	entries := []entry{{Path: ".", Mode: unix.S_IFDIR | 0o755}, {Path: "d", Mode: unix.S_IFDIR | 0o755}}
	for i := range n {
		entries = append(entries, entry{Path: fmt.Sprintf("d/name-%06d", i), Mode: unix.S_IFIFO | 0o600})
	}
	return entries
}

// The export table maps inode numbers to inodes, and directories hold their parents' numbers.
func TestNumbers(t *testing.T) {
	f, err := squashfs.Open(image(t, sample(), squashfs.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	parents := map[uint32]uint32{}
	err = walk(f, f.Root(), ".", func(a squashfs.Attr, path string) error {
		if ref, err := f.Exported(a.Inode); ref != a.Ref || err != nil {
			t.Errorf("the export table has %v, %v for inode %d, %s; want %v", ref, err, a.Inode, path, a.Ref)
		}
		if a.IsDir() && path != "." && a.Parent != parents[a.Inode] {
			t.Errorf("%s has the parent %d, want %d", path, a.Parent, parents[a.Inode])
		}
		if !a.IsDir() {
			return nil
		}
		children, err := f.ReadDir(a.Ref)
		for _, c := range children {
			parents[c.Inode] = a.Inode
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []uint32{0, f.Inodes() + 1} {
		if _, err := f.Exported(n); err == nil {
			t.Errorf("there is an inode number %d", n)
		}
	}
}

// An error of the reader is passed on and not reported as damage.
func TestDeviceErrors(t *testing.T) {
	raw := write(t, sample(), squashfs.Options{})
	f, err := squashfs.Open(&failing{r: bytes.NewReader(raw), good: 2})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Stat(f.Root()); !errors.Is(err, unix.EIO) || errors.Is(err, squashfs.ErrCorrupt) {
		t.Errorf("Stat from a broken device = %v, want EIO", err)
	}
}

type failing struct {
	r    io.ReaderAt
	good int // how many reads succeed before the first error
}

func (f *failing) ReadAt(p []byte, off int64) (int, error) {
	if f.good--; f.good < 0 {
		return 0, unix.EIO
	}
	return f.r.ReadAt(p, off)
}
