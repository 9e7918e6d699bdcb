package store

import (
	"context"
	"path"
)

// Remove removes the SIFs, layers, partials, blobs and pins of the digests for which want is true,
// except what is in use and what other images of the directory need. The limits in opt are ignored.
func (s *Store) Remove(ctx context.Context, opt Collection, want func(digest string) bool) (
	Collected, error,
) {
	opt.MaxAge = 0
	c, err := s.collector(opt)
	if c == nil {
		return Collected{}, err
	}
	r := remover{
		collector: c, want: want, left: map[string]bool{}, there: map[string]blobFile{},
		needed: map[string]bool{},
	}
	if err := c.gather(); err != nil {
		return Collected{}, err
	}
	blobs, err := s.blobs(c.root)
	if err != nil {
		return Collected{}, err
	}
	for _, b := range blobs {
		if b.kind == KindBlob {
			r.there[b.algorithm+":"+b.sum] = b
		}
	}
	if err := r.images(ctx); err != nil {
		return c.done, err
	}
	if err := r.pins(); err != nil {
		return c.done, err
	}
	r.blobs()
	c.eachFloor(r.goes)
	c.sort()
	return c.done, nil
}

// named is the reason that Remove gives.
const named = "it was named"

// remover knows what the remaining images need.
type remover struct {
	*collector

	want   func(digest string) bool
	left   map[string]bool     // images that stay although they are wanted
	there  map[string]blobFile // blobs that are no layers
	needed map[string]bool
}

func (r *remover) goes(digest string) bool { return r.want(digest) && !r.left[digest] }

// images removes the wanted SIFs, and marks what the others need.
func (r *remover) images(ctx context.Context) error {
	var others []string
	for _, k := range r.kept {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case k.kind == KindSIF && !r.want(k.digest):
			others = append(others, k.digest)
		case k.kind == KindSIF && !r.remove(k, named):
			r.left[k.digest] = true
			others = append(others, k.digest)
		}
	}
	for _, digest := range others {
		r.need(digest)
	}
	return nil
}

// need marks a digest, and what it leads to unless it goes itself.
func (r *remover) need(digest string) {
	if r.needed[digest] {
		return
	}
	r.needed[digest] = true
	if _, ok := r.there[digest]; !ok || r.goes(digest) || r.opt.Links == nil {
		return
	}
	if raw, ok, err := r.s.Blob(digest); err == nil && ok {
		for _, next := range r.opt.Links(raw) {
			r.need(next)
		}
	}
}

// pins removes the pins of what goes, and marks what the others need.
func (r *remover) pins() error {
	entries, err := r.s.entries(r.root, dirRefs)
	if err != nil {
		return err
	}
	for _, e := range entries {
		p, ok := r.s.pinIn(e.Name())
		info, err := e.Info()
		if !ok || err != nil {
			continue // gc removes it
		}
		name := path.Join(dirRefs, e.Name())
		if !r.goes(p.Digest) || r.leadsToLeft(p.Digest) ||
			!r.opt.DryRun && r.root.Remove(name) != nil {
			r.need(p.Digest)
			continue
		}
		r.removed(KindPin, name, p.Digest, info.Size(), named)
	}
	return nil
}

// leadsToLeft reports whether a digest leads to a wanted image that stays.
func (r *remover) leadsToLeft(digest string) bool {
	found := map[string]bool{}
	r.follow(digest, r.there, found)
	for d := range r.left {
		if found[d] {
			return true
		}
	}
	return false
}

// blobs removes the layers and blobs that nothing needs.
func (r *remover) blobs() {
	for _, k := range r.kept {
		if k.kind != KindSIF && r.want(k.digest) && !r.needed[k.digest] {
			r.remove(k, named)
		}
	}
	for digest, b := range r.there {
		if r.want(digest) && !r.needed[digest] && !r.tooYoung(b.info) && (r.opt.DryRun ||
			r.root.Remove(b.name) == nil) {
			r.removed(KindBlob, b.name, digest, b.info.Size(), named)
		}
	}
}
