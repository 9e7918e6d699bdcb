// Package image goes from a chosen image to a SIF on this node: it looks into the caches, and else
// fetches the layers, with mirrors and second tries, and converts them into the first cache that
// takes the result.
package image

import (
	"context"
	"os"

	"github.com/hpc3-project/hpc3/launcher/caches"
	"github.com/hpc3-project/hpc3/launcher/choose"
	"github.com/hpc3-project/hpc3/launcher/convert"
	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/notes"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/settings"
	"github.com/hpc3-project/hpc3/launcher/store"
)

// Image is an image that lies on this node.
type Image struct {
	Path     string // absolute, of the SIF
	Contents convert.Contents
	Held     *os.File // keeps the SIF of a cache from being cleared; nil for nothing
}

// Close lets the SIF be cleared.
func (i Image) Close() {
	if i.Held != nil {
		_ = i.Held.Close() // opened for reading
	}
}

// Source is an image's documents and layers: those that the caches have and, for others, its
// registry or archive. It is a choose.Source.
type Source struct {
	Options
	ref    oci.Reference
	src    fetch.Source          // nil until it is asked
	keys   map[string]string     // of references in the caches, see key
	made   Image                 // the SIF that Config found last; its Path is "" for none
	of     choice                // that it is of
	floors map[string]*oci.Floor // what is known of images' code, see Floor
	layers layers
}

// choice is what the SIF of a cache is found by.
type choice struct{ digest, arch string }

// Options are what a Source goes by.
type Options struct {
	settings.Settings
	notes.Notes
	Caches  *caches.Caches
	Version string // of hpc3, for registries
	Looks   bool   // nothing in the caches is set aside or held: no command is to start
	Asks    bool   // documents are those of the registry or archive, whatever the caches have
}

// Open returns the source of a reference. Nothing is opened or asked yet.
func Open(ref oci.Reference, opt Options) *Source {
	return &Source{
		Options: opt, ref: ref, keys: map[string]string{}, floors: map[string]*oci.Floor{},
	}
}

// Close lets go of the registry or archive.
func (s *Source) Close() {
	s.made.Close()
	if s.src != nil {
		_ = s.src.Close() // opened for reading
	}
}

// File returns the SIF that a reference names, by a path of its file.
func File(ref oci.Reference, path string) (Image, error) {
	contents, err := convert.Inspect(path)
	return Image{Path: path, Contents: contents}, choose.HintFiles("", ref, err)
}

// maxTries bounds how often a SIF is looked for that somebody clears: hpc3 cache gc or rm may be
// quicker.
const maxTries = 3

// Obtain returns the SIF of a choice, fetched and converted if no cache has it.
func (s *Source) Obtain(ctx context.Context, c choose.Chosen) (Image, error) {
	for range maxTries {
		img, gone, err := s.obtainOnce(ctx, c)
		if err != nil && ctx.Err() == nil && s.worthAgain(ctx, err) {
			img, gone, err = s.obtainOnce(ctx, c)
		}
		if err != nil || !gone {
			return img, err
		}
	}
	return Image{}, store.ErrUnusable.New(
		"the SIF of %s is removed from the cache as soon as it is made", c.Reference)
}

// obtainOnce tells with gone that the SIF was removed as soon as it was found or made.
func (s *Source) obtainOnce(
	ctx context.Context, c choose.Chosen,
) (img Image, gone bool, err error) {
	img, err = s.take(c.Entry.Digest, c.Arch())
	if err != nil {
		return Image{}, false, err
	}
	if img.Path != "" {
		store.Used(img.Path)
		s.Clock.Done("image", "from the cache")
		s.tellImage(c, img.Path, "from the cache")
		return img, false, nil
	}
	read, err := s.gather(ctx, c, s.sifDir())
	if err != nil {
		return Image{}, false, err
	}
	s.Progress.About(read.Reference)
	defer s.Progress.At(notes.Idle)
	path, err := s.makeSIF(ctx, c, read)
	if err != nil {
		return Image{}, false, err
	}
	s.Clock.Done("image", "fetched and converted")
	s.tellImage(c, path, "fetched into")
	return s.hold(path)
}
