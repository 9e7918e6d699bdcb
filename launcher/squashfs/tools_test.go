package squashfs_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// tool skips a test, with a reason, if a program is missing. If HPC3_REQUIRE contains "squashfs",
// the test fails instead.
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

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("owners, devices and mounts need root")
	}
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return string(out)
}

// imageFile writes an image of entries to a file.
func imageFile(t *testing.T, entries []entry, opt squashfs.Options) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, write(t, entries, opt), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// mount mounts an image through the kernel until the test ends.
func mount(t *testing.T, image string) string {
	t.Helper()
	needRoot(t)
	tree := t.TempDir()
	if out, err := exec.Command("mount", "-t", "squashfs", "-o", "loop,ro", image, tree).CombinedOutput(); err != nil {
		known, _ := os.ReadFile("/proc/filesystems")
		if strings.Contains(string(known), "squashfs") && strings.Contains(string(out), "superblock") {
			t.Fatalf("the kernel refuses the image: %s", out)
		}
		t.Skipf("this machine does not mount SquashFS: %s", out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", tree).CombinedOutput(); err != nil {
			t.Errorf("umount: %s", out)
		}
	})
	return tree
}

// compressions are those that a Writer supports.
func compressions() []squashfs.Compression {
	return []squashfs.Compression{squashfs.Zstd, squashfs.Gzip, squashfs.LZ4}
}

// unsquashfs unpacks a written file system to the same tree.
func TestUnsquashfs(t *testing.T) {
	unsquashfs := tool(t, "unsquashfs")
	needRoot(t)
	for _, c := range compressions() {
		t.Run(c.String(), func(t *testing.T) {
			image := imageFile(t, sample(), squashfs.Options{Compression: c, ModTime: 1700000000})
			about := command(t, unsquashfs, "-s", image)
			for _, want := range []string{
				"Found a valid SQUASHFS 4:0 superblock", "Compression " + c.String(), "Block size 131072",
				"Filesystem is exportable via NFS", "Xattrs are compressed", "Duplicates are removed", "Tue Nov 14 22:13:20 2023",
			} {
				if !strings.Contains(about, want) {
					t.Errorf("unsquashfs -s does not say %q:\n%s", want, about)
				}
			}
			tree := t.TempDir()
			command(t, unsquashfs, "-force", "-d", tree, image)
			if diff := cmp.Diff(sorted(sample()), readTree(t, tree)); diff != "" {
				t.Errorf("unsquashfs's tree differs (-written +unpacked):\n%.4000s", diff)
			}
		})
	}
}

// The kernel mounts a written file system.
func TestKernel(t *testing.T) {
	for _, c := range compressions() {
		t.Run(c.String(), func(t *testing.T) {
			tree := mount(t, imageFile(t, sample(), squashfs.Options{Compression: c}))
			if diff := cmp.Diff(sorted(sample()), readTree(t, tree)); diff != "" {
				t.Errorf("the kernel's tree differs (-written +mounted):\n%.4000s", diff)
			}
		})
	}
}

func TestSquashfuse(t *testing.T) {
	squashfuse := tool(t, "squashfuse_ll") // squashfuse numbers the inodes differently
	needRoot(t)
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("this machine has no /dev/fuse")
	}
	for _, c := range compressions() {
		t.Run(c.String(), func(t *testing.T) {
			tree := t.TempDir()
			command(t, squashfuse, imageFile(t, sample(), squashfs.Options{Compression: c}), tree)
			defer command(t, "umount", tree)
			if diff := cmp.Diff(sorted(sample()), readTree(t, tree)); diff != "" {
				t.Errorf("squashfuse's tree differs (-written +mounted):\n%.4000s", diff)
			}
		})
	}
}

// The package reads what mksquashfs writes.
func TestMksquashfs(t *testing.T) {
	mksquashfs := tool(t, "mksquashfs")
	unsquashfs := tool(t, "unsquashfs")
	needRoot(t)
	tree := t.TempDir()
	command(t, unsquashfs, "-force", "-d", tree, imageFile(t, sample(), squashfs.Options{}))
	for _, args := range []string{
		"-comp zstd", "-comp gzip", "-comp lz4", "-comp xz", "-comp lz4 -Xhc", "-comp gzip -tailends -b 4096", "-comp xz -b 1M",
		"-comp lzo", "-comp lzo -b 1M", "-comp lzo -Xalgorithm lzo1x_1", "-comp lzo -Xalgorithm lzo1x_1_15", "-comp lzo -Xalgorithm lzo1x_999 -Xcompression-level 9",
		"-comp zstd -no-fragments", "-comp zstd -always-use-fragments -no-exports", "-comp gzip -noI -noD -noF -noX", "-comp zstd -nopad",
	} {
		t.Run(args, func(t *testing.T) {
			image := filepath.Join(t.TempDir(), "image")
			command(t, mksquashfs, append([]string{tree, image, "-noappend", "-quiet"}, strings.Fields(args)...)...)
			f, err := os.Open(image)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if diff := cmp.Diff(sorted(sample()), list(t, f)); diff != "" {
				t.Errorf("what is read differs (-packed +read):\n%.4000s", diff)
			}
		})
	}
}

// The kernel uses the written index of a large directory.
func TestKernelInLargeDirectory(t *testing.T) {
	const n = 100_000
	tree := mount(t, imageFile(t, largeDirectory(n), squashfs.Options{}))
	names, err := os.ReadDir(tree + "/d")
	if err != nil || len(names) != n {
		t.Fatalf("the kernel lists %d names, %v; want %d", len(names), err, n)
	}
	for i := 0; i < n; i += 501 {
		name := fmt.Sprintf("name-%06d", i)
		if names[i].Name() != name {
			t.Fatalf("the kernel's name %d is %q", i, names[i].Name())
		}
		if _, err := os.Lstat(tree + "/d/" + name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Lstat(tree + "/d/name-050000x"); err == nil { // the kernel reads all later names
		t.Error("the kernel finds a name that is not there")
	}
}

// The package uses the index that mksquashfs writes.
func TestMksquashfsLargeDirectory(t *testing.T) {
	mksquashfs := tool(t, "mksquashfs")
	tree := t.TempDir()
	for _, e := range largeDirectory(5000)[1:] {
		var err error
		if e.Mode&unix.S_IFMT == unix.S_IFDIR {
			err = os.Mkdir(filepath.Join(tree, e.Path), 0o755)
		} else {
			err = unix.Mkfifo(filepath.Join(tree, e.Path), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	image := filepath.Join(t.TempDir(), "image")
	command(t, mksquashfs, tree, image, "-comp", "zstd", "-quiet", "-noappend")
	file, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	f, err := squashfs.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := walk(f, f.Root(), ".", func(squashfs.Attr, string) error { return nil }); err != nil {
		t.Error(err)
	}
	if f.Inodes() != 5002 {
		t.Errorf("there are %d inodes", f.Inodes())
	}
}

// readTree lists a directory of this machine in the way that list lists an image.
func readTree(t *testing.T, root string) []entry {
	t.Helper()
	var entries []found
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
		for _, name := range []string{"user.note", "user.dir", "security.capability", "trusted.x"} {
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
		entries = append(entries, found{e, st.Ino})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return linked(entries)
}
