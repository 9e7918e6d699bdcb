package launcher

import (
	"context"
	"errors"
	"io"
	"maps"
	"sync"
	"syscall"

	"github.com/hpc3-project/hpc3/launcher/fault"
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
		if kept := r.keptLayer(stores, d); kept != nil {
			return kept, nil
		}
		blob, err := src.Layer(ctx, d)
		if err != nil || r.sparing {
			return blob, err
		}
		return stores[0].KeepLayer(d.Digest, d.Size, limit, blob), nil
	}
}

// copies are the layers that were read from caches.
type copies struct {
	mu     sync.Mutex
	used   map[string]bool // digests
	broken bool            // one was: none is read any more
}

func (r *Road) keptLayer(stores []*store.Store, d oci.Descriptor) io.ReadCloser {
	r.copies.mu.Lock()
	defer r.copies.mu.Unlock()
	if r.copies.broken {
		return nil
	}
	for _, s := range stores {
		kept, public, ok := s.Layer(d.Digest, d.Size)
		if !ok {
			continue
		}
		if !public {
			r.private.Store(true)
		}
		if r.copies.used == nil {
			r.copies.used = map[string]bool{}
		}
		r.copies.used[d.Digest] = true
		return kept
	}
	return nil
}

// worthAgain tells whether an image that could not be obtained may be at a second try: a copy of a layer was damaged, or the copies took
// the room that the SIF needs.
func (r *Road) worthAgain(ctx context.Context, err error) bool {
	var damaged *store.DamagedError
	class, _, _ := fault.Of(err, "")
	switch {
	case errors.As(err, &damaged):
		r.note("%v; fetching it again", damaged)
		r.copies.distrust()
		return true
	case class == fault.Registry: // what is damaged may look like anything before its digest is known
		return r.checkCopies(ctx)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return r.makeRoom()
	}
	return false
}

// distrust has no copy be read any more, and returns which were. Readers of a conversion that failed may still be about.
func (c *copies) distrust() map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = true
	return maps.Clone(c.used)
}

// checkCopies tells whether one of the copies that were read is damaged. From the user's cache it is removed, by this or by its reader,
// which may have come to the end since.
func (r *Road) checkCopies(ctx context.Context) (broken bool) {
	stores, err := r.known()
	used := r.copies.distrust()
	if err != nil || len(used) == 0 {
		return false
	}
	whole := map[string]bool{}
	for i, s := range stores {
		err := s.Verify(ctx, func(d string) bool { return used[d] }, i == 0, func(c store.Checked) {
			before, seen := whole[c.Digest]
			whole[c.Digest] = (before || !seen) && c.Broken == "" && c.Unknown == nil
		})
		if err != nil {
			return false
		}
	}
	for d := range used {
		if !whole[d] {
			broken = true
			r.note("the copy of layer %s in the cache is damaged; fetching it again", d)
		}
	}
	return broken
}

// makeRoom removes the copies of layers, and reports whether there were any.
func (r *Road) makeRoom() bool {
	s, err := r.Store()
	if err != nil || r.sparing {
		return false
	}
	r.sparing = true
	freed := s.Evict(0)
	if freed > 0 {
		r.note("there is no room for the image: %d bytes of layers were removed from the cache", freed)
	}
	return freed > 0
}
