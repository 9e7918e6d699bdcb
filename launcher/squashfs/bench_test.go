package squashfs_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// benchTree is the directory that the benchmarks pack: HPC3_BENCH_TREE, else the libraries of Go.
func benchTree(b *testing.B) string {
	b.Helper()
	if tree := os.Getenv("HPC3_BENCH_TREE"); tree != "" {
		return tree
	}
	return "../../launcher"
}

// BenchmarkWriteTree packs a directory into a file. Compare with
// mksquashfs TREE OUT -comp zstd -Xcompression-level 1.
func BenchmarkWriteTree(b *testing.B) {
	tree := benchTree(b)
	for b.Loop() {
		out, err := os.Create(filepath.Join(b.TempDir(), "image"))
		if err != nil {
			b.Fatal(err)
		}
		size, content := writeTree(b, out, tree, squashfs.Options{})
		b.SetBytes(content)
		b.ReportMetric(float64(size)/1e6, "MB")
		out.Close()
	}
}

// BenchmarkReadTree reads all files of the same directory back.
func BenchmarkReadTree(b *testing.B) {
	out, err := os.Create(filepath.Join(b.TempDir(), "image"))
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	_, content := writeTree(b, out, benchTree(b), squashfs.Options{})
	b.SetBytes(content)
	for b.Loop() {
		f, err := squashfs.Open(out)
		if err != nil {
			b.Fatal(err)
		}
		if err := readAll(f, f.Root(), make([]byte, 128<<10)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen measures the reads of a start: the superblock, and the path to a shell.
func BenchmarkOpen(b *testing.B) {
	r := image(b, sample(), squashfs.Options{})
	for b.Loop() {
		f, err := squashfs.Open(r)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := f.Resolve("many/-0000"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLookup looks up each name of a directory of 3000.
func BenchmarkLookup(b *testing.B) {
	f, err := squashfs.Open(image(b, sample(), squashfs.Options{}))
	if err != nil {
		b.Fatal(err)
	}
	dir, err := f.Resolve("many")
	if err != nil {
		b.Fatal(err)
	}
	entries, err := f.ReadDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		ref, err := f.Lookup(dir, entries[i%len(entries)].Name)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := f.Stat(ref); err != nil {
			b.Fatal(err)
		}
	}
}

// writeTree packs the files, directories and symlinks of a directory.
func writeTree(t testing.TB, out *os.File, tree string, opt squashfs.Options) (size, content int64) {
	t.Helper()
	w, err := squashfs.NewWriter(out, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	root, err := packDir(w, tree, map[uint64]*squashfs.Inode{}, &content)
	if err != nil {
		t.Fatal(err)
	}
	size, err = w.Finish(root)
	if err != nil {
		t.Fatal(err)
	}
	return size, content
}

func packDir(w *squashfs.Writer, path string, seen map[uint64]*squashfs.Inode, content *int64) (*squashfs.Dir, error) {
	names, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	d := &squashfs.Dir{Meta: squashfs.Meta{Mode: 0o755}, Entries: map[string]squashfs.Node{}}
	for _, n := range names {
		at := filepath.Join(path, n.Name())
		if n.IsDir() {
			sub, err := packDir(w, at, seen, content)
			if err != nil {
				return nil, err
			}
			d.Entries[n.Name()] = sub
			continue
		}
		in, err := packFile(w, at, seen, content)
		if err != nil {
			return nil, err
		}
		if in != nil {
			d.Entries[n.Name()] = in
		}
	}
	return d, nil
}

func packFile(w *squashfs.Writer, path string, seen map[uint64]*squashfs.Inode, content *int64) (*squashfs.Inode, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return nil, err
	}
	if in := seen[st.Ino]; in != nil {
		return in, nil
	}
	m := squashfs.Meta{Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid, ModTime: st.Mtim.Sec}
	var in *squashfs.Inode
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		target, err := os.Readlink(path)
		if err != nil {
			return nil, err
		}
		in = w.Symlink(m, target)
	case unix.S_IFREG:
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if in, err = w.File(m, st.Size, f); err != nil {
			return nil, err
		}
		*content += st.Size
	default:
		return nil, nil
	}
	seen[st.Ino] = in
	return in, nil
}

func readAll(f *squashfs.FS, dir squashfs.Ref, buf []byte) error {
	entries, err := f.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch e.Type {
		case unix.S_IFDIR:
			err = readAll(f, e.Ref, buf)
		case unix.S_IFREG:
			err = readFile(f, e.Ref, buf)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func readFile(f *squashfs.FS, ref squashfs.Ref, buf []byte) error {
	file, err := f.OpenFile(ref)
	if err != nil {
		return err
	}
	for off := int64(0); ; {
		n, err := file.ReadAt(buf, off)
		off += int64(n)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
