package choose

import (
	"context"
	"errors"

	"github.com/hpc3-project/hpc3/launcher/oci"
)

// maxOpened bounds how many indexes and images inside an index are read for one choice because
// their entries state no platform: with one, only what would be chosen is read.
const maxOpened = 16

// open reads the indexes inside the index that state no platform: nothing tells whether what they
// hold fits. What states one is read if it would be chosen.
func (ch *chooser) open(ctx context.Context) error {
	opened := 0
	for i, e := range ch.c.Index.Entries {
		if !e.IsIndex() || e.Platform != nil || e.Nested != nil || e.Tag != "" ||
			len(e.Faults) > 0 || opened == maxOpened {
			continue
		}
		opened++
		nested, err := ch.nested(ctx, e)
		if err != nil {
			return err
		}
		ch.c.Index.Entries[i].Nested = nested
	}
	return nil
}

// nested returns what an index inside an index holds. Entries without a platform have that of
// their images' configs.
func (ch *chooser) nested(ctx context.Context, e oci.Entry) ([]oci.Entry, error) {
	raw, err := ch.from.Blob(ctx, e.Descriptor)
	if err != nil {
		return nil, err
	}
	index, err := oci.ParseIndex(raw)
	if err != nil {
		return nil, err
	}
	entries, read := append([]oci.Entry{}, index.Entries...), 0
	for i := range entries {
		inner := &entries[i]
		if inner.Platform != nil || !inner.IsImage() || len(inner.Faults) > 0 ||
			read == maxOpened {
			continue
		}
		read++
		if err := ch.learnPlatform(ctx, inner); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// learnPlatform reads the config of an entry that states no platform. What is no image is noted as
// such.
func (ch *chooser) learnPlatform(ctx context.Context, e *oci.Entry) error {
	raw, err := ch.fetchConfig(ctx, *e, "an image inside "+ch.Reference.String())
	var none notImageError
	if errors.As(err, &none) {
		e.Faults = append(e.Faults, none.why)
		return nil
	}
	if err != nil {
		return err
	}
	config, err := oci.ParseConfig(raw)
	if err != nil {
		return err
	}
	e.Config = &config
	e.Platform = &oci.Platform{
		OS: config.OS, Architecture: oci.Architecture(config.Architecture),
		Variant: config.Variant,
	}
	return nil
}

// flat returns the entries with those of the indexes among them in their place.
func (ch *chooser) flat(ctx context.Context, entries []oci.Entry, depth int) ([]oci.Entry, error) {
	var all []oci.Entry
	for _, e := range entries {
		if !e.IsIndex() || e.Attestation || len(e.Faults) > 0 {
			all = append(all, e)
			continue
		}
		if depth == maxNesting {
			return nil, oci.ErrUnusable.New("reading %s: indexes are nested more than %d deep",
				ch.Reference, maxNesting)
		}
		inner, err := e.Inner(), error(nil)
		if e.Nested == nil {
			if inner, err = ch.nested(ctx, e); err != nil {
				return nil, err
			}
		}
		if inner, err = ch.flat(ctx, inner, depth+1); err != nil {
			return nil, err
		}
		for _, n := range inner {
			n.Position = e.Position
			all = append(all, n)
		}
	}
	return all, nil
}
