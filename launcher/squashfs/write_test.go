package squashfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

func TestRoundTrip(t *testing.T) {
	for _, opt := range []squashfs.Options{
		{}, {Compression: squashfs.Gzip}, {Compression: squashfs.LZ4}, {Level: 9}, {BlockSize: 4096, Workers: 1}, {BlockSize: 1 << 20, Workers: 3},
	} {
		t.Run(fmt.Sprintf("%+v", opt), func(t *testing.T) {
			if diff := cmp.Diff(sorted(sample()), list(t, image(t, sample(), opt))); diff != "" {
				t.Errorf("what is read differs from what was written (-written +read):\n%.4000s", diff)
			}
		})
	}
}

func TestSameBytesForAnyNumberOfWorkers(t *testing.T) {
	for _, c := range []squashfs.Compression{squashfs.Zstd, squashfs.Gzip, squashfs.LZ4} {
		one := write(t, sample(), squashfs.Options{Compression: c, BlockSize: 4096, Workers: 1, ModTime: 7})
		for _, n := range []int{1, 2, 7} {
			if !bytes.Equal(one, write(t, sample(), squashfs.Options{Compression: c, BlockSize: 4096, Workers: n, ModTime: 7})) {
				t.Errorf("%d workers write other bytes than one with %s", n, c)
			}
		}
	}
}

func TestContentIsStoredOnce(t *testing.T) {
	random := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(random) // never fails
	for _, data := range []string{string(random), string(random[:1<<20-5]), string(random[:100<<10])} {
		once := write(t, []entry{{Path: "a", Mode: unix.S_IFREG, Data: data}}, squashfs.Options{})
		thrice := []entry{
			{Path: "a", Mode: unix.S_IFREG, Data: data},
			{Path: "b", Mode: unix.S_IFREG | 0o755, Data: data, UID: 7},
			{Path: "c", Mode: unix.S_IFREG, Data: "between"},
			{Path: "d", Mode: unix.S_IFREG, Data: data},
		}
		image := write(t, thrice, squashfs.Options{})
		if len(image) > len(once)+4096 {
			t.Errorf("three equal files of %d bytes take %d, one %d", len(data), len(image), len(once))
		}
		got := list(t, bytes.NewReader(image))[1:]
		if diff := cmp.Diff(thrice, got); diff != "" {
			t.Errorf("equal files are read otherwise than written:\n%.400s", diff)
		}
	}
}

func TestWrongSizesAreRefused(t *testing.T) {
	const block = 128 << 10
	for _, have := range []int{0, 4, block, 2*block + 9} {
		for _, size := range []int{-1, 0, 3, 5, block - 1, block, block + 1, 2*block + 8, 2*block + 10, 3 * block, 1 << 62} {
			if size == have {
				continue
			}
			w, err := squashfs.NewWriter(&writeSeeker{}, squashfs.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.File(squashfs.Meta{}, int64(size), strings.NewReader(strings.Repeat("x", have))); err == nil {
				t.Errorf("File of size %d took %d bytes", size, have)
			}
			w.Close()
		}
	}
}

func TestReadErrorsAreReturned(t *testing.T) {
	for _, size := range []int64{5, 1 << 20} {
		w, err := squashfs.NewWriter(&writeSeeker{}, squashfs.Options{})
		if err != nil {
			t.Fatal(err)
		}
		r := io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(unix.EIO))
		if _, err := w.File(squashfs.Meta{}, size, r); !errors.Is(err, unix.EIO) {
			t.Errorf("File of size %d from a broken reader = %v, want EIO", size, err)
		}
		w.Close()
	}
}

// A tree that the format cannot hold, or Linux cannot use, is refused.
func TestBadTreesAreRefused(t *testing.T) {
	type made func(w *squashfs.Writer) squashfs.Node
	of := func(n squashfs.Node) made { return func(*squashfs.Writer) squashfs.Node { return n } }
	xattrs := func(x ...squashfs.Xattr) made { return of(&squashfs.Dir{Meta: squashfs.Meta{Xattrs: x}}) }
	special := func(typ squashfs.SpecialType, major, minor uint32) made {
		return func(w *squashfs.Writer) squashfs.Node { return w.Special(squashfs.Meta{}, typ, major, minor) }
	}
	symlink := func(target string) made {
		return func(w *squashfs.Writer) squashfs.Node { return w.Symlink(squashfs.Meta{}, target) }
	}
	long := bytes.Repeat([]byte("v"), 1<<16)
	deep := &squashfs.Dir{}
	for range 3000 {
		deep = &squashfs.Dir{Entries: map[string]squashfs.Node{"d": deep}}
	}
	loop := &squashfs.Dir{Entries: map[string]squashfs.Node{}}
	loop.Entries["again"] = loop
	fifo := special(squashfs.Fifo, 0, 0)
	for _, test := range []struct {
		name string
		file string
		node made
	}{
		{"empty name", "", fifo},
		{"dot", ".", fifo},
		{"dot dot", "..", fifo},
		{"slash", "a/b", fifo},
		{"NUL", "a\x00", fifo},
		{"long name", strings.Repeat("n", 257), fifo},
		{"nothing", "a", of(nil)},
		{"no inode", "a", of((*squashfs.Inode)(nil))},
		{"no directory", "a", of((*squashfs.Dir)(nil))},
		{"empty target", "a", symlink("")},
		{"long target", "a", symlink(strings.Repeat("t", 4096))},
		{"wide major", "a", special(squashfs.CharDevice, 4096, 0)},
		{"wide minor", "a", special(squashfs.BlockDevice, 0, 1<<20)},
		{"no type", "a", special(9, 0, 0)},
		{"depth", "a", of(deep)},
		{"loop", "a", of(loop)},
		{"xattr name", "a", xattrs(squashfs.Xattr{Name: "user." + strings.Repeat("n", 251)})},
		{"xattr NUL", "a", xattrs(squashfs.Xattr{Name: "user.a\x00b"})},
		{"xattr value", "a", xattrs(squashfs.Xattr{Name: "user.a", Value: append(long, 'v')})},
		{"xattr twice", "a", xattrs(squashfs.Xattr{Name: "user.a"}, squashfs.Xattr{Name: "user.a"})},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, err := squashfs.NewWriter(&writeSeeker{}, squashfs.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			if _, err := w.Finish(&squashfs.Dir{Entries: map[string]squashfs.Node{test.file: test.node(w)}}); err == nil {
				t.Errorf("Finish took %q", test.file)
			}
		})
	}
}

// The format has no number for system.*: such attributes are left out and the others are kept.
func TestUnknownXattrsAreLeftOut(t *testing.T) {
	var out writeSeeker
	w, err := squashfs.NewWriter(&out, squashfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	set := []squashfs.Xattr{{Name: "user.b", Value: []byte("2")}, {Name: "system.posix_acl_access"}, {Name: "user."}, {Name: "security.a", Value: []byte("1")}}
	if _, err := w.Finish(&squashfs.Dir{Meta: squashfs.Meta{Xattrs: set}}); err != nil {
		t.Fatal(err)
	}
	f, err := squashfs.Open(bytes.NewReader(out.data))
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.Xattrs(f.Root())
	if diff := cmp.Diff([]squashfs.Xattr{set[3], set[0]}, got); diff != "" || err != nil {
		t.Errorf("Xattrs() differs (-want +got), %v:\n%s", err, diff)
	}
	if _, err := w.Finish(&squashfs.Dir{}); err == nil {
		t.Error("a second Finish gave no error")
	}
}

func TestFullDiskIsReported(t *testing.T) {
	w, err := squashfs.NewWriter(&fullDisk{left: 100 << 10}, squashfs.Options{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	rng := rand.NewChaCha8([32]byte{})
	for range 100 {
		if _, err = w.File(squashfs.Meta{}, 1<<20, io.LimitReader(rng, 1<<20)); err != nil {
			break
		}
	}
	if err == nil {
		_, err = w.Finish(&squashfs.Dir{})
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Errorf("writing to a full disk = %v, want ENOSPC", err)
	}
}

type fullDisk struct{ left int }

func (f *fullDisk) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, unix.ENOSPC
	}
	return len(p), nil
}

func (f *fullDisk) Seek(off int64, _ int) (int64, error) { return off, nil }
func (f *fullDisk) Truncate(int64) error                 { return nil }

// A partition of a SIF may begin anywhere in its file, and the bytes before it stay unchanged.
func TestPartitionInAFile(t *testing.T) {
	out := writeSeeker{data: bytes.Repeat([]byte("h"), 5000), at: 5000}
	w, err := squashfs.NewWriter(&out, squashfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	size, err := w.Finish(build(t, w, sample()))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.data[:5000], bytes.Repeat([]byte("h"), 5000)) || !bytes.Equal(out.data[5000:], write(t, sample(), squashfs.Options{})) {
		t.Error("a file system in a file differs from one at its beginning")
	}
	if int64(len(out.data)) != 5000+size || out.at != 5000+size {
		t.Errorf("Finish() = %d; the file has %d bytes and stands at %d", size, len(out.data), out.at)
	}
}
