package convert

import (
	"path"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// node is a name in the tree that is being put together. Layers are numbered from 0, the lowest.
type node struct {
	children map[string]*node
	inode    *squashfs.Inode // set for what is no directory
	target   string          // of a symlink
	link     string          // of a hard link whose file has not come yet: its path
	meta     squashfs.Meta   // of a directory
	explicit bool            // an entry of its own has been seen, not only something below it
	layer    int             // that set it
	hidden   int             // layers below this number do not show here, nor below here
	barrier  int             // layers below this number do not show below here
}

func newNode() *node { return &node{layer: -1} }

// isDir tells whether the node is, so far, a directory.
func (n *node) isDir() bool { return n.inode == nil && n.link == "" }

func (n *node) child(name string) *node {
	c := n.children[name]
	if c == nil {
		if n.children == nil {
			n.children = map[string]*node{}
		}
		c = newNode()
		n.children[name] = c
	}
	return c
}

// set makes the node a file, symlink or other thing of a layer. Directories of lower layers under this name are gone.
func (n *node) set(layer int, inode *squashfs.Inode, target, link string) {
	n.inode, n.target, n.link, n.layer, n.explicit = inode, target, link, layer, true
	n.barrier = max(n.barrier, layer)
}

// refuse is an error of a layer that holds what none should.
func refuse(format string, args ...any) error {
	return fault.New(fault.Registry, format, args...).Hint("the image is damaged, or was not made by a build; ask whoever published it")
}

// Bounds of a path: how many parts it may have, where the kernel's own limit is 4096 bytes for the whole, and the length of each (NAME_MAX).
const (
	maxDepth = 2048
	maxName  = 255
)

// clean returns the parts of a path in a layer: relative to the root, also where it begins with a slash, as old archives' do. A path
// that leads out of the root is refused: no build makes one.
func clean(name string) ([]string, error) {
	relative := path.Clean(strings.TrimLeft(name, "/"))
	if relative == ".." || strings.HasPrefix(relative, "../") {
		return nil, refuse("the path %.80q leads out of the image's root", name)
	}
	return inside(name)
}

// inside returns the parts of a path that is resolved in the root, as symlinks are: ".." there leads to the root itself.
func inside(name string) ([]string, error) {
	if strings.ContainsRune(name, 0) {
		return nil, refuse("the path %.80q holds a NUL byte", name)
	}
	name = path.Clean("/" + name)[1:]
	if name == "" {
		return nil, nil
	}
	parts := strings.Split(name, "/")
	if len(parts) > maxDepth {
		return nil, refuse("a path is %d directories deep", len(parts))
	}
	for _, part := range parts {
		if len(part) > maxName {
			return nil, refuse("a name of %d bytes, the limit is %d", len(part), maxName)
		}
	}
	return parts, nil
}

// holds tells whether there is anything below a directory that layers from a number on have put there.
func (n *node) holds(layer int) bool {
	for _, c := range n.children {
		if c.explicit && c.layer >= layer || c.holds(layer) {
			return true
		}
	}
	return false
}

// cut takes away what layers below a number have put at a node and below it. What a higher layer has put there stays.
func (n *node) cut(below int) {
	if n.layer < below {
		n.inode, n.target, n.link, n.meta, n.explicit = nil, "", "", squashfs.Meta{}, false
	}
	n.cutChildren(below)
}

func (n *node) cutChildren(below int) {
	for _, c := range n.children {
		c.cut(below)
	}
}

// find returns the node at a path, nil where there is none.
func (n *node) find(parts []string) *node {
	for _, part := range parts {
		if n = n.children[part]; n == nil {
			return nil
		}
	}
	return n
}
