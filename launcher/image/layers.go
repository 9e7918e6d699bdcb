package image

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"syscall"

	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/notes"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/store"
)

// layers are the copies of layers that an image is made with.
type layers struct {
	limit   int64 // bytes of them that the user's cache keeps
	tight   bool  // no copies are made: there is no room for them
	sparing bool  // nor are there any: they made room

	mu     sync.Mutex
	used   map[string]bool  // digests of those that were read from caches
	broken bool             // one was: none is read any more
	coming []*store.Partial // of one conversion
}

// opener returns how a layer is read: from a cache, if an image that shares it left it there, else
// from its source. What comes from a registry is copied into the user's cache on its way; an
// interrupted fetch goes on from such a copy.
func (s *Source) opener(
	src fetch.Source, d oci.Descriptor,
) func(context.Context) (io.ReadCloser, error) {
	if s.ref.Transport != oci.Registry || s.layers.limit == 0 {
		return func(ctx context.Context) (io.ReadCloser, error) { return src.Layer(ctx, d) }
	}
	return func(ctx context.Context) (io.ReadCloser, error) {
		stores, err := s.Caches.Known()
		if err != nil {
			return nil, err
		}
		if kept := s.keptLayer(stores, d); kept != nil {
			return kept, nil
		}
		return s.fetchLayer(ctx, stores[0], src, d)
	}
}

func (s *Source) fetchLayer(
	ctx context.Context, own *store.Store, src fetch.Source, d oci.Descriptor,
) (io.ReadCloser, error) {
	var part *store.Partial
	if !s.layers.tight && !s.layers.sparing {
		part = own.Fetch(d.Digest, d.Size, s.layers.limit)
	}
	if part == nil {
		return src.Layer(ctx, d)
	}
	s.layers.mu.Lock()
	s.layers.coming = append(s.layers.coming, part)
	s.layers.mu.Unlock()
	kept, size := part.Kept()
	blob, from, err := fetch.Resume(ctx, src, d, kept, size)
	if err != nil {
		part.Fail()
		return nil, err
	}
	if from > 0 {
		s.Notef("going on with layer %s at %d of %d bytes", d.Digest, from, d.Size)
	} else if size > 0 {
		s.Notef("the registry gives no part of layer %s: it is fetched from its beginning",
			d.Digest)
	}
	return part.Copy(blob, from), nil
}

// endCopies ends the copies that are still being made when a conversion has ended with an error, or
// nil. It tells whether kept parts of layers were in it, and may have been what was wrong: these
// are dropped.
func (s *Source) endCopies(ctx context.Context, err error) (again bool) {
	c := &s.layers
	c.mu.Lock()
	coming := c.coming
	c.coming = nil
	c.mu.Unlock()
	wrong := errors.Is(err, oci.ErrUnusable) && ctx.Err() == nil &&
		!slices.ContainsFunc(coming, (*store.Partial).Failed)
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

func (s *Source) keptLayer(stores []*store.Store, d oci.Descriptor) io.ReadCloser {
	s.layers.mu.Lock()
	defer s.layers.mu.Unlock()
	if s.layers.broken {
		return nil
	}
	for _, cache := range stores {
		kept, public, ok := cache.Layer(d.Digest, d.Size)
		if !ok {
			continue
		}
		if !public {
			s.Caches.UsesPrivate()
		}
		if s.layers.used == nil {
			s.layers.used = map[string]bool{}
		}
		s.layers.used[d.Digest] = true
		return kept
	}
	return nil
}

// worthAgain tells whether a second try may obtain an image that could not be obtained: a copy of a
// layer was damaged, or the copies took the room that the SIF needs.
func (s *Source) worthAgain(ctx context.Context, err error) bool {
	var damaged *store.DamagedError
	switch {
	case errors.As(err, &damaged):
		s.Notef("%v; fetching it again", damaged)
		s.layers.distrust()
		return true
	case errors.Is(err, oci.ErrUnusable): // damage may look like anything at first
		return s.checkCopies(ctx)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return s.makeRoom()
	}
	return false
}

// distrust has no copy be read any more, and returns which were. Readers of a conversion that
// failed may still be at work.
func (l *layers) distrust() map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = true
	return maps.Clone(l.used)
}

// checkCopies tells whether one of the copies that were read is damaged. From the user's cache it
// is removed, by this or by its reader, which may have come to the end since.
func (s *Source) checkCopies(ctx context.Context) (broken bool) {
	stores, err := s.Caches.Known()
	used := s.layers.distrust()
	if err != nil || len(used) == 0 {
		return false
	}
	whole := map[string]bool{}
	for i, cache := range stores {
		err := cache.Verify(ctx, func(d string) bool { return used[d] }, i == 0,
			func(c store.Checked) {
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
			s.Notef("the copy of layer %s in the cache is damaged; fetching it again", d)
		}
	}
	return broken
}

// makeRoom removes the copies of layers, and reports whether there were any.
func (s *Source) makeRoom() bool {
	own, err := s.Caches.Own()
	if err != nil || s.layers.sparing {
		return false
	}
	s.layers.sparing = true
	freed := own.Evict(0) + own.DropPartials()
	if freed > 0 {
		s.Sayf("there was no room for the image in %s: %s of layers were removed from there, "+
			"and it is converted again",
			own.Dir(), notes.Amount(freed))
	}
	return freed > 0
}
