package convert_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/convert"
	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// added tells whether every SIF has its own file at a path, in place of the image's. A SIF may
// differ from its image only at these paths and those of lacked: see the package comment.
func added(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return slices.Contains([]string{".singularity.d", "singularity", "environment", ".run", ".exec", ".shell", ".test"}, first)
}

// lacked tells whether a path is a target of binds, which a SIF gets if the image lacks it.
func lacked(path string) bool {
	return slices.Contains([]string{"dev", "proc", "sys", "root", "home", "tmp", "var", "var/tmp", "etc", "etc/hosts", "etc/resolv.conf"}, path)
}

// node holds the attributes of a file that are compared. The size and links of a directory depend
// on the file system and are not.
type node struct {
	Mode    uint32 // with the type
	UID     uint32
	GID     uint32
	Size    int64  // of regular files
	Content string // hash of a file, target of a symlink
	Device  string
	Time    int64
	Xattrs  []string
	Inode   uint64
	Link    string // the first path of the same file
}

// seconds returns a time as SquashFS stores it.
func seconds(t int64) int64 { return max(0, min(t, math.MaxUint32)) }

// linked sets each file's Link.
func linked(nodes map[string]node) map[string]node {
	first := map[uint64]string{}
	for _, path := range slices.Sorted(func(yield func(string) bool) {
		for path := range nodes {
			if !yield(path) {
				return
			}
		}
	}) {
		n := nodes[path]
		if n.Mode&unix.S_IFMT == unix.S_IFDIR {
			n.Inode = 0
		} else if _, ok := first[n.Inode]; !ok {
			first[n.Inode] = path
		}
		n.Link, n.Inode = first[n.Inode], 0
		nodes[path] = n
	}
	return nodes
}

// keptXattr tells whether a SIF keeps an attribute of an image. The others, which umoci sets, are
// left out on purpose: trusted.* is for the machine's administrator and has overlay's own marks;
// system.* (access lists) cannot be stored in the format, and is not in other programs' SIFs
// either; security.selinux and the like belong to the host; user.overlay.* would be obeyed by the
// overlay of an engine.
func keptXattr(name string) bool {
	return strings.HasPrefix(name, "user.") && !strings.HasPrefix(name, "user.overlay.") || name == "security.capability"
}

// onDisk reads a tree by lstat, lgetxattr and readlink. The image has no time for a directory
// without an entry: it gets the clock's time from umoci, and 1970 in a SIF.
func onDisk(t *testing.T, root string, since time.Time) map[string]node {
	t.Helper()
	nodes := map[string]node{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		n := node{Mode: st.Mode, UID: st.Uid, GID: st.Gid, Time: seconds(st.Mtim.Sec), Inode: st.Ino, Xattrs: diskXattrs(t, path)}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			if st.Mtim.Sec >= since.Unix() {
				n.Time = 0
			}
		case unix.S_IFREG:
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			n.Size, n.Content = st.Size, fmt.Sprintf("%x", sha256.Sum256(raw))
		case unix.S_IFLNK:
			if n.Content, err = os.Readlink(path); err != nil {
				return err
			}
		case unix.S_IFCHR, unix.S_IFBLK:
			n.Device = fmt.Sprint(unix.Major(st.Rdev), ":", unix.Minor(st.Rdev))
		}
		rel, err := filepath.Rel(root, path)
		nodes[rel] = n
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return linked(nodes)
}

func diskXattrs(t *testing.T, path string) (xattrs []string) {
	t.Helper()
	list := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, list)
	if err != nil && !errors.Is(err, unix.ENOTSUP) {
		t.Fatal(err)
	}
	for name := range strings.SplitSeq(string(list[:max(n, 0)]), "\x00") {
		if !keptXattr(name) {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			t.Fatal(err)
		}
		xattrs = append(xattrs, fmt.Sprintf("%s=%q", name, value[:n]))
	}
	slices.Sort(xattrs)
	return xattrs
}

// inSIF reads a tree with package squashfs.
func inSIF(t *testing.T, path string, c convert.Contents) map[string]node {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fsys, err := squashfs.Open(io.NewSectionReader(f, c.Offset, c.Size))
	if err != nil {
		t.Fatal(err)
	}
	nodes := map[string]node{}
	var walk func(ref squashfs.Ref, path string)
	walk = func(ref squashfs.Ref, path string) {
		n, err := readNode(fsys, ref)
		if err != nil {
			t.Fatalf("%q: %v", path, err)
		}
		nodes[path] = n
		if n.Mode&unix.S_IFMT != unix.S_IFDIR {
			return
		}
		entries, err := fsys.ReadDir(ref)
		if err != nil {
			t.Fatalf("%q: %v", path, err)
		}
		for _, e := range entries {
			walk(e.Ref, filepath.Join(path, e.Name))
		}
	}
	walk(fsys.Root(), ".")
	return linked(nodes)
}

func readNode(fsys *squashfs.FS, ref squashfs.Ref) (node, error) {
	a, err := fsys.Stat(ref)
	if err != nil {
		return node{}, err
	}
	n := node{Mode: a.Mode, UID: a.UID, GID: a.GID, Time: a.ModTime, Inode: uint64(a.Inode)}
	xattrs, err := fsys.Xattrs(ref)
	for _, x := range xattrs {
		n.Xattrs = append(n.Xattrs, fmt.Sprintf("%s=%q", x.Name, x.Value))
	}
	slices.Sort(n.Xattrs)
	if err != nil {
		return node{}, err
	}
	switch a.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		f, err := fsys.OpenFile(ref)
		if err != nil {
			return node{}, err
		}
		h := sha256.New()
		if _, err := io.Copy(h, io.NewSectionReader(f, 0, a.Size)); err != nil {
			return node{}, err
		}
		n.Size, n.Content = a.Size, fmt.Sprintf("%x", h.Sum(nil))
	case unix.S_IFLNK:
		n.Content, err = fsys.Readlink(ref)
	case unix.S_IFCHR, unix.S_IFBLK:
		n.Device = fmt.Sprint(a.Major, ":", a.Minor)
	}
	return n, err
}

// sameTree converts an image and compares the SIF's tree, read in two ways, with the tree that
// umoci has unpacked. Then it converts again, with one worker, and compares the bytes. The tree of
// a large image is read in one way only.
func sameTree(t *testing.T, img convert.Image, root string) {
	t.Helper()
	layout, err := os.Stat(filepath.Join(root, "../../layout/oci-layout")) // written just before umoci began
	if err != nil {
		t.Fatal(err)
	}
	start := layout.ModTime()
	path, err := sif(t, img, convert.Options{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	c, err := convert.Inspect(path)
	if err != nil {
		t.Fatal(err)
	}
	want := onDisk(t, root, start)
	compare := func(how string, got map[string]node) {
		for path := range got {
			if _, ok := want[path]; added(path) || lacked(path) && !ok {
				delete(got, path)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("by %s, differs from umoci's (-umoci +ours):\n%.8000s", how, diff)
		}
	}
	compare("our reader", inSIF(t, path, c))
	if c.Size > 64<<20 {
		return
	}
	if again, err := sif(t, img, convert.Options{Workers: 1}); err != nil || !sameFile(t, path, again) {
		t.Errorf("converted once more, with one worker: other bytes, or %v", err)
	}
	unpacked := filepath.Join(scratch(t, c.Size), "tree")
	if out, err := exec.Command("unsquashfs", "-n", "-o", fmt.Sprint(c.Offset), "-d", unpacked, path).CombinedOutput(); err != nil {
		t.Fatalf("unsquashfs: %v\n%s", err, out)
	}
	compare("unsquashfs", onDisk(t, unpacked, start))
}

func sameFile(t *testing.T, a, b string) bool {
	t.Helper()
	one, err := os.ReadFile(a)
	two, err2 := os.ReadFile(b)
	if err = errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(one, two)
}
