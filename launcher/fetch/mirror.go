package fetch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hpc3-project/hpc3/launcher/oci"
)

// Mirror is a registry that holds copies of what another one holds.
type Mirror struct {
	Scheme string // "http" or "https"; if empty it is spoken to as a registry of this name
	Host   string // with its port
	Path   string // in front of each repository; may be empty
}

func (m Mirror) String() string {
	s := m.Host
	if m.Scheme != "" {
		s = m.Scheme + "://" + s
	}
	if m.Path != "" {
		s += "/" + m.Path
	}
	return s
}

// Limits for mirrors, which are there to be fast: a slow one is passed over. Only a body that broke
// off is tried twice.
const (
	mirrorConnect  = 5 * time.Second
	mirrorStall    = 20 * time.Second
	mirrorDocument = 100 * time.Second
)

// Reroute is for a conversion that found the layers unusable: it drops the mirrors that sent
// wrong bytes, or bytes of a layer that was not read to its end, where the digest is checked. It
// reports whether it dropped one and another place is left, so it is true at most once a mirror.
func Reroute(src Source) bool {
	d, ok := src.(interface{ dropUnsure() bool })
	return ok && d.dropUnsure()
}

// mirrored is an image of a registry that has mirrors. They are asked in order, then the registry.
// A mirror that fails for one part of an image is not asked for the others.
type mirrored struct {
	*places
	ref oci.Reference
}

// places are where an image is available.
type places struct {
	registry string // the one that the reference names
	note     func(string)
	origin   *place // that registry; nil if it must not be asked

	mu      sync.Mutex // for the fields of mirrors below their name
	mirrors []*place
}

type place struct {
	*registry
	name   string // of a mirror, as messages call it; empty for the registry itself
	path   string
	failed error // why it is passed over
	lied   bool  // it sent wrong bytes, and is never asked again
	served bool
	unsure int // layers of which it gave bytes and that were not checked yet
}

func newMirrored(ref oci.Reference, opt Options) (*mirrored, error) {
	m := &mirrored{ref: ref, places: &places{registry: ref.Registry, note: opt.Note}}
	for i, mirror := range opt.Mirrors {
		last := opt.NoFallback && i == len(opt.Mirrors)-1
		at, err := newMirror(mirror, ref, opt, last)
		if err != nil {
			return nil, err
		}
		m.mirrors = append(m.mirrors, at)
	}
	if opt.NoFallback {
		return m, nil
	}
	origin, err := newRegistry(ref, opt)
	m.origin = &place{registry: origin}
	return m, err
}

// newMirror returns a mirror as a place for the repository of ref. The last place of all gets as
// much patience as a registry.
func newMirror(mirror Mirror, ref oci.Reference, opt Options, last bool) (*place, error) {
	at := &place{name: mirror.String(), path: mirror.Path}
	if !last {
		opt.Timing.Connect = min(opt.Timing.Connect, mirrorConnect)
		opt.Timing.Stall = min(opt.Timing.Stall, mirrorStall)
		opt.Timing.Document = min(opt.Timing.Document, mirrorDocument)
		opt.Timing.Pauses = 2 * opt.Timing.Backoff
	}
	theirs := at.as(ref)
	theirs.Registry = mirror.Host
	r, err := newRegistry(theirs, opt)
	if err != nil {
		return nil, err
	}
	r.scheme, r.ns, r.pauses.hasty = mirror.Scheme, ref.Registry, !last
	at.registry = r
	return at, nil
}

// as returns a reference in the terms of this place.
func (at *place) as(ref oci.Reference) oci.Reference {
	if at.registry != nil {
		ref.Registry = at.ref.Registry
	}
	if at.path != "" {
		ref.Repository = at.path + "/" + ref.Repository
	}
	return ref
}

// order returns the places in the order in which they are asked. If there are only mirrors, a
// failed one comes last: it may still be better than none.
func (p *places) order() []*place {
	p.mu.Lock()
	defer p.mu.Unlock()
	var fresh, stale []*place
	for _, at := range p.mirrors {
		switch {
		case at.failed == nil:
			fresh = append(fresh, at)
		case !at.lied:
			stale = append(stale, at)
		}
	}
	if p.origin != nil {
		return append(fresh, p.origin)
	}
	return append(fresh, stale...)
}

// each asks one place after another. doing describes the purpose, in the terms of the reference.
func (p *places) each(ctx context.Context, doing string, ask func(*place) error) error {
	var err error
	for _, at := range p.order() {
		if err = ask(at); err == nil {
			p.serves(at)
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		p.pass(at, err)
	}
	return p.explain(doing, err)
}

// pass records that a place failed.
func (p *places) pass(at *place, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at.name == "" {
		return
	}
	if at.failed == nil {
		p.note("the mirror " + at.name + " is passed over: " + why(err))
	}
	at.failed = err
}

func (p *places) serves(at *place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at.name != "" && !at.served {
		p.note("images of " + p.registry + " come from the mirror " + at.name)
	}
	at.served = true
}

// explain says what each place answered. err is the answer of the last; it decides the class.
func (p *places) explain(doing string, err error) error {
	p.mu.Lock()
	var answers []string
	for _, at := range p.mirrors {
		if at.failed != nil {
			answers = append(answers, "mirror "+at.name+": "+why(at.failed))
		}
	}
	p.mu.Unlock()
	said := strings.Join(answers, "; ")
	switch {
	case p.origin != nil && said == "":
		return err
	case p.origin != nil:
		return fmt.Errorf("%w (%s)", err, said)
	}
	none := oci.ErrUnusable.New("%s: no mirror has it (%s)", doing, said).Like(err).
		Hint("the site allows its mirrors only, fallback = false in hpc3.toml: see whether the " +
			"name is right, else ask whoever runs them")
	var unlistable *UnlistableError
	if errors.As(err, &unlistable) {
		return &UnlistableError{none}
	}
	return none
}

// why returns the text of an error of this package without its first part, what was being done.
func why(err error) string {
	text := err.Error()
	if _, reason, ok := strings.Cut(text, ": "); ok {
		return reason
	}
	return text
}

// gave counts the layers of which a place sent bytes; n is -1 for one that turned out right.
func (p *places) gave(at *place, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at.unsure += n
}

func (p *places) dropUnsure() bool {
	p.mu.Lock()
	found := false
	for _, at := range p.mirrors {
		if at.unsure == 0 {
			continue
		}
		if at.failed == nil {
			at.failed = oci.ErrUnusable.New("reading an image of %s: what it sends cannot be used",
				p.registry)
			p.note("the mirror " + at.name + " is passed over: what it sends cannot be used")
		}
		found, at.lied, at.unsure = true, true, 0
	}
	p.mu.Unlock()
	return found && len(p.order()) > 0
}

func (m *mirrored) Root(ctx context.Context) (raw []byte, mediaType string, err error) {
	err = m.each(ctx, "reading "+m.ref.String(), func(at *place) (err error) {
		raw, mediaType, err = at.root(ctx, at.as(m.ref))
		return err
	})
	return raw, mediaType, err
}

func (m *mirrored) Blob(ctx context.Context, d oci.Descriptor) (raw []byte, err error) {
	if err := acceptable(d); err != nil {
		return nil, err
	}
	err = m.each(ctx, "reading "+d.Digest+" from "+m.registry, func(at *place) (err error) {
		raw, err = at.Blob(ctx, d)
		return err
	})
	return raw, err
}

func (m *mirrored) tags(ctx context.Context) (tags []string, err error) {
	err = m.each(ctx, "listing the tags of "+m.registry+"/"+m.ref.Repository,
		func(at *place) (err error) {
			tags, err = at.tags(ctx)
			return err
		})
	return tags, err
}

func (m *mirrored) tagged(tag string) Source {
	return taggedMirrored{&mirrored{m.places, otherTag(m.ref, tag)}}
}

// taggedMirrored shares its places with the source that closes them.
type taggedMirrored struct{ *mirrored }

func (taggedMirrored) Close() error { return nil }

func (p *places) Close() error {
	for _, at := range p.mirrors {
		_ = at.Close() // it only closes idle connections
	}
	if p.origin == nil {
		return nil
	}
	return p.origin.Close()
}
