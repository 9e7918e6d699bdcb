package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"

	"github.com/hpc3-project/hpc3/launcher/oci"
)

// dockerArchive is the output of docker save: manifest.json names configs and layers by file. It
// holds no OCI manifest; one is made up, whose digest is the same for the same content.
type dockerArchive struct {
	ref   oci.Reference
	opt   Options
	files *archive
	raw   []byte            // the manifest
	names map[string]string // digest → name in the archive
}

type savedImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func openDockerArchive(ctx context.Context, ref oci.Reference, opt Options) (Source, error) {
	a, err := openArchive(ctx, ref, opt)
	if err != nil {
		return nil, err
	}
	d := &dockerArchive{ref: ref, opt: opt, files: a}
	if _, _, err := a.open("manifest.json"); err != nil {
		_ = a.Close() // opened for reading
		return nil, ErrNotFound.New(
			"opening %s: it is not what docker save writes: it has no manifest.json", ref).
			Hint("an OCI layout in a tar file is oci-archive:FILE")
	}
	return d, nil
}

func (d *dockerArchive) Close() error { return d.files.Close() }

func (d *dockerArchive) Root(ctx context.Context) ([]byte, string, error) {
	if err := d.load(ctx); err != nil {
		return nil, "", err
	}
	if d.ref.Digest != "" && !oci.Matches(d.ref.Digest, d.raw) {
		return nil, "", ErrNotFound.New("opening %s: the image in it has the digest %s", d.ref,
			oci.DigestOf(d.raw))
	}
	return d.raw, oci.MediaTypeManifest, nil
}

// load finds the image and computes the digests of its parts by reading them once.
func (d *dockerArchive) load(ctx context.Context) error {
	if d.raw != nil {
		return nil
	}
	raw, err := d.file("manifest.json")
	if err != nil {
		return err
	}
	var saved []savedImage
	if err := json.Unmarshal(raw, &saved); err != nil {
		return d.broken("its manifest.json: %v", err)
	}
	image, err := d.pick(saved)
	if err != nil {
		return err
	}
	names := map[string]string{}
	manifest := struct {
		SchemaVersion int              `json:"schemaVersion"`
		MediaType     string           `json:"mediaType"`
		Config        oci.Descriptor   `json:"config"`
		Layers        []oci.Descriptor `json:"layers"`
	}{SchemaVersion: 2, MediaType: oci.MediaTypeManifest, Layers: []oci.Descriptor{}}
	if manifest.Config, err = d.describe(ctx, image.Config, oci.MediaTypeConfig); err != nil {
		return err
	}
	names[manifest.Config.Digest] = image.Config
	for _, name := range image.Layers {
		layer, err := d.describe(ctx, name, oci.MediaTypeLayer)
		if err != nil {
			return err
		}
		names[layer.Digest] = name
		manifest.Layers = append(manifest.Layers, layer)
	}
	if d.raw, err = json.Marshal(manifest); err != nil {
		return err
	}
	d.names = names
	return nil
}

func (d *dockerArchive) broken(format string, args ...any) error {
	return oci.ErrUnusable.New("reading %s: "+format, append([]any{d.ref}, args...)...).
		Hint("it is damaged; save it anew")
}

func (d *dockerArchive) pick(saved []savedImage) (savedImage, error) {
	var tags []string
	for _, s := range saved {
		tags = append(tags, s.RepoTags...)
	}
	position, byPosition := positionOf(d.ref.Tag)
	found := named(d.ref.Tag, len(saved), func(i int) []string { return saved[i].RepoTags })
	switch {
	case len(saved) == 0:
		return savedImage{}, d.broken("it holds no image")
	case byPosition && position < len(saved):
		return saved[position], nil
	case len(found) == 1:
		return saved[found[0]], nil
	case len(found) > 1:
		return savedImage{}, ErrNotFound.New("opening %s: it names %d images", d.ref, len(found)).
			Hint("name one in full, as docker-archive:FILE:NAME:TAG: %s",
				listNames(tags, len(saved)))
	case d.ref.Tag != "":
		return savedImage{}, ErrNotFound.New("opening %s: it holds no image with this tag", d.ref).
			Hint("it holds %s", listNames(tags, len(saved)))
	case len(saved) > 1:
		return savedImage{}, ErrNotFound.New("opening %s: it holds several images", d.ref).
			Hint("name one, as docker-archive:FILE:NAME:TAG or by its position, "+
				"docker-archive:FILE:@0: %s", listNames(tags, len(saved)))
	}
	return saved[0], nil
}

// file reads a small file of the archive.
func (d *dockerArchive) file(name string) ([]byte, error) {
	r, size, err := d.files.open(name)
	if err != nil {
		return nil, d.broken("%q is missing", name)
	}
	defer r.Close()
	if size > oci.MaxDocument {
		return nil, d.broken("%q has %d bytes, the limit is %d", name, size, oci.MaxDocument)
	}
	return io.ReadAll(r)
}

func (d *dockerArchive) describe(ctx context.Context, name, mediaType string) (
	oci.Descriptor, error,
) {
	r, size, err := d.files.open(name)
	if err != nil {
		return oci.Descriptor{}, d.broken("%q is missing", name)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, stoppable{r, ctx}); err != nil {
		return oci.Descriptor{}, d.broken("%q: %v", name, err)
	}
	return oci.Descriptor{
		MediaType: mediaType,
		Digest:    "sha256:" + hex.EncodeToString(sum.Sum(nil)), Size: size,
	}, nil
}

func (d *dockerArchive) Blob(ctx context.Context, desc oci.Descriptor) ([]byte, error) {
	if err := d.load(ctx); err != nil {
		return nil, err
	}
	if oci.Matches(desc.Digest, d.raw) {
		return d.raw, nil
	}
	return readDocument(desc, func() (io.ReadCloser, error) { return d.blob(desc) })
}

func (d *dockerArchive) Layer(ctx context.Context, desc oci.Descriptor) (io.ReadCloser, error) {
	if err := d.load(ctx); err != nil {
		return nil, err
	}
	return untilDone(ctx)(d.blob(desc))
}

func (d *dockerArchive) blob(desc oci.Descriptor) (io.ReadCloser, error) {
	name, ok := d.names[desc.Digest]
	if !ok {
		return nil, d.broken("%s is missing", desc.Digest)
	}
	r, _, err := d.files.open(name)
	if err != nil {
		return nil, d.broken("%q is missing", name)
	}
	return verify(r, desc, d.ref.String()), nil
}
