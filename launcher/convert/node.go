package convert

import (
	"fmt"
	"path"
	"strings"

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

// maxDepth bounds how deep a path may be; the kernel's own limit for a path is 4096 bytes.
const maxDepth = 2048

// clean returns the parts of a path in a layer: relative to the root, which nothing leads out of.
func clean(name string) ([]string, error) {
	if strings.ContainsRune(name, 0) {
		return nil, fmt.Errorf("the path %q holds a NUL byte", name)
	}
	name = path.Clean("/" + name)[1:]
	if name == "" {
		return nil, nil
	}
	parts := strings.Split(name, "/")
	if len(parts) > maxDepth {
		return nil, fmt.Errorf("a path is %d directories deep", len(parts))
	}
	return parts, nil
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
