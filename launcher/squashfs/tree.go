package squashfs

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// Meta is what every inode has beside its content.
type Meta struct {
	Mode uint32 // permissions, setuid, setgid and sticky: 07777
	UID  uint32
	GID  uint32

	// ModTime is in seconds since 1970. A time outside of the format's range becomes its first or
	// last second.
	ModTime int64

	// Xattrs are those of user.*, trusted.* and security.*. Others (system.*) are left out, since
	// the format cannot hold them.
	Xattrs []Xattr
}

// Tree holds the names that a Writer writes. The implementation chooses the numbers of the names,
// so that a tree of millions takes little memory.
type Tree interface {
	Children(name uint32) []uint32 // of a directory, in any order; the caller may change the slice
	Name(name uint32) []byte       // valid until the next call

	// Inode always returns the same inode for a name. A directory has one name; another inode may
	// have several.
	Inode(name uint32) *Inode
}

// Node is an entry of a Dir: a Dir or an Inode.
type Node interface{ node() }

// Dir is a directory, for small trees and those written by hand. It can be in one place of a tree
// only.
type Dir struct {
	Meta
	Entries map[string]Node
}

// Inode is an inode made by a Writer. It may have several names, as hard links, unless it is a
// directory. An image has as many inodes as files, so an Inode is small, 48 bytes: it holds only
// what every inode has.
type Inode struct {
	mode  uint16
	kind  uint16 // of the basic types
	uid   uint16 // numbers of the Writer's ids
	gid   uint16
	mtime uint32
	xattr uint32

	number uint32
	nlink  uint32
	size   int64

	// place is, for a file, that of its first block or of its tail; for a symlink, that of its
	// target in Writer.targets; for a device, its two numbers.
	place  uint64
	blocks *blockList // of a file of at least one block
}

// blockList is the list of a file's blocks. Files of the same content share it.
type blockList struct {
	words  []uint32
	sparse int64 // bytes of holes
}

func (*Dir) node()   {}
func (*Inode) node() {}

// SpecialType is the type of an inode without content.
type SpecialType uint16

// The special inodes.
const (
	BlockDevice SpecialType = typeBlock
	CharDevice  SpecialType = typeChar
	Fifo        SpecialType = typeFifo
	Socket      SpecialType = typeSocket
)

// Bounds of a tree. Those of a symlink's target (PATH_MAX) and of the depth of a path are Linux's,
// not the format's. Device numbers have 12 and 20 bits in both.
const (
	maxTarget = 4095
	maxDepth  = 2048
	maxMajor  = 1<<12 - 1
	maxMinor  = 1<<20 - 1
)

// packPair packs two numbers into an inode's place.
func packPair(high, low uint32) uint64 { return uint64(high)<<32 | uint64(low) }

func (n *Inode) pair() (high, low uint32) { return uint32(n.place >> 32), uint32(n.place) }

// Finish is FinishTree for a tree of Dirs.
func (w *Writer) Finish(root *Dir) (int64, error) {
	t := &dirTree{w: w, known: map[*Dir]bool{}}
	top, err := t.add("", root, 0)
	if err != nil {
		return 0, err
	}
	return w.FinishTree(t, top)
}

// dirTree implements Tree for Dirs.
type dirTree struct {
	w     *Writer
	known map[*Dir]bool
	names []dirName
}

type dirName struct {
	name     string
	inode    *Inode
	children []uint32
}

func (t *dirTree) add(name string, n Node, depth int) (uint32, error) {
	at := uint32(len(t.names))
	switch n := n.(type) {
	case *Inode:
		if n != nil {
			t.names = append(t.names, dirName{name: name, inode: n})
			return at, nil
		}
	case *Dir:
		if n != nil {
			return at, t.addDir(name, n, depth)
		}
	}
	return 0, fmt.Errorf("%q stands for nothing", name)
}

func (t *dirTree) addDir(name string, d *Dir, depth int) error {
	if t.known[d] || depth > maxDepth {
		return fmt.Errorf("the directory %q stands in two places, or too deep", name)
	}
	t.known[d] = true
	at := len(t.names)
	t.names = append(t.names, dirName{name: name, inode: t.w.Directory(d.Meta)})
	for _, name := range d.sorted() {
		child, err := t.add(name, d.Entries[name], depth+1)
		if err != nil {
			return err
		}
		t.names[at].children = append(t.names[at].children, child)
	}
	return nil
}

// sorted returns the names in d, sorted.
func (d *Dir) sorted() []string {
	names := make([]string, 0, len(d.Entries))
	for name := range d.Entries {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (t *dirTree) Children(name uint32) []uint32 { return slices.Clone(t.names[name].children) }
func (t *dirTree) Name(name uint32) []byte       { return []byte(t.names[name].name) }
func (t *dirTree) Inode(name uint32) *Inode      { return t.names[name].inode }

// children returns the names in a directory sorted by bytes, as listings must be.
func (f *finisher) children(dir uint32) []uint32 {
	names := f.tree.Children(dir)
	slices.SortFunc(names, func(a, b uint32) int {
		return bytes.Compare(f.tree.Name(a), f.tree.Name(b))
	})
	return names
}

// enumerate numbers the inodes below a directory. Those of one directory get consecutive numbers,
// which keeps listings short. It refuses trees that the format cannot hold or Linux cannot use.
func (f *finisher) enumerate(dir uint32, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("a path is more than %d directories deep", maxDepth)
	}
	names := f.children(dir)
	for i, name := range names {
		b, n := f.tree.Name(name), f.tree.Inode(name)
		switch {
		case len(b) > maxName || !validName(b):
			return fmt.Errorf("%q is no name for a file", b)
		case n == nil:
			return fmt.Errorf("%q stands for nothing", b)
		case i > 0 && bytes.Equal(f.tree.Name(names[i-1]), b):
			return fmt.Errorf("%q is there twice", b)
		}
		if n.nlink++; n.nlink == 1 {
			f.number++
			n.number = f.number
		} else if n.kind == typeDir {
			return errors.New("a directory stands in two places")
		}
	}
	for _, name := range names {
		if f.tree.Inode(name).kind != typeDir {
			continue
		}
		if err := f.enumerate(name, depth+1); err != nil {
			return err
		}
	}
	return nil
}
