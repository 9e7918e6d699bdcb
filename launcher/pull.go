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
}

// Pulled is what Pull did.
type Pulled struct {
	Reference   string
	IndexDigest string
	Images      []SIF
}

// Pull fetches and converts the best entry for the node into the cache, or into a file, or all
// entries into the cache.
func (r *Road) Pull(ctx context.Context, name, file string, all bool) (Pulled, error) {
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
	take := func(chosen choose.Chosen) error {
		sif, err := r.pullOne(ctx, chosen, src, file)
		if err == nil {
			p.IndexDigest, p.Images = chosen.Index.Digest, append(p.Images, sif)
		}
		return err
	}
	if all { // a login node fills the cache of a cluster
		return p, choose.Every(ctx, request, src, r.Notes, take)
	}
	chosen, err := choose.Image(ctx, request, src, r.Notes)
	if err == nil {
		err = take(chosen)
	}
	return p, err
}

func (r *Road) pullOne(
	ctx context.Context, chosen choose.Chosen, src *image.Source, file string,
) (SIF, error) {
	sif := SIF{
		Path: file, Digest: chosen.Entry.Digest, Platform: chosen.Platform(),
		Position: chosen.Taken().Position, Tag: chosen.Taken().Tag,
	}
	if file != "" {
		if err := src.Save(ctx, chosen, file); err != nil {
			return SIF{}, err
		}
	} else {
		img, err := src.Obtain(ctx, chosen)
		if err != nil {
			return SIF{}, err
		}
		img.Close()
		sif.Path = img.Path
	}
	r.Upkeep().WarnPrivate(sif.Path)
	return sif, nil
}
