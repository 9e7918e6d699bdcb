package convert

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// resolveLinks finds the files of hard links that were met before them, since lower layers come later, or whose files were passed
// over, since a higher layer hides them by name.
func (f *flattener) resolveLinks(ctx context.Context) error {
	for _, l := range f.links {
		if l.node.link == "" {
			continue // replaced by a later entry
		}
		inode, err := f.linked(ctx, l.node.link, l.layer, 0)
		if err != nil {
			return fmt.Errorf("a hard link to %s in layer %d: %w", l.node.link, l.layer+1, err)
		}
		l.node.inode, l.node.link = inode, ""
	}
	return nil
}

// maxChain bounds links to links.
const maxChain = 40

// linked returns the file at a path as a layer sees it: its own, or that of the nearest layer below.
func (f *flattener) linked(ctx context.Context, name string, layer, depth int) (*squashfs.Inode, error) {
	if depth > maxChain {
		return nil, errors.New("links go round in a circle")
	}
	parts, err := clean(name)
	if err != nil {
		return nil, err
	}
	if n := f.root.find(parts); n != nil && n.explicit && n.layer <= layer && !n.isDir() {
		if n.inode != nil {
			return n.inode, nil
		}
		return f.linked(ctx, n.link, n.layer, depth+1)
	}
	for ; layer >= 0; layer-- {
		inode, target, err := f.search(ctx, layer, path.Clean("/"+name))
		if err != nil {
			return nil, err
		}
		if target != "" {
			return f.linked(ctx, target, layer, depth+1)
		}
		if inode != nil {
			return inode, nil
		}
	}
	return nil, fault.New(fault.Registry, "no layer holds that file")
}

// search reads a layer once more for a file that was passed over. That happens where a higher layer replaces one name of a file
// with several: rare enough to be worth a second reading, and never a wrong image.
func (f *flattener) search(ctx context.Context, layer int, want string) (inode *squashfs.Inode, target string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	entries := tar.NewReader(openStream(ctx, f.source[layer]))
	for {
		h, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return inode, target, nil
		}
		if err != nil {
			return nil, "", tarError(err)
		}
		if path.Clean("/"+h.Name) != want {
			continue
		}
		switch h.Typeflag {
		case tar.TypeLink:
			inode, target = nil, h.Linkname
		case tar.TypeSymlink:
			inode, target = f.w.Symlink(meta(h), h.Linkname), ""
		case tar.TypeReg, tar.TypeGNUSparse:
			target = ""
			if inode, err = f.w.File(meta(h), h.Size, entries); err != nil {
				return nil, "", tarError(err)
			}
		}
	}
}

// rehome moves what a layer put below a path that is a symlink in a lower layer to where the symlink leads: a layer's "lib/x" over a lower
// layer's "lib -> usr/lib" is usr/lib/x. Where it leads was not known when it was read.
func (f *flattener) rehome(n *node, at []string) error {
	for name, c := range n.children {
		here := append(at[:len(at):len(at)], name)
		if c.target != "" && len(c.children) > 0 {
			to, err := f.follow(here, 0)
			if err != nil {
				return err
			}
			if to == c {
				return fmt.Errorf("files are below %q, which is a symlink to itself", strings.Join(here, "/"))
			}
			moved := c.children
			c.children = nil
			mergeInto(to, moved)
			return f.rehome(f.root, nil) // what was moved may be below a symlink again
		}
		if err := f.rehome(c, here); err != nil {
			return err
		}
	}
	return nil
}

// follow returns the directory that a path leads to, made where it does not exist.
func (f *flattener) follow(parts []string, links int) (*node, error) {
	n := f.root
	for i := 0; i < len(parts); i++ {
		n = n.child(parts[i])
		if n.target == "" {
			continue
		}
		if links++; links > maxChain {
			return nil, fmt.Errorf("too many symlinks in %q", strings.Join(parts, "/"))
		}
		target := n.target
		if !strings.HasPrefix(target, "/") {
			target = "/" + strings.Join(parts[:i], "/") + "/" + target
		}
		led, err := clean(target)
		if err != nil {
			return nil, err
		}
		return f.follow(append(led, parts[i+1:]...), links)
	}
	if !n.isDir() {
		return nil, fmt.Errorf("%q is no directory", strings.Join(parts, "/"))
	}
	return n, nil
}

// mergeInto lays children over a directory's: of two with the same name that of the higher layer stays.
func mergeInto(to *node, children map[string]*node) {
	for name, c := range children {
		old := to.children[name]
		switch {
		case old == nil:
			to.child(name)
			to.children[name] = c
		case old.isDir() && c.isDir():
			if c.explicit && (!old.explicit || c.layer > old.layer) {
				old.meta, old.layer, old.explicit = c.meta, c.layer, true
			}
			mergeInto(old, c.children)
		case c.explicit && c.layer >= old.layer || !old.explicit:
			to.children[name] = c
		}
	}
}
