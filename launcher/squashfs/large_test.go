package squashfs_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// farFile is a file of more than 4 GiB: all zeros except for a few places.
type farFile struct {
	size  int64
	marks map[int64][]byte // not across the reads that the writer makes: at multiples of 4 KiB
}

func (f farFile) ReadAt(p []byte, off int64) (int, error) {
	n := int(min(int64(len(p)), f.size-off))
	clear(p[:n])
	for at, mark := range f.marks {
		if at < off+int64(n) && at+int64(len(mark)) > off {
			copy(p[max(0, at-off):n], mark[max(0, off-at):])
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Files of more than 4 GiB, and data beyond the first 4 GiB of the image, need more than 32 bits.
func TestBeyond4GiB(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	image := filepath.Join(t.TempDir(), "image")
	out, err := os.Create(image) // it has a hole of 5 GiB
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w, err := squashfs.NewWriter(out, squashfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Skip(5 << 30); err != nil {
		t.Fatal(err)
	}
	far := farFile{size: 4<<30 + 300<<20 + 777, marks: map[int64][]byte{
		0: []byte("begin"), 4 << 30: bytes.Repeat([]byte("middle"), 50000), 4<<30 + 300<<20 + 512: []byte("end"),
	}}
	large, err := w.File(squashfs.Meta{Mode: 0o644}, far.size, io.NewSectionReader(far, 0, far.size))
	if err != nil {
		t.Fatal(err)
	}
	small, err := w.File(squashfs.Meta{Mode: 0o644}, 5, bytes.NewReader([]byte("small")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Finish(&squashfs.Dir{Meta: squashfs.Meta{Mode: 0o755}, Entries: map[string]squashfs.Node{"large": large, "small": small}}); err != nil {
		t.Fatal(err)
	}

	t.Run("ours", func(t *testing.T) {
		f, err := squashfs.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		ref, err := f.Resolve("large")
		if err != nil {
			t.Fatal(err)
		}
		file, err := f.OpenFile(ref)
		if err != nil || file.Size() != far.size {
			t.Fatalf("OpenFile() = a file of %d bytes, %v; want %d", file.Size(), err, far.size)
		}
		compareFar(t, file, far)
	})
	t.Run("kernel", func(t *testing.T) {
		tree := mount(t, image)
		file, err := os.Open(tree + "/large")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		compareFar(t, file, far)
		if raw, err := os.ReadFile(tree + "/small"); string(raw) != "small" || err != nil {
			t.Errorf("the small file is %q, %v", raw, err)
		}
	})
}

func compareFar(t *testing.T, got io.ReaderAt, want farFile) {
	t.Helper()
	a, b := make([]byte, 400<<10), make([]byte, 400<<10)
	for _, off := range []int64{0, 1 << 30, 4<<30 - 5, 4 << 30, 4<<30 + 290000, want.size - 400<<10, want.size - 300} {
		n, err := got.ReadAt(a, off)
		m, wantErr := want.ReadAt(b, off)
		if n != m || !errors.Is(err, wantErr) || !bytes.Equal(a[:n], b[:m]) {
			t.Errorf("ReadAt(%d) = %d, %v; want %d, %v, or the bytes differ", off, n, err, m, wantErr)
		}
	}
}
