package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/outside"
)

// files is a local image: a directory, or a tar file of one.
type files interface {
	// open returns a file and its size, by its slash-separated name. The error wraps fs.ErrNotExist
	// if there is none.
	open(name string) (io.ReadCloser, int64, error)
	io.Closer
}

// directory is the files in a directory.
type directory string

func (d directory) open(name string) (io.ReadCloser, int64, error) {
	f, err := outside.Open(filepath.Join(string(d), filepath.FromSlash(name)))
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close() // opened for reading
		return nil, 0, err
	}
	return f, info.Size(), nil
}

func (directory) Close() error { return nil }

func localError(ref oci.Reference, err error) error {
	err = fault.Reason(err)
	return ErrNotFound.New("opening %s: %w", ref, err).
		Hint("a path is relative to the working directory")
}

// layout is an OCI image layout (image-spec, image-layout.md).
type layout struct {
	ref   oci.Reference
	opt   Options
	files files
}

func openLayout(ref oci.Reference, opt Options) (Source, error) {
	return newLayout(ref, opt, directory(ref.Path))
}

func openLayoutArchive(ctx context.Context, ref oci.Reference, opt Options) (Source, error) {
	a, err := openArchive(ctx, ref, opt)
	if err != nil {
		return nil, err
	}
	return newLayout(ref, opt, a)
}

func newLayout(ref oci.Reference, opt Options, f files) (Source, error) {
	r, _, err := f.open("index.json")
	if err != nil {
		_ = f.Close() // opened for reading
		if errors.Is(err, fs.ErrNotExist) {
			return nil, NoLayoutError(ref)
		}
		return nil, localError(ref, err)
	}
	return &layout{ref: ref, opt: opt, files: f}, r.Close()
}

// NoLayoutError says that a directory or an archive exists and holds no image.
func NoLayoutError(ref oci.Reference) error {
	return ErrNotFound.New("opening %s: there is no OCI image layout: no index.json", ref).
		Hint("skopeo, umoci and buildx write such layouts; what docker save writes is " +
			"docker-archive:FILE")
}

func (l *layout) Close() error { return l.files.Close() }

// refName is the annotation that names an image in a layout.
const refName = "org.opencontainers.image.ref.name"

func (l *layout) Root(context.Context) ([]byte, string, error) {
	raw, err := l.index()
	if err != nil {
		return nil, "", err
	}
	d, err := l.pick(raw)
	if err != nil {
		return nil, "", err
	}
	if d == nil {
		return raw, oci.MediaTypeIndex, nil
	}
	document, err := l.read(*d)
	if err != nil {
		return nil, "", err
	}
	mediaType, err := oci.Sniff(document, d.MediaType)
	return document, mediaType, err
}

func (l *layout) index() ([]byte, error) {
	r, size, err := l.files.open("index.json")
	if err != nil {
		return nil, localError(l.ref, err)
	}
	defer r.Close()
	if size > oci.MaxDocument {
		return nil, oci.ErrUnusable.New("reading %s: its index.json has %d bytes, the limit is %d",
			l.ref, size, oci.MaxDocument)
	}
	return io.ReadAll(r)
}

// pick returns what the reference names in the layout's index; nil for the index itself. A layout
// with several nameless entries is an image index, and so is one whose only entry states demands.
func (l *layout) pick(raw []byte) (*oci.Descriptor, error) {
	index, err := oci.ParseIndex(raw)
	if err != nil {
		return nil, oci.ErrUnusable.New("opening %s: its index.json: %w", l.ref, err).
			Hint("the layout is broken: write or copy it again")
	}
	var names []string
	for _, e := range index.Entries {
		if name := e.Annotations[refName]; name != "" {
			names = append(names, name)
		}
	}
	found := l.found(index)
	slices.Sort(names)
	names = slices.Compact(names)
	switch {
	case len(found) == 1:
		return &found[0], nil
	case len(found) > 1:
		return nil, ErrNotFound.New("opening %s: it names %d images", l.ref, len(found)).
			Hint("name one by its digest: %s@sha256:…", l.ref)
	case l.ref.Digest == oci.DigestOf(raw):
		return nil, nil
	case l.ref.Digest != "" || l.ref.Tag != "":
		return nil, ErrNotFound.New("opening %s: the layout holds no such image", l.ref).
			Hint("it holds %s", listNames(names, len(index.Entries)))
	case len(index.Entries) == 1 && demands(index.Entries[0]):
		return nil, nil // what it says would be lost
	case len(index.Entries) == 1:
		return &index.Entries[0].Descriptor, nil
	case len(names) > 1 || len(names) == 1 && len(index.Entries) > 1:
		return nil, ErrNotFound.New("opening %s: the layout holds several images", l.ref).
			Hint("name one, as oci:DIR:NAME: %s", listNames(names, len(index.Entries)))
	}
	return nil, nil
}

// demands reports whether an entry states more than its architecture.
func demands(e oci.Entry) bool {
	return e.IsImage() && (len(e.Tokens) > 0 || e.Platform != nil && e.Platform.Variant != "")
}

// found returns what the reference names by digest, position or name.
func (l *layout) found(index oci.Index) (found []oci.Descriptor) {
	position, byPosition := positionOf(l.ref.Tag)
	switch {
	case l.ref.Digest != "":
		for _, e := range index.Entries {
			if e.Digest == l.ref.Digest {
				found = append(found, e.Descriptor)
			}
		}
		return found
	case byPosition && position < len(index.Entries):
		return []oci.Descriptor{index.Entries[position].Descriptor}
	}
	for _, i := range named(l.ref.Tag, len(index.Entries),
		func(i int) []string { return []string{index.Entries[i].Annotations[refName]} }) {
		found = append(found, index.Entries[i].Descriptor)
	}
	return found
}

func listNames(names []string, n int) string {
	if len(names) == 0 {
		return fmt.Sprintf("%d images without a name", n)
	}
	return strings.Join(names[:min(len(names), 10)], " ")
}

func (l *layout) read(d oci.Descriptor) ([]byte, error) {
	return readDocument(d, func() (io.ReadCloser, error) { return l.blob(d) })
}

func (l *layout) Blob(_ context.Context, d oci.Descriptor) ([]byte, error) { return l.read(d) }

func (l *layout) Layer(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	return untilDone(ctx)(l.blob(d))
}

func (l *layout) blob(d oci.Descriptor) (io.ReadCloser, error) {
	if err := acceptable(d); err != nil {
		return nil, err
	}
	algorithm, hex, _ := strings.Cut(d.Digest, ":")
	r, size, err := l.files.open("blobs/" + algorithm + "/" + hex)
	if err != nil {
		return nil, missingBlob(l.ref, d, err)
	}
	if size != d.Size {
		_ = r.Close() // opened for reading
		return nil, oci.ErrUnusable.New("reading %s of %s: it has %d bytes, and %d are expected",
			d.Digest, l.ref, size, d.Size).Hint("the image is damaged; copy it anew")
	}
	return verify(r, d, l.ref.String()), nil
}

func missingBlob(ref oci.Reference, d oci.Descriptor, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return oci.ErrUnusable.New("reading %s of %s: it is not there", d.Digest, ref).
			Hint("the image is incomplete; copy it anew, with all its platforms")
	}
	err = fault.Reason(err)
	return oci.ErrUnusable.New("reading %s of %s: %w", d.Digest, ref, err).
		Hint("make %s readable, or copy the image anew", ref.Path)
}

// untilDone makes a reader fail after its context has ended.
func untilDone(ctx context.Context) func(io.ReadCloser, error) (io.ReadCloser, error) {
	return func(r io.ReadCloser, err error) (io.ReadCloser, error) {
		if err != nil {
			return nil, err
		}
		return stoppable{r, ctx}, nil
	}
}

type stoppable struct {
	io.ReadCloser
	ctx context.Context //nolint:containedctx // io.Reader has no room for it
}

func (b stoppable) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	return b.ReadCloser.Read(p)
}
