package convert

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

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

// lateFile is a file that was passed over, and read in the end for another name of it.
type lateFile struct {
	layer int
	path  string
}

// maxChain bounds links to links.
const maxChain = 40

// linked returns the file at a path as a layer sees it: its own, or that of the nearest layer below.
func (f *flattener) linked(ctx context.Context, name string, layer, depth int) (*squashfs.Inode, error) {
	if depth > maxChain {
		return nil, refuse("links go round in a circle")
	}
	parts, err := clean(name)
	if err != nil {
		return nil, err
	}
	led := f.lead(parts)
	if n := f.root.find(led); n != nil && n.explicit && n.layer <= layer && !n.isDir() {
		if n.inode != nil {
			return n.inode, nil
		}
		return f.linked(ctx, n.link, n.layer, depth+1)
	}
	wanted := []string{strings.Join(parts, "/"), strings.Join(led, "/")}
	for ; layer >= 0; layer-- {
		key := lateFile{layer, wanted[1]}
		if inode := f.late[key]; inode != nil {
			return inode, nil // under one more name
		}
		inode, target, err := f.search(ctx, layer, wanted)
		if err != nil {
			return nil, err
		}
		if target != "" {
			return f.linked(ctx, target, layer, depth+1)
		}
		if inode != nil {
			f.late[key] = inode
			return inode, nil
		}
	}
	return nil, refuse("no layer holds that file")
}

// lead returns where a path leads when the symlinks in it are followed, but not the last part. It is the path itself where that cannot be told.
func (f *flattener) lead(parts []string) []string {
	if len(parts) == 0 {
		return parts
	}
	dir, links := parts[:len(parts)-1], 0
	for i := 0; i < len(dir); i++ {
		n := f.root.find(dir[:i+1])
		if n == nil || n.target == "" {
			continue
		}
		to, err := n.leads(dir[:i])
		if links++; err != nil || links > maxChain {
			return parts
		}
		dir, i = append(to, dir[i+1:]...), -1
	}
	return append(dir[:len(dir):len(dir)], parts[len(parts)-1])
}

// leads returns where a symlink in a directory leads.
func (n *node) leads(dir []string) ([]string, error) {
	if strings.HasPrefix(n.target, "/") {
		return inside(n.target)
	}
	return inside("/" + strings.Join(dir, "/") + "/" + n.target)
}

// search reads a layer once more for a file that was passed over. That happens where a higher layer replaces one name of a file
// with several: rare enough to be worth a second reading, and never a wrong image.
func (f *flattener) search(ctx context.Context, layer int, wanted []string) (inode *squashfs.Inode, target string, err error) {
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
		if !slices.Contains(wanted, path.Clean("/" + h.Name)[1:]) {
			continue
		}
		switch h.Typeflag {
		case tar.TypeLink:
			inode, target = nil, h.Linkname
		case tar.TypeSymlink:
			inode, target = f.w.Symlink(meta(h), h.Linkname), ""
		case tar.TypeFifo, tar.TypeChar, tar.TypeBlock:
			inode, target = f.special(h), ""
		case tar.TypeReg, tar.TypeRegA, tar.TypeGNUSparse, tar.TypeCont: //nolint:staticcheck // old archives hold TypeRegA
			target = ""
			if inode, err = f.w.File(meta(h), h.Size, entries); err != nil {
				return nil, "", tarError(err)
			}
		}
	}
}

// rehome moves what a layer put below a path that is a symlink in a lower layer to where the symlink leads: a layer's "lib/x" over a lower
// layer's "lib -> usr/lib" is usr/lib/x, and its "lib/.wh.x" takes that away. Where it leads was not known when it was read.
//
// What a layer puts through a symlink that a higher layer replaces is not found: it counts as below what replaced it. Layers that builds
// make hold real paths, so that none has been seen to do that.
func (f *flattener) rehome(n *node, at []string) error {
	for _, name := range slices.Sorted(maps.Keys(n.children)) {
		c := n.children[name]
		here := append(at[:len(at):len(at)], name)
		opaque := c.barrier > c.layer // a mark of a layer above the symlink's
		if c.target != "" && (len(c.children) > 0 || opaque) {
			if err := f.through(c, here, opaque); err != nil {
				return err
			}
			return f.rehome(f.root, nil) // what was moved may be below a symlink again
		}
		if err := f.rehome(c, here); err != nil {
			return err
		}
	}
	return nil
}

// through moves what is below a symlink to where that leads.
func (f *flattener) through(link *node, at []string, opaque bool) error {
	moved, barrier, marksOnly := link.children, link.barrier, !link.holds(0)
	link.children, link.barrier = nil, link.layer
	to, err := f.follow(at, 0)
	switch {
	case err != nil && marksOnly: // nothing is there to be taken away
		return nil
	case err != nil:
		return err
	case to == link:
		return refuse("files are below %q, which is a symlink to itself", strings.Join(at, "/"))
	}
	if opaque {
		to.cutChildren(barrier)
	}
	mergeInto(to, moved)
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
			return nil, refuse("too many symlinks in %q", strings.Join(parts, "/"))
		}
		led, err := n.leads(parts[:i])
		if err != nil {
			return nil, err
		}
		return f.follow(append(led, parts[i+1:]...), links)
	}
	if !n.isDir() {
		return nil, refuse("%q is no directory", strings.Join(parts, "/"))
	}
	return n, nil
}

// mergeInto lays children over a directory's: of two with the same name that of the higher layer stays, and what a mark of a higher layer
// takes away goes.
func mergeInto(to *node, children map[string]*node) {
	for name, c := range children {
		old := to.children[name]
		if old != nil {
			old.cut(c.hidden)
			old.cutChildren(c.barrier)
		}
		switch {
		case old == nil:
			to.child(name)
			to.children[name] = c
		case old.target != "" && c.isDir() && !c.explicit:
			mergeInto(old, c.children) // through one more symlink
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
