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

// Bounds of an image, far above those of any that was seen: they stop a bomb, not an image.
const (
	maxInodes = 10_000_000
	maxBytes  = 1 << 40
	maxLayers = 1000
)

// flattener combines the layers. It reads them once, the topmost first, compresses the files that
// no higher layer seems to hide (sieve), and makes a note of each entry. The merger then applies
// the notes in the order of the layers, as one would unpack them, and so makes the tree. A file
// that is in the tree but was skipped is read at the end, such as a file that a higher layer hides
// under one name while a hard link keeps another.
//
// The time is linear in the number of entries; an entry takes about 150 bytes.
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

// note is the content of a layer's entry.
type note struct {
	inode *squashfs.Inode // nil if the entry has none, and for a file that was skipped
	at    uint32          // the path as the entry writes it
	kind  uint32          // one of those below or, for a hard link, the path of its target
}

// The kinds of notes, beside hard links.
const (
	isNothing = iota + maxPaths // the entry changes nothing
	isFile
	isDir
	isSymlink
	isSpecial
	isWhiteout // deletes the path
	isOpaque   // deletes everything below the path
)

// maxPaths is more than the number of any path.
const maxPaths = 1 << 30

// layerNotes is the range of a layer's notes, in the order of its entries.
type layerNotes struct{ first, end uint32 }

func newFlattener(w *squashfs.Writer, layers []Layer, diffIDs []string) *flattener {
	p := newPaths()
	return &flattener{
		w: w, paths: p, sieve: &sieve{paths: p}, bounds: make([]layerNotes, len(layers)),
		source: layers, diffIDs: diffIDs,
	}
}

// layers reads all layers. While it reads one, the next is fetched and inflated in the background.
func (f *flattener) layers(ctx context.Context) error {
	if len(f.diffIDs) != 0 && len(f.diffIDs) != len(f.source) {
		return oci.ErrUnusable.New("the manifest has %d layers, and the config knows %d",
			len(f.source), len(f.diffIDs))
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
		err := f.read(ctx, i, current, func(h *tar.Header, data io.Reader) error {
			return f.entry(int32(i+1), h, data)
		})
		close(current.over)
		if err != nil {
			return err
		}
		f.bounds[i].end = f.notes.count
	}
	f.sieve = nil // free memory for the tree
	return f.repeat(same)
}

// distinct returns the layers to be read, the topmost first, and for each other layer the one above
// that it repeats. A repeated layer is not read twice: its notes are applied again.
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

// repeat assigns to repeated layers the notes of the layers that were read.
func (f *flattener) repeat(same map[int]int) error {
	all := int64(f.notes.count)
	for i := range f.source {
		above, again := same[i]
		if !again {
			continue
		}
		if len(f.diffIDs) > 0 && f.diffIDs[i] != f.diffIDs[above] {
			err := refuse("the image's config has two digests for the content of one layer")
			return f.inLayer(i, err)
		}
		f.bounds[i] = f.bounds[above]
		if all += int64(f.bounds[i].end - f.bounds[i].first); all > maxInodes {
			return refuse("the image has more than %d files", maxInodes)
		}
	}
	return nil
}

// entryFunc is called for each entry of a layer.
type entryFunc func(h *tar.Header, data io.Reader) error

// read calls entry for each entry of a layer, and checks the digest of the layer's content.
func (f *flattener) read(ctx context.Context, layer int, s *stream, entry entryFunc) error {
	err := eachEntry(ctx, s, entry)
	if err == nil && len(f.diffIDs) > 0 {
		err = s.check(f.diffIDs[layer])
	}
	if err != nil {
		return f.inLayer(layer, err)
	}
	return nil
}

// inLayer adds to an error which layer it is about.
func (f *flattener) inLayer(layer int, err error) error {
	l := f.source[layer]
	return fmt.Errorf("layer %d (%s)%s: %w", layer+1, l.Digest, oddType(l.MediaType), err)
}

// oddType returns the media type of a layer, for an error, unless it is a usual one for layers. An
// unusual type may be the reason why a layer cannot be read.
func oddType(mediaType string) string {
	switch mediaType {
	case "", oci.MediaTypeLayer, oci.MediaTypeLayerGzip, oci.MediaTypeLayerZstd,
		oci.MediaTypeDockerLayer:
		return ""
	}
	return fmt.Sprintf(" of type %.80q", mediaType)
}

func eachEntry(ctx context.Context, r io.Reader, entry entryFunc) error {
	a := &archive{r: r}
	entries := tar.NewReader(a)
	last := "" // the previous entry: a header that cannot be read has no name
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		a.next()
		h, err := entries.Next()
		if errors.Is(err, io.EOF) {
			_, err := io.Copy(io.Discard, r) // the digest includes what follows the archive
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

// tarError gives errors of the archive a class. Errors of the stream below have one already.
func tarError(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, tar.ErrFieldTooLong) {
		return refuse("the layer is no tar archive, or is cut short: %w", err)
	}
	return err
}

// The names by which a layer deletes files of lower layers (image-spec, layer.md).
const (
	whiteoutPrefix = ".wh."
	opaqueName     = ".wh..wh..opq"
)

// entry makes a note of an entry. Every entry gets exactly one note, so that the number of a note
// determines the entry.
func (f *flattener) entry(layer int32, h *tar.Header, data io.Reader) error {
	if max(f.notes.count, f.paths.names.count) >= maxInodes {
		return refuse("the image has more than %d files", maxInodes)
	}
	if h.Typeflag == tar.TypeXGlobalHeader {
		f.note(0, isNothing, nil) // a comment, as in archives made by git
		return nil
	}
	parts, err := clean(h.Name)
	if err != nil {
		return err
	}
	if len(parts) == 0 && h.Typeflag != tar.TypeDir {
		return refuse("the image's root is no directory")
	}
	if len(parts) > 0 && strings.HasPrefix(parts[len(parts)-1], whiteoutPrefix) {
		f.whiteout(layer, parts)
		return nil
	}
	if err := checkHeader(h); err != nil {
		return err
	}
	at, seen := f.sieve.path(layer, parts)
	wanted := f.sieve.put(layer, at, seen, h.Typeflag == tar.TypeDir)
	if err := f.record(at, wanted, h, data); err != nil {
		return err
	}
	if err := f.w.Err(); err != nil {
		return refuse("%w", err)
	}
	return nil
}

func (f *flattener) note(at, kind uint32, inode *squashfs.Inode) {
	f.notes.add(note{inode, at, kind})
}

// whiteout makes a note of a whiteout.
func (f *flattener) whiteout(layer int32, parts []string) {
	last := len(parts) - 1
	if parts[last] == opaqueName {
		at, seen := f.sieve.path(layer, parts[:last])
		f.sieve.hide(layer, at, seen, false)
		f.note(at, isOpaque, nil)
		return
	}
	name := strings.TrimPrefix(parts[last], whiteoutPrefix)
	if strings.HasPrefix(name, whiteoutPrefix) || name == "" || name == "." || name == ".." {
		f.note(0, isNothing, nil) // a mark of aufs, or a name that no file can have
		return
	}
	parts[last] = name
	at, seen := f.sieve.path(layer, parts)
	f.sieve.hide(layer, at, seen, true)
	f.note(at, isWhiteout, nil)
}

// record makes a note of the entry at a path. It reads the content of a file only if it is wanted.
func (f *flattener) record(at uint32, wanted bool, h *tar.Header, data io.Reader) error {
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

// readMissing reads the files that are in the tree but were skipped. It reads a layer at most once.
func (f *flattener) readMissing(ctx context.Context, missing map[uint32]bool) error {
	done := map[layerNotes]bool{} // layers that are repeated share their notes
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
	s := openStream(ctx, f.source[layer], nil)
	return f.read(ctx, layer, s, func(h *tar.Header, data io.Reader) error {
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
