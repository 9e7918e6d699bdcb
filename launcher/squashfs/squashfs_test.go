package squashfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// entry is one file of a tree as a test writes and compares it.
type entry struct {
	Path   string
	Mode   uint32 // as st_mode
	UID    uint32
	GID    uint32
	Time   int64
	Data   string // content, or target
	Major  uint32
	Minor  uint32
	Xattrs string
	Link   string // hard link to this earlier path
}

// write makes a file system out of entries; parents come before their children.
func write(t testing.TB, entries []entry, opt squashfs.Options) []byte {
	t.Helper()
	var out writeSeeker
	w, err := squashfs.NewWriter(&out, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	root := &squashfs.Dir{Meta: squashfs.Meta{Mode: 0o755}, Entries: map[string]squashfs.Node{}}
	dirs := map[string]*squashfs.Dir{".": root}
	inodes := map[string]*squashfs.Inode{}
	for _, e := range entries {
		m := squashfs.Meta{Mode: e.Mode & 0o7777, UID: e.UID, GID: e.GID, ModTime: e.Time}
		if e.Xattrs != "" {
			name, value, _ := strings.Cut(e.Xattrs, "=")
			m.Xattrs = []squashfs.Xattr{{Name: name, Value: []byte(value)}}
		}
		if e.Path == "." {
			root.Meta = m
			continue
		}
		parent, name := dirs[filepath.Dir(e.Path)], filepath.Base(e.Path)
		if e.Link != "" {
			parent.Entries[name] = inodes[e.Link]
			continue
		}
		switch e.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			d := &squashfs.Dir{Meta: m, Entries: map[string]squashfs.Node{}}
			parent.Entries[name], dirs[e.Path] = d, d
			continue
		case unix.S_IFREG:
			in, err := w.File(m, int64(len(e.Data)), strings.NewReader(e.Data))
			if err != nil {
				t.Fatalf("File(%s): %v", e.Path, err)
			}
			inodes[e.Path] = in
		case unix.S_IFLNK:
			inodes[e.Path] = w.Symlink(m, e.Data)
		case unix.S_IFBLK:
			inodes[e.Path] = w.Special(m, squashfs.BlockDevice, e.Major, e.Minor)
		case unix.S_IFCHR:
			inodes[e.Path] = w.Special(m, squashfs.CharDevice, e.Major, e.Minor)
		case unix.S_IFIFO:
			inodes[e.Path] = w.Special(m, squashfs.Fifo, 0, 0)
		}
		parent.Entries[name] = inodes[e.Path]
	}
	size, err := w.Finish(root)
	if err != nil {
		t.Fatalf("Finish: %v", err)
	}
	if size != int64(len(out.data)) || size%4096 != 0 {
		t.Fatalf("Finish() = %d, and %d bytes were written", size, len(out.data))
	}
	return out.data
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

// list reads a whole file system back, in the order of paths.
func list(t testing.TB, image []byte) []entry {
	t.Helper()
	f, err := squashfs.Open(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := walk(f, f.Root(), ".", map[uint32]string{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i].Path < entries[j].Path })
	return entries
}

var errDeep = errors.New("too deep")

func walk(f *squashfs.FS, ref squashfs.Ref, path string, seen map[uint32]string, depth int) ([]entry, error) {
	if depth > 50 {
		return nil, errDeep
	}
	a, err := f.Stat(ref)
	if err != nil {
		return nil, err
	}
	e := entry{Path: path, Mode: a.Mode, UID: a.UID, GID: a.GID, Time: a.ModTime, Major: a.Major, Minor: a.Minor}
	if first, ok := seen[a.Inode]; ok && !a.IsDir() {
		return []entry{{Path: path, Link: first}}, nil
	}
	seen[a.Inode] = path
	xattrs, err := f.Xattrs(ref)
	if err != nil {
		return nil, err
	}
	for _, x := range xattrs {
		e.Xattrs += x.Name + "=" + string(x.Value)
	}
	switch a.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		file, err := f.OpenFile(ref)
		if err != nil {
			return nil, err
		}
		if a.Size > 64<<20 {
			return []entry{e}, nil
		}
		data := make([]byte, a.Size)
		if n, err := file.ReadAt(data, 0); int64(n) != a.Size {
			return nil, fmt.Errorf("%s: %d bytes of %d: %w", path, n, a.Size, err)
		}
		e.Data = string(data)
	case unix.S_IFLNK:
		if e.Data, err = f.Readlink(ref); err != nil {
			return nil, err
		}
	case unix.S_IFDIR:
		entries := []entry{e}
		children, err := f.ReadDir(ref)
		if err != nil {
			return nil, err
		}
		for _, c := range children {
			if found, err := f.Lookup(ref, c.Name); err != nil || found != c.Ref {
				return nil, fmt.Errorf("Lookup(%s) = %v, %w; ReadDir says %v", c.Name, found, err, c.Ref)
			}
			below, err := walk(f, c.Ref, filepath.Join(path, c.Name), seen, depth+1)
			if err != nil {
				return nil, err
			}
			entries = append(entries, below...)
		}
		return entries, nil
	}
	return []entry{e}, nil
}

// sample is a tree with everything the format can hold.
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
		{Path: "with blank\nand line break ü", Mode: file, Data: "odd"},
		{Path: "xdir", Mode: dir, Xattrs: "user.dir=1"},
	}
	for i := range 3000 {
		entries = append(entries, entry{Path: fmt.Sprintf("many/%s-%04d", strings.Repeat("n", i%40), i), Mode: file, Data: fmt.Sprint(i)})
	}
	return entries
}

func sorted(entries []entry) []entry {
	sort.Slice(entries, func(i, j int) bool { return entries[i].Path < entries[j].Path })
	return entries
}

func TestRoundTrip(t *testing.T) {
	for _, opt := range []squashfs.Options{
		{}, {Compression: squashfs.Gzip}, {Compression: squashfs.LZ4}, {Level: 9}, {BlockSize: 4096, Workers: 1}, {BlockSize: 1 << 20, Workers: 3},
	} {
		t.Run(fmt.Sprintf("%+v", opt), func(t *testing.T) {
			if diff := cmp.Diff(sorted(sample()), list(t, write(t, sample(), opt))); diff != "" {
				t.Errorf("what is read differs from what was written (-written +read):\n%.4000s", diff)
			}
		})
	}
}

func TestSameBytesForAnyNumberOfWorkers(t *testing.T) {
	one := write(t, sample(), squashfs.Options{Workers: 1, ModTime: 7})
	for _, n := range []int{1, 2, 7} {
		if !bytes.Equal(one, write(t, sample(), squashfs.Options{Workers: n, ModTime: 7})) {
			t.Errorf("%d workers write other bytes than one", n)
		}
	}
}

func TestContentIsStoredOnce(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 1<<16) // compresses; random data is in the sample
	once := write(t, []entry{{Path: "a", Mode: unix.S_IFREG, Data: big}}, squashfs.Options{})
	twice := write(t, []entry{{Path: "a", Mode: unix.S_IFREG, Data: big}, {Path: "b", Mode: unix.S_IFREG, Data: big}}, squashfs.Options{})
	if len(twice) > len(once)+4096 {
		t.Errorf("two equal files take %d bytes, one %d", len(twice), len(once))
	}
}

func TestWrongSizesAreRefused(t *testing.T) {
	for _, size := range []int64{0, 3, 5, 1 << 17, 1<<17 + 1} {
		var out writeSeeker
		w, err := squashfs.NewWriter(&out, squashfs.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.File(squashfs.Meta{}, size, strings.NewReader("four")); err == nil {
			t.Errorf("File of size %d took 4 bytes", size)
		}
		w.Close()
	}
}

func TestBadNamesAreRefused(t *testing.T) {
	for _, name := range []string{"", ".", "..", "a/b", "a\x00", strings.Repeat("n", 257)} {
		var out writeSeeker
		w, err := squashfs.NewWriter(&out, squashfs.Options{})
		if err != nil {
			t.Fatal(err)
		}
		root := &squashfs.Dir{Entries: map[string]squashfs.Node{name: w.Symlink(squashfs.Meta{}, "x")}}
		if _, err := w.Finish(root); err == nil {
			t.Errorf("Finish took the name %q", name)
		}
		w.Close()
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

func TestResolve(t *testing.T) {
	f, err := squashfs.Open(bytes.NewReader(write(t, []entry{
		{Path: "bin", Mode: unix.S_IFLNK, Data: "usr/bin"},
		{Path: "loop", Mode: unix.S_IFLNK, Data: "/loop"},
		{Path: "up", Mode: unix.S_IFLNK, Data: "../../../usr/bin/sh"},
		{Path: "usr", Mode: unix.S_IFDIR},
		{Path: "usr/bin", Mode: unix.S_IFDIR},
		{Path: "usr/bin/sh", Mode: unix.S_IFLNK, Data: "/usr/bin/dash"},
		{Path: "usr/bin/dash", Mode: unix.S_IFREG, Data: "dash"},
	}, squashfs.Options{})))
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
	if _, err := f.Resolve("/bin/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Resolve of what is not there = %v, want fs.ErrNotExist", err)
	}
	if _, err := f.Resolve("/loop"); err == nil {
		t.Error("Resolve of a loop gave no error")
	}
}

// A hostile or damaged image gives errors: no panic, no endless walk.
func FuzzOpen(f *testing.F) {
	for _, c := range []squashfs.Compression{squashfs.Zstd, squashfs.Gzip, squashfs.LZ4} {
		f.Add(write(f, []entry{
			{Path: "d", Mode: unix.S_IFDIR, Xattrs: "user.a=b"},
			{Path: "d/f", Mode: unix.S_IFREG, Data: strings.Repeat("text", 5000)},
			{Path: "d/l", Mode: unix.S_IFLNK, Data: "f"},
			{Path: "d/n", Mode: unix.S_IFCHR, Major: 1},
		}, squashfs.Options{Compression: c, BlockSize: 4096}))
	}
	f.Fuzz(func(t *testing.T, image []byte) {
		fsys, err := squashfs.Open(bytes.NewReader(image))
		if err != nil {
			return
		}
		_, _ = walkBounded(fsys, fsys.Root(), 0, new(int)) // only that it ends counts
	})
}

func walkBounded(f *squashfs.FS, ref squashfs.Ref, depth int, steps *int) (int, error) {
	if *steps++; *steps > 300 || depth > 20 {
		return 0, errDeep
	}
	_, _ = f.Xattrs(ref)   // errors are fine
	_, _ = f.Readlink(ref) // errors are fine
	_, _ = f.ReadAt(ref, make([]byte, 10000), 0)
	children, err := f.ReadDir(ref)
	for _, c := range children {
		if _, err := walkBounded(f, c.Ref, depth+1, steps); err != nil {
			return 0, err
		}
	}
	return 0, err
}

// tool skips a test, with a reason, where a program is missing; where HPC3_REQUIRE holds "squashfs" it fails.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if strings.Contains(os.Getenv("HPC3_REQUIRE"), "squashfs") {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
	return path
}

// What we write, unsquashfs unpacks to the same tree.
func TestUnsquashfs(t *testing.T) {
	unsquashfs := tool(t, "unsquashfs")
	if os.Getuid() != 0 {
		t.Skip("owners and devices can only be compared as root")
	}
	for _, c := range []squashfs.Compression{squashfs.Zstd, squashfs.Gzip, squashfs.LZ4} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			dir := t.TempDir()
			image := filepath.Join(dir, "image")
			if err := os.WriteFile(image, write(t, sample(), squashfs.Options{Compression: c}), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(unsquashfs, "-d", dir+"/tree", image).CombinedOutput(); err != nil {
				t.Fatalf("unsquashfs: %v\n%s", err, out)
			}
			if diff := cmp.Diff(sorted(sample()), readTree(t, dir+"/tree")); diff != "" {
				t.Errorf("unsquashfs's tree differs (-written +unpacked):\n%.4000s", diff)
			}
		})
	}
}

// What we write, the kernel mounts.
func TestKernel(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root mounts through the kernel")
	}
	dir := t.TempDir()
	image, tree := filepath.Join(dir, "image"), filepath.Join(dir, "tree")
	if err := os.WriteFile(image, write(t, sample(), squashfs.Options{}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "squashfs", "-o", "loop,ro", image, tree).CombinedOutput(); err != nil {
		t.Skipf("this kernel does not mount SquashFS here: %s", out)
	}
	defer exec.Command("umount", tree).Run()
	if diff := cmp.Diff(sorted(sample()), readTree(t, tree)); diff != "" {
		t.Errorf("the kernel's tree differs (-written +mounted):\n%.4000s", diff)
	}
}

// What mksquashfs writes, we read.
func TestMksquashfs(t *testing.T) {
	mksquashfs := tool(t, "mksquashfs")
	if os.Getuid() != 0 {
		t.Skip("owners and devices can only be compared as root")
	}
	dir := t.TempDir()
	first := filepath.Join(dir, "first")
	if err := os.WriteFile(first, write(t, sample(), squashfs.Options{}), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(tool(t, "unsquashfs"), "-d", dir+"/tree", first).CombinedOutput(); err != nil {
		t.Fatalf("unsquashfs: %v\n%s", err, out)
	}
	for _, comp := range []string{"zstd", "gzip", "lz4", "xz"} {
		t.Run(comp, func(t *testing.T) {
			image := filepath.Join(dir, comp)
			if out, err := exec.Command(mksquashfs, dir+"/tree", image, "-comp", comp, "-noappend", "-tailends", "-quiet").CombinedOutput(); err != nil {
				t.Fatalf("mksquashfs: %v\n%s", err, out)
			}
			raw, err := os.ReadFile(image)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(sorted(sample()), list(t, raw)); diff != "" {
				t.Errorf("what is read differs (-packed +read):\n%.4000s", diff)
			}
		})
	}
}

// readTree lists a directory of this machine as list does an image.
func readTree(t *testing.T, root string) []entry {
	t.Helper()
	var entries []entry
	seen := map[uint64]string{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		e := entry{Path: rel, Mode: st.Mode, UID: st.Uid, GID: st.Gid, Time: st.Mtim.Sec}
		if first, ok := seen[st.Ino]; ok && st.Mode&unix.S_IFMT != unix.S_IFDIR {
			entries = append(entries, entry{Path: rel, Link: first})
			return nil
		}
		seen[st.Ino] = rel
		for _, name := range []string{"user.note", "user.dir", "security.capability"} {
			value := make([]byte, 4096)
			if n, err := unix.Lgetxattr(path, name, value); err == nil {
				e.Xattrs += name + "=" + string(value[:n])
			}
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			e.Data = string(raw)
		case unix.S_IFLNK:
			if e.Data, err = os.Readlink(path); err != nil {
				return err
			}
		case unix.S_IFCHR, unix.S_IFBLK:
			e.Major, e.Minor = unix.Major(st.Rdev), unix.Minor(st.Rdev)
		}
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sorted(entries)
}

func BenchmarkWrite(b *testing.B) {
	for _, n := range []int{1, 2} {
		b.Run(fmt.Sprint(n, " workers"), func(b *testing.B) {
			entries := sample()
			for b.Loop() {
				write(b, entries, squashfs.Options{Workers: n})
			}
		})
	}
}
