package squashfs

import (
	"fmt"
	"slices"
)

// Meta is what every inode carries beside its content.
type Meta struct {
	Mode    uint32 // permissions, setuid, setgid and sticky: 07777
	UID     uint32
	GID     uint32
	ModTime int64   // seconds since 1970; what the format cannot hold becomes its first or last second
	Xattrs  []Xattr // user.*, trusted.* and security.*; the format cannot hold others (system.*), which are left out
}

// Node is a directory or another inode, what a name can stand for.
type Node interface{ node() }

// Dir is a directory. Its entries may be changed until Finish is called. It can stand in one place of a tree only.
type Dir struct {
	Meta
	Entries map[string]Node

	checked bool
	number  uint32
}

// Inode is anything but a directory, made by a Writer. Under several names it is a file with hard links.
type Inode struct {
	Meta

	kind     uint16 // of the basic types
	target   string
	major    uint32
	minor    uint32
	size     int64
	sparse   int64
	start    int64 // of the first block, from the start of the file system
	blocks   []uint32
	fragment uint32
	offset   uint32

	number uint32
	nlink  uint32
	ref    Ref
	done   bool // it stands in the inode table
}

func (*Dir) node()   {}
func (*Inode) node() {}

// SpecialType is the kind of an inode without content.
type SpecialType uint16

// The special inodes.
const (
	BlockDevice SpecialType = typeBlock
	CharDevice  SpecialType = typeChar
	Fifo        SpecialType = typeFifo
	Socket      SpecialType = typeSocket
)

// Bounds of a tree that Linux has, not the format: no longer target can be followed (PATH_MAX), no deeper path be named. Device
// numbers have 12 and 20 bits in both.
const (
	maxTarget = 4095
	maxDepth  = 2048
	maxMajor  = 1<<12 - 1
	maxMinor  = 1<<20 - 1
)

// check refuses what the format cannot hold or Linux not use.
func (d *Dir) check(path string, depth int) error {
	if d.checked {
		return fmt.Errorf("the directory %q stands in two places", path)
	}
	d.checked = true
	if depth > maxDepth {
		return fmt.Errorf("%.80q… is more than %d directories deep", path, maxDepth)
	}
	if err := checkXattrs(d.Xattrs); err != nil {
		return fmt.Errorf("%q: %w", path, err)
	}
	for name, n := range d.Entries {
		at := path + "/" + name
		if len(name) > maxName || !validName([]byte(name)) {
			return fmt.Errorf("%q is no name for a file", at)
		}
		if err := checkNode(n, at, depth); err != nil {
			return err
		}
	}
	return nil
}

func checkNode(n Node, path string, depth int) error {
	switch n := n.(type) {
	case *Dir:
		if n != nil {
			return n.check(path, depth+1)
		}
	case *Inode:
		if n != nil {
			return n.check(path)
		}
	}
	return fmt.Errorf("%q stands for nothing", path)
}

func (n *Inode) check(path string) error {
	switch {
	case n.kind == typeSymlink && (n.target == "" || len(n.target) > maxTarget):
		return fmt.Errorf("the symlink %q has a target of %d bytes", path, len(n.target))
	case n.major > maxMajor || n.minor > maxMinor:
		return fmt.Errorf("the device %q has the numbers %d, %d", path, n.major, n.minor)
	case n.kind == typeDir || modeOf(n.kind) == 0:
		return fmt.Errorf("%q is of no type", path)
	}
	if err := checkXattrs(n.Xattrs); err != nil {
		return fmt.Errorf("%q: %w", path, err)
	}
	return nil
}

// names returns the names in d in the order of their bytes, as listings must be.
func (d *Dir) names() []string {
	names := make([]string, 0, len(d.Entries))
	for name := range d.Entries {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
