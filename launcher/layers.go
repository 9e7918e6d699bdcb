package launcher

import (
	"context"
	"errors"
	"io"
	"syscall"

	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/store"
)

// layerOpener returns how a layer is read: from a cache, where an image that shares it left it, else from its source. What comes from a
// registry is copied into the user's cache on its way.
func (r *Road) layerOpener(c *Choice, src fetch.Source, d oci.Descriptor) func(context.Context) (io.ReadCloser, error) {
	limit := r.Option.LayerCache.Bytes
	if c.Reference.Transport != oci.Registry || limit == 0 {
		return func(ctx context.Context) (io.ReadCloser, error) { return src.Layer(ctx, d) }
	}
	return func(ctx context.Context) (io.ReadCloser, error) {
		stores, err := r.known()
		if err != nil {
			return nil, err
		}
		for _, s := range stores {
			kept, public, ok := s.Layer(d.Digest, d.Size)
			if ok && !public {
				r.private.Store(true)
			}
			if ok {
				return kept, nil
			}
		}
		blob, err := src.Layer(ctx, d)
		if err != nil || r.sparing {
			return blob, err
		}
		return stores[0].KeepLayer(d.Digest, d.Size, limit, blob), nil
	}
}

// worthAgain tells whether an image that could not be obtained may be at a second try: a damaged copy of a layer was removed, or the copies
// of layers took the room that the SIF needs.
func (r *Road) worthAgain(err error) bool {
	var damaged *store.DamagedError
	if errors.As(err, &damaged) {
		r.note("%v; fetching it again", damaged)
		return true
	}
	if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) || r.sparing {
		return false
	}
	s, err := r.Store()
	if err != nil {
		return false
	}
	r.sparing = true
	freed := s.Evict(0)
	if freed > 0 {
		r.note("there is no room for the image: %d bytes of layers were removed from the cache", freed)
	}
	return freed > 0
}
