package launcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"syscall"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/store"
)

// layerOpener returns how a layer is read: from a cache, where an image that shares it left it, else from its source. What comes from a
// registry is copied into the user's cache on its way, where an interrupted fetch is gone on with.
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
		return r.fetchLayer(ctx, stores[0], src, d)
	}
}

func (r *Road) fetchLayer(ctx context.Context, own *store.Store, src fetch.Source, d oci.Descriptor) (io.ReadCloser, error) {
	var part *store.Partial
	if !r.tight && !r.sparing {
		part = own.Fetch(d.Digest, d.Size, r.Option.LayerCache.Bytes)
	}
	if part == nil {
		return src.Layer(ctx, d)
	}
	r.copies.mu.Lock()
	r.copies.coming = append(r.copies.coming, part)
	r.copies.mu.Unlock()
	kept, size := part.Kept()
	blob, from, err := fetch.GoOn(ctx, src, d, kept, size)
	if err != nil {
		part.Fail()
		return nil, err
	}
	if from > 0 {
		r.note("going on with layer %s at %d of %d bytes", d.Digest, from, d.Size)
	} else if size > 0 {
		r.note("the registry gives no part of layer %s: it is fetched from its beginning", d.Digest)
	}
	return part.Copy(blob, from), nil
}

// over ends what is still coming of layers when a conversion has ended with an error, or nil. It tells whether kept parts of layers were in it, and may have
// been what was wrong: these are not there any more.
func (r *Road) over(ctx context.Context, err error) (again bool) {
	c := &r.copies
	c.mu.Lock()
	coming := c.coming
	c.coming = nil
	c.mu.Unlock()
	class, _, _ := fault.Of(err, "")
	wrong := class == fault.Registry && ctx.Err() == nil && !slices.ContainsFunc(coming, (*store.Partial).Failed)
	var damaged *store.DamagedError
	errors.As(err, &damaged)
	for _, p := range coming {
		if wrong || damaged != nil && damaged.Digest == p.Digest() {
			_, size := p.Kept()
			again = again || size > 0
			p.Drop()
		}
		p.Leave()
	}
	return again
}

// copies are the layers that were read from caches, and those that are copied there.
type copies struct {
	mu     sync.Mutex
	used   map[string]bool  // digests
	broken bool             // one was: none is read any more
	coming []*store.Partial // of one conversion
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
	freed := s.Evict(0) + s.DropPartials()
	if freed > 0 {
		r.waiting(fmt.Sprintf("there was no room for the image in %s: %s of layers were removed from there, and it is converted again", s.Dir(), Amount(freed)))
	}
	return freed > 0
}

// tooTight tells beforehand whether the user's cache has no room for an image and for copies of its layers, which take as much again.
func (r *Road) tooTight(layers []oci.Descriptor) bool {
	s, err := r.Store()
	if err != nil {
		return false // the walk will say so
	}
	room, ok := store.RoomAt(existing(s.Dir()))
	if !ok || room.Bytes/2 >= sizeOf(layers) {
		return false
	}
	r.note("%s are left for %s, too little to keep layers beside the image: an interrupted fetch begins anew", Amount(room.Bytes), s.Dir())
	return true
}
