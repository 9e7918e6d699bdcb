package convert

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/oci"
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
	late   map[lateFile]*squashfs.Inode
	source []Layer
}

// pendingLink is a hard link to something that a layer, or a lower one, holds but that has not come, or has been passed over.
type pendingLink struct {
	node  *node
	layer int
}

func newFlattener(w *squashfs.Writer) *flattener {
	return &flattener{w: w, root: newNode(), late: map[lateFile]*squashfs.Inode{}}
}

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
			return fmt.Errorf("layer %d (%s)%s: %w", i+1, layers[i].Digest, oddType(layers[i].MediaType), err)
		}
	}
	if err := f.rehome(f.root, nil); err != nil {
		return err
	}
	return f.resolveLinks(ctx)
}

// oddType names the media type of a layer if it is none of those that image layers have: where the layer cannot be read, that may be why.
func oddType(mediaType string) string {
	switch mediaType {
	case "", oci.MediaTypeLayer, oci.MediaTypeLayerGzip, oci.MediaTypeLayerZstd, oci.MediaTypeDockerLayer:
		return ""
	}
	return fmt.Sprintf(" of type %.80q", mediaType)
}

func (f *flattener) layer(ctx context.Context, layer int, r io.Reader) error {
	entries := tar.NewReader(r)
	last := "" // the entry before: a header that cannot be read has no name
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
			return fmt.Errorf("behind %.80q: %w", last, tarError(err))
		}
		last = h.Name
		if err := f.entry(layer, h, entries); err != nil {
			return fmt.Errorf("%.80q: %w", h.Name, err)
		}
	}
}

// tarError gives an archive's own faults a class; those of the stream below have one.
func tarError(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, tar.ErrFieldTooLong) {
		return refuse("the layer is no tar archive, or is cut short: %w", err)
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
		return refuse("the image has more than %d files", maxInodes)
	}
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil // a comment, as git's archives have one
	}
	parts, err := clean(h.Name)
	if err != nil {
		return err
	}
	if len(parts) == 0 {
		if h.Typeflag != tar.TypeDir {
			return refuse("the image's root is no directory")
		}
		f.directory(f.root, layer, h)
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
				return nil, refuse("%q is no directory", strings.Join(parts[:i], "/"))
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
	if n.explicit && n.layer > layer || n.isDir() && n.holds(layer+1) && h.Typeflag != tar.TypeSymlink {
		n.barrier = max(n.barrier, layer)
		return nil
	}
	n.cutChildren(layer + 1) // of two entries in one layer the last counts, and a directory goes with what is in it
	return f.make(n, layer, h, data)
}

func (f *flattener) directory(n *node, layer int, h *tar.Header) {
	if n.explicit && n.layer > layer {
		return
	}
	n.meta, n.layer, n.explicit = meta(h), layer, true
}

func (f *flattener) make(n *node, layer int, h *tar.Header, data io.Reader) error {
	if err := possible(h); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeRegA, tar.TypeGNUSparse, tar.TypeCont: //nolint:staticcheck // old archives hold TypeRegA
		if h.Size > maxBytes-f.bytes {
			return refuse("the image has more than %d bytes", int64(maxBytes))
		}
		f.bytes += h.Size
		inode, err := f.w.File(meta(h), h.Size, data)
		if err != nil {
			return tarError(err)
		}
		n.set(layer, inode, "", "")
	case tar.TypeSymlink:
		n.set(layer, f.w.Symlink(meta(h), h.Linkname), h.Linkname, "")
	case tar.TypeLink:
		return f.hardLink(n, layer, h.Linkname)
	case tar.TypeFifo, tar.TypeChar, tar.TypeBlock:
		n.set(layer, f.special(h), "", "")
	default:
		return refuse("an entry of unknown type %q", h.Typeflag)
	}
	return nil
}

func (f *flattener) special(h *tar.Header) *squashfs.Inode {
	kind := squashfs.Fifo
	switch h.Typeflag {
	case tar.TypeChar:
		kind = squashfs.CharDevice
	case tar.TypeBlock:
		kind = squashfs.BlockDevice
	default:
		h.Devmajor, h.Devminor = 0, 0 // archives may hold anything there
	}
	return f.w.Special(meta(h), kind, uint32(h.Devmajor), uint32(h.Devminor))
}

// Bounds of Linux: of a symlink's target (PATH_MAX), of an owner (the last number stands for none), and of a device's numbers, which
// have 12 and 20 bits.
const (
	maxTarget = 4095
	maxOwner  = math.MaxUint32 - 1
	maxMajor  = 1<<12 - 1
	maxMinor  = 1<<20 - 1
)

// possible refuses what no file can be.
func possible(h *tar.Header) error {
	device := h.Typeflag == tar.TypeChar || h.Typeflag == tar.TypeBlock
	switch {
	case h.Uid < 0 || h.Uid > maxOwner || h.Gid < 0 || h.Gid > maxOwner:
		return refuse("the owner %d:%d", h.Uid, h.Gid)
	case device && (h.Devmajor < 0 || h.Devmajor > maxMajor || h.Devminor < 0 || h.Devminor > maxMinor):
		return refuse("the device %d:%d", h.Devmajor, h.Devminor)
	case h.Typeflag == tar.TypeSymlink && (h.Linkname == "" || len(h.Linkname) > maxTarget):
		return refuse("a symlink to a path of %d bytes", len(h.Linkname))
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
	if h.Typeflag == tar.TypeSymlink {
		m.Mode = 0o777 // as Linux has it, whatever an archive says
	}
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
