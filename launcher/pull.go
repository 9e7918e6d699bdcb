package launcher

import (
	"context"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/match"
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

// Pull fetches and converts the best entry for the node into the cache, or into a file, or all entries into the cache.
func (r *Road) Pull(ctx context.Context, image, file string, all bool) (Pulled, error) {
	r.mendShared()
	c, err := r.Choose(ctx, image)
	if c != nil {
		defer c.Close()
	}
	if class, _, _ := fault.Of(err, ""); err != nil && (!all || c == nil || class != fault.NoMatch) {
		return Pulled{}, err
	}
	if c.Reference.Transport == oci.SIF {
		return Pulled{}, fault.New(fault.Usage, "%s is a SIF already", c.Reference).Hint("hpc3-run runs it as it is")
	}
	p := Pulled{Reference: c.Reference.String(), IndexDigest: c.Index.Digest}
	if all {
		if err := r.resolveAll(ctx, c); err != nil {
			return p, err
		}
		p.Images, err = r.pullAll(ctx, c)
		return p, err
	}
	sif, err := r.pullOne(ctx, c, file)
	if err != nil {
		return Pulled{}, err
	}
	p.Images = []SIF{sif}
	return p, nil
}

func (r *Road) pullOne(ctx context.Context, c *Choice, file string) (SIF, error) {
	path, err := file, error(nil)
	if file != "" {
		err = r.Save(ctx, c, file)
	} else {
		path, err = r.Obtain(ctx, c)
	}
	if err != nil {
		return SIF{}, err
	}
	r.tellPrivate(path)
	e := c.Index.Entries[c.Result.Chosen]
	return SIF{Path: path, Digest: c.entry.Digest, Platform: platformOf(c.entry), Position: e.Position, Tag: e.Tag}, nil
}

// pullAll fetches every image of the index, those for other nodes too: a login node fills the cache of a cluster.
func (r *Road) pullAll(ctx context.Context, c *Choice) ([]SIF, error) {
	var sifs []SIF
	for i, entry := range c.Index.Entries {
		if entry.Attestation || entry.IsIndex() || len(entry.Faults) > 0 {
			continue
		}
		one := *c
		one.entry = entry
		one.every = true
		one.Result = match.Result{Chosen: i, Why: "--all-variants"}
		sif, err := r.pullOne(ctx, &one, "")
		c.source = one.source // opened by the first that needed it
		if err != nil {
			return sifs, err
		}
		sifs = append(sifs, sif)
	}
	if len(sifs) == 0 {
		return nil, fault.New(fault.NoMatch, "%s holds no image", c.Reference)
	}
	return sifs, nil
}
