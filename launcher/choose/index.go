package choose

import (
	"context"
	"errors"

	"github.com/hpc3-project/hpc3/launcher/oci"
)

// readIndex reads what a reference names, from a cache or else from the source, as an index.
func (ch *chooser) readIndex(
	ctx context.Context, ref oci.Reference,
) (index oci.Index, cached bool, err error) {
	raw, err := ch.from.Cached(Name{Reference: ref})
	if err != nil {
		return index, false, err
	}
	if raw != nil {
		index, err = ch.parseIndex(ctx, ref, raw, "")
		ch.Clock.Done("index", "from the cache")
		return index, true, err
	}
	ch.asked = true
	raw, mediaType, err := ch.from.Root(ctx, ref)
	if err != nil {
		return index, false, err
	}
	index, err = ch.parseIndex(ctx, ref, raw, mediaType)
	var none notImageError
	switch {
	case errors.As(err, &none): // which it stays: among tags it would be asked for at each start
		return index, false, errors.Join(err,
			ch.from.Remember(Name{Reference: ref}, raw, mediaType))
	case err != nil:
		return index, false, err
	}
	ch.Clock.Done("index", ref.String())
	return index, false, ch.from.Remember(Name{Reference: ref}, raw, mediaType)
}

// parseIndex reads raw as an index, or, for an image without one, as the manifest of its only
// entry.
func (ch *chooser) parseIndex(
	ctx context.Context, ref oci.Reference, raw []byte, mediaType string,
) (oci.Index, error) {
	kind, err := oci.Sniff(raw, mediaType)
	if err != nil {
		return oci.Index{}, Broken(ref, err)
	}
	if oci.IsIndex(kind) {
		index, err := oci.ParseIndex(raw)
		return index, Broken(ref, err)
	}
	manifest, err := oci.ParseManifest(raw)
	if err != nil {
		return oci.Index{}, Broken(ref, err)
	}
	if kind := artifact(manifest); kind != "" {
		return oci.Index{}, noImage(ref.String(), kind)
	}
	config, err := ch.from.Blob(ctx, manifest.Config)
	if err != nil {
		return oci.Index{}, err
	}
	parsed, err := asImage(ref.String(), manifest, config)
	if err != nil {
		return oci.Index{}, err
	}
	self := oci.Descriptor{MediaType: kind, Digest: oci.DigestOf(raw), Size: int64(len(raw))}
	return oci.SingleIndex(self, parsed), nil
}

// Broken says of which image a document cannot be used, and what to do; nil for no error.
func Broken(ref oci.Reference, err error) error {
	if err == nil {
		return nil
	}
	return oci.ErrUnusable.New("%s: %w", ref, err).
		Hint("it is broken where it is stored: push or copy the image again")
}
