package convert

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// Bounds on what one image may hold, far above what any was seen to: they end a bomb, not an image.
const (
	maxInodes = 10_000_000
	maxBytes  = 1 << 40
	maxLayers = 1000
)

// flattener lays layers over one another. It reads them once, the topmost first, compresses the files that no higher layer seems to hide,
// and notes what each entry says. The notes are then played in the order of the layers, as one would unpack them (merger): that gives the
// tree. A file that is in the tree but was passed over, as one that a higher layer hides by name and links by another, is read then.
//
// The work is linear in the number of entries, and an entry takes about 150 bytes.
type flattener struct {
	w       *squashfs.Writer
	paths   *paths
	sieve   *sieve
	notes   table[note]
	bounds  []layerNotes // by layer
	bytes   int64
	source  []Layer
	diffIDs []string
}

// note is what an entry of a layer says.
type note struct {
	inode *squashfs.Inode // nil for what has none, and for a file that was passed over
	at    uint32          // its path as it is written
	what  uint32          // one of those below, or the path that a hard link is to
}

// What a note can be, beside a hard link.
const (
	isNothing = iota + maxPaths // it changes nothing
	isFile
	isDir
	isSymlink
	isSpecial
	isWhiteout // of what is at the path
	isOpaque   // of what is below it
)

// maxPaths is more than paths can be.
const maxPaths = 1 << 30

// layerNotes are the numbers of a layer's notes, in the order of its entries.
type layerNotes struct{ first, end uint32 }

func newFlattener(w *squashfs.Writer, layers []Layer, diffIDs []string) *flattener {
	p := newPaths()
	return &flattener{w: w, paths: p, sieve: &sieve{paths: p}, bounds: make([]layerNotes, len(layers)), source: layers, diffIDs: diffIDs}
}

// layers reads all layers. While one is read the next is fetched and inflated ahead.
func (f *flattener) layers(ctx context.Context) error {
	if len(f.diffIDs) != 0 && len(f.diffIDs) != len(f.source) {
		return oci.ErrUnusable.New("the manifest has %d layers, and the config knows %d", len(f.source), len(f.diffIDs))
	}
	if len(f.source) > maxLayers {
		return refuse("the image has %d layers, the limit is %d", len(f.source), maxLayers)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	distinct, same := f.distinct()
	var next *stream
	for turn, i := range distinct {
		current := next
		if current == nil {
			current = openStream(ctx, f.source[i], nil)
		}
		if turn+1 < len(distinct) {
			next = openStream(ctx, f.source[distinct[turn+1]], current)
		}
		f.bounds[i].first = f.notes.count
		err := f.read(ctx, i, current, func(h *tar.Header, data io.Reader) error { return f.entry(int32(i+1), h, data) })
		close(current.over)
		if err != nil {
			return err
		}
		f.bounds[i].end = f.notes.count
	}
	f.sieve = nil // the tree needs the memory
	return f.repeat(same)
}

// distinct returns the layers to be read, the topmost first, and for each other one the layer above it that it repeats. Nobody reads a
// layer twice: what its entries say is played again.
func (f *flattener) distinct() (layers []int, same map[int]int) {
	same = map[int]int{}
	seen := map[string]int{}
	for i := len(f.source) - 1; i >= 0; i-- {
		if above, again := seen[f.source[i].Digest]; again {
			same[i] = above
			continue
		}
		seen[f.source[i].Digest] = i
		layers = append(layers, i)
	}
	return layers, same
}

// repeat gives layers the notes of those that they repeat.
func (f *flattener) repeat(same map[int]int) error {
	all := int64(f.notes.count)
	for i := range f.source {
		above, again := same[i]
		if !again {
			continue
		}
		if len(f.diffIDs) > 0 && f.diffIDs[i] != f.diffIDs[above] {
			return f.inLayer(i, refuse("the image's config has two digests for the content of one layer"))
		}
		f.bounds[i] = f.bounds[above]
		if all += int64(f.bounds[i].end - f.bounds[i].first); all > maxInodes {
			return refuse("the image has more than %d files", maxInodes)
		}
	}
	return nil
}

// read gives the entries of a layer to a function, and checks the layer's digest.
func (f *flattener) read(ctx context.Context, layer int, s *stream, entry func(h *tar.Header, data io.Reader) error) error {
	err := eachEntry(ctx, s, entry)
	if err == nil && len(f.diffIDs) > 0 {
		err = s.check(f.diffIDs[layer])
	}
	if err != nil {
		return f.inLayer(layer, err)
	}
	return nil
}

// inLayer says in which layer something was wrong.
func (f *flattener) inLayer(layer int, err error) error {
	l := f.source[layer]
	return fmt.Errorf("layer %d (%s)%s: %w", layer+1, l.Digest, oddType(l.MediaType), err)
}

// oddType names the media type of a layer if it is none of those that image layers have: where the layer cannot be read, that may be why.
func oddType(mediaType string) string {
	switch mediaType {
	case "", oci.MediaTypeLayer, oci.MediaTypeLayerGzip, oci.MediaTypeLayerZstd, oci.MediaTypeDockerLayer:
		return ""
	}
	return fmt.Sprintf(" of type %.80q", mediaType)
}

func eachEntry(ctx context.Context, r io.Reader, entry func(h *tar.Header, data io.Reader) error) error {
	a := &archive{r: r}
	entries := tar.NewReader(a)
	last := "" // the entry before: a header that cannot be read has no name
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		a.next()
		h, err := entries.Next()
		if errors.Is(err, io.EOF) {
			_, err := io.Copy(io.Discard, r) // what follows the archive belongs to the digest
			return err
		}
		if err != nil && last == "" {
			return tarError(err)
		}
		if err != nil {
			return fmt.Errorf("behind %.80q: %w", last, tarError(err))
		}
		last = h.Name
		if err := entry(h, a.data(h, entries)); err != nil {
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

// entry notes what an entry says. There is a note for each, so that the number of an entry can be told from its note.
func (f *flattener) entry(layer int32, h *tar.Header, data io.Reader) error {
	if max(f.notes.count, f.paths.names.count) >= maxInodes {
		return refuse("the image has more than %d files", maxInodes)
	}
	if h.Typeflag == tar.TypeXGlobalHeader {
		f.note(0, isNothing, nil) // a comment, as git's archives have one
		return nil
	}
	parts, err := clean(h.Name)
	if err != nil {
		return err
	}
	if len(parts) == 0 && h.Typeflag != tar.TypeDir {
		return refuse("the image's root is no directory")
	}
	if len(parts) > 0 && strings.HasPrefix(parts[len(parts)-1], whiteout) {
		f.takeAway(layer, parts)
		return nil
	}
	if err := possible(h); err != nil {
		return err
	}
	at, seen := f.sieve.path(layer, parts)
	if err := f.thing(at, f.sieve.put(layer, at, seen, h.Typeflag == tar.TypeDir), h, data); err != nil {
		return err
	}
	if err := f.w.Err(); err != nil {
		return refuse("%w", err)
	}
	return nil
}

func (f *flattener) note(at, what uint32, inode *squashfs.Inode) { f.notes.add(note{inode, at, what}) }

// takeAway notes a whiteout.
func (f *flattener) takeAway(layer int32, parts []string) {
	last := len(parts) - 1
	if parts[last] == opaque {
		at, seen := f.sieve.path(layer, parts[:last])
		f.sieve.takeAway(layer, at, seen, false)
		f.note(at, isOpaque, nil)
		return
	}
	name := strings.TrimPrefix(parts[last], whiteout)
	if strings.HasPrefix(name, whiteout) || name == "" || name == "." || name == ".." {
		f.note(0, isNothing, nil) // marks of aufs, and names that no file has
		return
	}
	parts[last] = name
	at, seen := f.sieve.path(layer, parts)
	f.sieve.takeAway(layer, at, seen, true)
	f.note(at, isWhiteout, nil)
}

// thing notes what is at a path. The content of a file is read if it is wanted.
func (f *flattener) thing(at uint32, wanted bool, h *tar.Header, data io.Reader) error {
	switch {
	case h.Typeflag == tar.TypeDir:
		f.note(at, isDir, f.w.Directory(meta(h)))
	case regular(h) && !wanted:
		f.note(at, isFile, nil)
	case regular(h):
		inode, err := f.file(h, data)
		if err != nil {
			return err
		}
		f.note(at, isFile, inode)
	case h.Typeflag == tar.TypeSymlink:
		f.note(at, isSymlink, f.w.Symlink(meta(h), h.Linkname))
	case h.Typeflag == tar.TypeLink:
		to, err := clean(h.Linkname)
		if err != nil {
			return fmt.Errorf("a hard link to %.80q: %w", h.Linkname, err)
		}
		f.note(at, f.paths.walk(to), nil)
	case h.Typeflag == tar.TypeFifo || h.Typeflag == tar.TypeChar || h.Typeflag == tar.TypeBlock:
		inode, err := f.special(h)
		if err != nil {
			return err
		}
		f.note(at, isSpecial, inode)
	default:
		return refuse("an entry of unknown type %q", h.Typeflag)
	}
	return nil
}

// again reads the files that are in the tree but were passed over, each layer at most once more.
func (f *flattener) again(ctx context.Context, missing map[uint32]bool) error {
	done := map[layerNotes]bool{} // of layers that others repeat
	for layer, b := range f.bounds {
		wanted := false
		if done[b] {
			continue
		}
		done[b] = true
		for n := b.first; n < b.end && !wanted; n++ {
			wanted = missing[n]
		}
		if !wanted {
			continue
		}
		if err := f.readAgain(ctx, layer, missing); err != nil {
			return err
		}
	}
	return nil
}

func (f *flattener) readAgain(ctx context.Context, layer int, missing map[uint32]bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n := f.bounds[layer].first
	return f.read(ctx, layer, openStream(ctx, f.source[layer], nil), func(h *tar.Header, data io.Reader) error {
		at := n
		n++
		switch {
		case !missing[at]:
			return nil
		case at >= f.bounds[layer].end || !regular(h):
			return refuse("the layer is another than when it was first read")
		}
		inode, err := f.file(h, data)
		f.notes.at(at).inode = inode
		return err
	})
}
