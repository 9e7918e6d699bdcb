package launcher

import (
	"context"

	"github.com/hpc3-project/hpc3/launcher/choose"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/image"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// SIF is one image that was pulled.
type SIF struct {
	Path     string `json:"path"`
	Digest   string `json:"digest"` // of the manifest
	Platform string `json:"platform"`
	Position int    `json:"position"`
	Tag      string `json:"tag,omitempty"` // where it was chosen by its tag

	Needs []oci.Need `json:"needs,omitempty"` // of its code, as far as it shows
}

// Pulled is what Pull did.
type Pulled struct {
	Reference   string
	IndexDigest string
	Images      []SIF
}

// Pulling says what Pull fetches, and to where. The zero value is for the best entry for the node,
// into the cache.
type Pulling struct {
	File string // a SIF to write instead
	All  bool   // all entries
	Deep bool   // what all programs of the image need of a CPU is found
}

// Pull fetches and converts the best entry for the node, or all.
func (r *Road) Pull(ctx context.Context, name string, how Pulling) (Pulled, error) {
	r.Upkeep().MendShared()
	request, err := r.request(ctx, name)
	if err != nil {
		return Pulled{}, err
	}
	if request.Reference.Transport == oci.SIF {
		return Pulled{}, fault.New(fault.Usage, "%s is a SIF already", request.Reference).
			Hint("hpc3-run runs it as it is")
	}
	src := r.source(request.Reference, false)
	defer src.Close()
	p := Pulled{Reference: request.Reference.String()}
	pull := puller{Road: r, src: src, Pulling: how}
	add := func(chosen choose.Chosen) {
		p.IndexDigest, p.Images = chosen.Index.Digest, append(p.Images, pull.sif(chosen))
	}
	if how.All { // a login node fills the cache of a cluster
		err := choose.Every(ctx, request, src, r.Notes, func(chosen choose.Chosen) error {
			err := pull.take(ctx, chosen)
			if err == nil {
				add(chosen)
			}
			return err
		})
		return p, err
	}
	chosen, err := choose.Image(ctx, request, src, r.Notes)
	if err == nil {
		chosen, err = r.fitting(ctx, chosen, request, src, func(c choose.Chosen) error {
			return pull.take(ctx, c)
		})
	}
	if err == nil {
		add(chosen)
	}
	return p, err
}

// puller pulls one image after another.
type puller struct {
	*Road
	Pulling
	src  *image.Source
	path string // of the SIF that was pulled last
}

// take pulls an image. One that does not fit, as its conversion shows, is not written to a file.
func (p *puller) take(ctx context.Context, chosen choose.Chosen) error {
	if p.File != "" {
		fits := func() bool { return p.Option.Force || choose.Unfit(chosen, p.src) == "" }
		to := image.Target{File: p.File, Deep: p.Deep, Fits: fits}
		written, err := p.src.Save(ctx, chosen, to)
		if err != nil || !written {
			return err
		}
		p.path = p.File
	} else {
		img, err := p.src.Obtain(ctx, chosen)
		if err != nil {
			return err
		}
		p.src.Learn(img, chosen, p.Deep)
		img.Close()
		p.path = img.Path
	}
	p.Upkeep().WarnPrivate(p.path)
	return nil
}

// sif describes the image that was pulled last.
func (p *puller) sif(chosen choose.Chosen) SIF {
	s := SIF{
		Path: p.path, Digest: chosen.Entry.Digest, Platform: chosen.Platform(),
		Position: chosen.Taken().Position, Tag: chosen.Taken().Tag,
	}
	if f := p.src.Floor(chosen.Entry.Digest); f != nil {
		s.Needs = f.Needs
	}
	return s
}
