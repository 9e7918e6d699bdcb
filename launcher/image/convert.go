package image

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime/debug"
	"slices"

	"github.com/hpc3-project/hpc3/launcher/caches"
	"github.com/hpc3-project/hpc3/launcher/choose"
	"github.com/hpc3-project/hpc3/launcher/convert"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/notes"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/store"
)

// errPrivate is why an image is not put where others would read it.
var errPrivate = errors.New("not everybody may read it")

// makeSIF converts the image into the first of the site's caches that takes it, else into the
// user's.
func (s *Source) makeSIF(ctx context.Context, c choose.Chosen, img convert.Image) (string, error) {
	delete(s.floors, c.Entry.Digest) // another process may learn it
	for _, t := range s.Caches.Tiers() {
		if !s.Caches.Fills(t) || !s.Caches.Anonymous() {
			continue
		}
		path, err := t.Store.CreateSIF(ctx, c.Entry.Digest, c.Arch(), func(f *os.File) error {
			return s.convertFor(ctx, t.Store, f, c, s.onlyPublic(img))
		})
		if err == nil || !s.nextCache(ctx, t, err) {
			return path, err
		}
	}
	own, err := s.Caches.Own()
	if err != nil {
		return "", err
	}
	return own.CreateSIF(ctx, c.Entry.Digest, c.Arch(),
		func(f *os.File) error { return s.convertFor(ctx, own, f, c, img) })
}

// convertFor converts for a cache, and learns what the code needs.
func (s *Source) convertFor(
	ctx context.Context, to *store.Store, f *os.File, c choose.Chosen, img convert.Image,
) error {
	if err := s.convert(ctx, f, c, img); err != nil {
		return err
	}
	s.learn(to, f, c, false)
	return nil
}

// garbagePercent is for conversions, whose memory is mostly the tree of names: a collector that
// comes sooner than at twice of it costs little (GROMACS: 3 % of the processors' time), and keeps
// an image of 150,000 files below 128 MiB.
const garbagePercent = 40

func (s *Source) convert(
	ctx context.Context, f *os.File, c choose.Chosen, img convert.Image,
) error {
	defer debug.SetGCPercent(debug.SetGCPercent(garbagePercent))
	defer widen(s.Host.Getenv)()
	s.Sayf("fetching and converting %s (%s)", choose.Called(c.Reference), c.Platform())
	for {
		watched, written := watch(s.Progress, img)
		err := convert.SIF(ctx, f, watched, convert.Options{
			Compression: s.Site.Compression, Level: s.Site.CompressionLevel, Written: written,
		})
		again := s.endCopies(ctx, err) || s.mirrorInDoubt(ctx, err)
		if !again || !s.rewind(f, err) {
			s.Progress.At(notes.Publish)
			return err
		}
	}
}

// mirrorInDoubt tells whether a conversion may have failed by a mirror's wrong bytes, and there is
// another place to read them from: an archive that fell apart before its end does not say that its
// digest was wrong.
func (s *Source) mirrorInDoubt(ctx context.Context, err error) bool {
	return errors.Is(err, oci.ErrUnusable) && ctx.Err() == nil && fetch.Reroute(s.src)
}

// rewind empties a file that is to be written again.
func (s *Source) rewind(f *os.File, why error) bool {
	s.Sayf("the conversion begins anew: %s", fault.OneLine(why.Error()))
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return false
	}
	return f.Truncate(0) == nil
}

// sifDir is the cache that a SIF is to be put into, if it is not private.
func (s *Source) sifDir() string {
	for _, t := range s.Caches.Tiers() {
		if s.Caches.Fills(t) {
			return t.Dir
		}
	}
	return s.Caches.Dir()
}

// gather gathers what the conversion into a directory reads: the manifest and config now, the
// layers when they are opened.
func (s *Source) gather(ctx context.Context, c choose.Chosen, dir string) (convert.Image, error) {
	img := convert.Image{ManifestDigest: c.Entry.Digest, Reference: c.Reference.String()}
	var err error
	if img.Manifest, err = s.Blob(ctx, c.Entry.Descriptor); err != nil {
		return img, err
	}
	manifest, err := oci.ParseManifest(img.Manifest)
	if err != nil {
		return img, choose.Broken(c.Reference, err)
	}
	if img.Config, err = s.Blob(ctx, manifest.Config); err != nil {
		return img, err
	}
	if s.Option.Pull == option.Never {
		return img, s.never(c.Reference)
	}
	src, err := s.open(ctx)
	if err != nil {
		return img, err
	}
	s.lookAhead(dir, manifest.Layers)
	for _, d := range manifest.Layers {
		img.Layers = append(img.Layers, convert.Layer{Descriptor: d, Open: s.opener(src, d)})
	}
	return img, nil
}

// onlyPublic has the conversion of an image fail with errPrivate as soon as a layer turns out to be
// one that not everybody may read.
func (s *Source) onlyPublic(img convert.Image) convert.Image {
	img.Layers = slices.Clone(img.Layers)
	for i, l := range img.Layers {
		img.Layers[i].Open = func(ctx context.Context) (io.ReadCloser, error) {
			blob, err := l.Open(ctx)
			if err == nil && !s.Caches.Anonymous() {
				return nil, errors.Join(errPrivate, blob.Close())
			}
			return blob, err
		}
	}
	return img
}

// nextCache tells whether an image that could not be put into a cache of the site may be put into
// another.
func (s *Source) nextCache(ctx context.Context, t caches.Tier, err error) bool {
	var damaged *store.DamagedError
	switch {
	case ctx.Err() != nil || errors.As(err, &damaged):
		return false
	case errors.Is(err, errPrivate):
		s.Notef("the image is private, so it is not put into %s", t.Dir)
		return true
	case errors.Is(err, store.ErrUnusable):
		s.Sayf("the image is not put into %s, and is converted again for %s: %v", t.Dir,
			s.Caches.Dir(), err)
		return true
	}
	return false
}
