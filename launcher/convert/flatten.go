package convert

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// Bounds on what one image may hold, far above what any was seen to: they end a bomb, not an image.
const (
	maxInodes = 10_000_000
	maxBytes  = 1 << 40
)

// flattener lays layers over one another, the topmost first.
type flattener struct {
	w      *squashfs.Writer
	root   *node
	inodes int
	bytes  int64
	links  []pendingLink
	source []Layer
}

// pendingLink is a hard link to something that a layer, or a lower one, holds but that has not come, or has been passed over.
type pendingLink struct {
	node  *node
	layer int
}

func newFlattener(w *squashfs.Writer) *flattener { return &flattener{w: w, root: newNode()} }

// layers reads all layers. While one is flattened the next is fetched and inflated ahead.
func (f *flattener) layers(ctx context.Context, layers []Layer, diffIDs []string) error {
	f.source = layers
	if len(diffIDs) != 0 && len(diffIDs) != len(layers) {
		return fault.New(fault.Registry, "the manifest has %d layers, and the config knows %d", len(layers), len(diffIDs))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var next *stream
	for i := len(layers) - 1; i >= 0; i-- {
		current := next
		if current == nil {
			current = openStream(ctx, layers[i])
		}
		if i > 0 {
			next = openStream(ctx, layers[i-1])
		}
		err := f.layer(ctx, i, current)
		if err == nil && len(diffIDs) > 0 {
			err = current.check(diffIDs[i])
		}
		if err != nil {
			return fmt.Errorf("layer %d (%s): %w", i+1, layers[i].Digest, err)
		}
	}
	if err := f.resolveLinks(ctx); err != nil {
		return err
	}
	return f.rehome(f.root, nil)
}

func (f *flattener) layer(ctx context.Context, layer int, r io.Reader) error {
	entries := tar.NewReader(r)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := entries.Next()
		if errors.Is(err, io.EOF) {
			_, err := io.Copy(io.Discard, r) // what follows the archive belongs to the digest
			return err
		}
		if err != nil {
			return tarError(err)
		}
		if err := f.entry(layer, h, entries); err != nil {
			return fmt.Errorf("%q: %w", h.Name, err)
		}
	}
}

// tarError gives an archive's own faults a class; those of the stream below have one.
func tarError(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, tar.ErrFieldTooLong) {
		return fault.New(fault.Registry, "the layer is no tar archive, or is cut short: %w", err)
	}
	return err
}

// The names that mark what a layer takes away (image-spec, layer.md).
const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

func (f *flattener) entry(layer int, h *tar.Header, data io.Reader) error {
	if f.inodes++; f.inodes > maxInodes {
		return fmt.Errorf("the image has more than %d files", maxInodes)
	}
	parts, err := clean(h.Name)
	if err != nil {
		return err
	}
	if len(parts) == 0 {
		if h.Typeflag == tar.TypeDir {
			f.directory(f.root, layer, h)
		}
		return nil
	}
	base := parts[len(parts)-1]
	if strings.HasPrefix(base, whiteout) {
		return f.takeAway(layer, parts, base)
	}
	n, err := f.place(layer, parts)
	if err != nil || n == nil {
		return err
	}
	return f.put(n, layer, h, data)
}

// place returns the node for an entry of a layer, nil where a higher layer hides it.
func (f *flattener) place(layer int, parts []string) (*node, error) {
	n := f.root
	for i, part := range parts {
		if layer < n.barrier {
			return nil, nil
		}
		if !n.isDir() && n.target == "" {
			if n.layer == layer {
				return nil, fmt.Errorf("%q is no directory", strings.Join(parts[:i], "/"))
			}
			return nil, nil // a file of a higher layer stands where this layer has a directory
		}
		n = n.child(part)
		if layer < n.hidden {
			return nil, nil
		}
	}
	return n, nil
}

// takeAway applies a whiteout: it hides what lower layers have, not what this one has.
func (f *flattener) takeAway(layer int, parts []string, base string) error {
	dir := parts[:len(parts)-1]
	if base == opaque {
		n, err := f.place(layer, dir)
		if err == nil && n != nil {
			n.barrier = max(n.barrier, layer)
		}
		return err
	}
	name := strings.TrimPrefix(base, whiteout)
	if strings.HasPrefix(name, whiteout) || name == "" || name == "." || name == ".." {
		return nil // marks of aufs, and names that no file has
	}
	n, err := f.place(layer, append(dir[:len(dir):len(dir)], name))
	if err == nil && n != nil {
		n.hidden = max(n.hidden, layer)
		n.barrier = max(n.barrier, layer)
	}
	return err
}

// put makes a node what an entry says, unless a higher layer has said something else.
func (f *flattener) put(n *node, layer int, h *tar.Header, data io.Reader) error {
	if h.Typeflag == tar.TypeDir {
		switch {
		case !n.isDir() && n.layer > layer:
			return nil // what is below this directory meets n.barrier
		case !n.isDir(): // the same layer says both: the last counts
			n.inode, n.target, n.link, n.explicit = nil, "", "", false
		}
		f.directory(n, layer, h)
		return nil
	}
	if n.explicit && n.layer > layer || n.isDir() && len(n.children) > 0 && h.Typeflag != tar.TypeSymlink {
		n.barrier = max(n.barrier, layer)
		return nil
	}
	if n.explicit && n.isDir() && n.layer == layer && len(n.children) > 0 {
		return errors.New("a directory with files in it becomes something else in the same layer")
	}
	return f.make(n, layer, h, data)
}

func (f *flattener) directory(n *node, layer int, h *tar.Header) {
	if n.explicit && n.layer > layer {
		return
	}
	n.meta, n.layer, n.explicit = meta(h), layer, true
}

func (f *flattener) make(n *node, layer int, h *tar.Header, data io.Reader) error {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeRegA, tar.TypeGNUSparse, tar.TypeCont: //nolint:staticcheck // old archives hold TypeRegA
		if f.bytes += h.Size; f.bytes > maxBytes {
			return fmt.Errorf("the image has more than %d bytes", int64(maxBytes))
		}
		inode, err := f.w.File(meta(h), h.Size, data)
		if err != nil {
			return tarError(err)
		}
		n.set(layer, inode, "", "")
	case tar.TypeSymlink:
		if h.Linkname == "" {
			return errors.New("a symlink to nothing")
		}
		n.set(layer, f.w.Symlink(meta(h), h.Linkname), h.Linkname, "")
	case tar.TypeLink:
		return f.hardLink(n, layer, h.Linkname)
	case tar.TypeFifo:
		n.set(layer, f.w.Special(meta(h), squashfs.Fifo, 0, 0), "", "")
	case tar.TypeChar, tar.TypeBlock:
		n.hidden = max(n.hidden, layer) // not kept, and what it stood over is gone
		n.barrier = max(n.barrier, layer)
	case tar.TypeXGlobalHeader:
	default:
		return fmt.Errorf("an entry of unknown type %q", h.Typeflag)
	}
	return nil
}

// hardLink gives the node the file at a path of the same layer, or notes that it must still be found.
func (f *flattener) hardLink(n *node, layer int, to string) error {
	parts, err := clean(to)
	if err != nil {
		return err
	}
	found := f.root.find(parts)
	if found == n {
		return nil // a link to itself
	}
	if found != nil && found.layer == layer && found.inode != nil {
		n.set(layer, found.inode, found.target, "")
		return nil
	}
	n.set(layer, nil, "", "/"+strings.Join(parts, "/"))
	f.links = append(f.links, pendingLink{n, layer})
	return nil
}

// meta returns what an inode carries.
func meta(h *tar.Header) squashfs.Meta {
	m := squashfs.Meta{Mode: uint32(h.Mode) & 0o7777, UID: uint32(h.Uid), GID: uint32(h.Gid), ModTime: h.ModTime.Unix()}
	const prefix = "SCHILY.xattr."
	for key, value := range h.PAXRecords {
		name, ok := strings.CutPrefix(key, prefix)
		if ok && (strings.HasPrefix(name, "user.") || name == "security.capability") {
			m.Xattrs = append(m.Xattrs, squashfs.Xattr{Name: name, Value: []byte(value)})
		}
	}
	return m
}

// tree returns the directories as they are written. What is hidden and never came again is left out.
func (f *flattener) tree() *squashfs.Dir { return f.root.dir() }

func (n *node) dir() *squashfs.Dir {
	d := &squashfs.Dir{Meta: n.meta, Entries: make(map[string]squashfs.Node, len(n.children))}
	if !n.explicit {
		d.Mode = 0o755
	}
	for name, c := range n.children {
		switch {
		case c.inode != nil:
			d.Entries[name] = c.inode
		case c.isDir() && (c.explicit || len(c.children) > 0 && c.shows()):
			d.Entries[name] = c.dir()
		}
	}
	return d
}

// shows tells whether there is anything below a directory that no entry of its own speaks of.
func (n *node) shows() bool {
	for _, c := range n.children {
		if c.inode != nil || c.explicit && c.isDir() || c.shows() {
			return true
		}
	}
	return false
}
