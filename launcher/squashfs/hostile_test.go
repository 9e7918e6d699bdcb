package squashfs_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// tiny returns a small file system with something of each kind.
func tiny(t testing.TB, c squashfs.Compression) []byte {
	t.Helper()
	return write(t, tinyEntries(), squashfs.Options{Compression: c, BlockSize: 4096})
}

func tinyEntries() []entry {
	return []entry{
		{Path: "d", Mode: unix.S_IFDIR, Xattrs: "user.a=b"},
		{Path: "d/f", Mode: unix.S_IFREG, Data: strings.Repeat("text", 5000), UID: 7},
		{Path: "d/g", Mode: unix.S_IFREG, Data: "tail"},
		{Path: "d/h", Link: "d/g"},
		{Path: "d/l", Mode: unix.S_IFLNK, Data: "f"},
		{Path: "d/n", Mode: unix.S_IFCHR, Major: 1},
	}
}

// A hostile or damaged image gives errors: no panic, no endless walk.
func FuzzOpen(f *testing.F) {
	for _, c := range []squashfs.Compression{squashfs.Zstd, squashfs.Gzip, squashfs.LZ4} {
		f.Add(tiny(f, c))
	}
	f.Fuzz(func(_ *testing.T, image []byte) {
		fsys, err := squashfs.Open(bytes.NewReader(image))
		if err != nil {
			return
		}
		_ = walkBounded(fsys, fsys.Root(), 0, new(int)) // only that it ends counts
	})
}

func walkBounded(f *squashfs.FS, ref squashfs.Ref, depth int, steps *int) error {
	if *steps++; *steps > 300 || depth > 20 {
		return errDeep
	}
	_, err := f.Xattrs(ref)
	if _, e := f.Readlink(ref); e != nil {
		err = e
	}
	if a, e := f.Stat(ref); e == nil {
		_, _ = f.ReadAt(ref, make([]byte, 10000), 0)                   // errors are fine
		_, _ = f.ReadAt(ref, make([]byte, 5000), max(0, a.Size-10000)) // errors are fine
	}
	children, e := f.ReadDir(ref)
	if e != nil {
		err = e
	}
	for _, c := range children {
		_, _ = f.Lookup(ref, c.Name) // errors are fine
		if err := walkBounded(f, c.Ref, depth+1, steps); err != nil && *steps > 300 {
			return err
		}
	}
	return err
}

func TestTruncatedImages(t *testing.T) {
	image := tiny(t, squashfs.Zstd)
	whole, err := squashfs.Open(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	for n := range int(whole.Size()) {
		if _, err := squashfs.Open(bytes.NewReader(image[:n])); !errors.Is(err, squashfs.ErrCorrupt) {
			t.Fatalf("Open of the first %d bytes of %d = %v, want ErrCorrupt", n, whole.Size(), err)
		}
	}
}

// Any bit may be wrong. Parts of such images are read without an error; no image may do worse harm.
func TestDamagedImages(t *testing.T) {
	for _, c := range []squashfs.Compression{squashfs.Zstd, squashfs.Gzip, squashfs.LZ4} {
		image := tiny(t, c)
		whole, err := squashfs.Open(bytes.NewReader(image))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 8 * int(whole.Size()) {
			image[i/8] ^= 1 << (i % 8)
			if f, err := squashfs.Open(bytes.NewReader(image)); err == nil {
				_ = walkBounded(f, f.Root(), 0, new(int)) // only that it ends counts
			}
			image[i/8] ^= 1 << (i % 8)
		}
	}
}
