package fetch

import (
	"context"
	"errors"
	"io"

	"github.com/hpc3-project/hpc3/launcher/oci"
)

// relay reads a blob from one place after another: if one breaks off for good, the next continues.
type relay struct {
	ctx  context.Context //nolint:containedctx // of one call of Layer: io.Reader takes none
	m    *mirrored
	desc oci.Descriptor
	left []*place  // not asked yet
	used []*place  // that gave bytes; cur is of the last
	cur  *download // nil between two
	off  int64
	last error // of the place that failed last
	end  error // no place is left
	name func(string)
	kept bool // the first bytes are the caller's own
}

// Layer is checked at its end, after its bytes were handed out: see Reroute for wrong ones.
func (m *mirrored) Layer(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	blob, _, err := m.resume(ctx, d, nil, 0)
	return blob, err
}

func (m *mirrored) resume(ctx context.Context, d oci.Descriptor, kept io.Reader, size int64) (
	blob io.ReadCloser, from int64, err error,
) {
	if err := acceptable(d); err != nil {
		return nil, 0, err
	}
	l := &relay{ctx: ctx, m: m, desc: d, left: m.order(), name: func(string) {}, off: size}
	if err := l.open((*download).begin); err != nil {
		return nil, 0, err
	}
	from, l.kept = l.off, l.off > 0
	v := verify(&joined{l, kept, from}, d, l.from(l.used[0]))
	l.name = func(from string) { v.from = from }
	return stoppable{&judged{verified: v, relay: l}, ctx}, from, nil
}

// open moves on to the next place that has the blob.
func (l *relay) open(begin func(*download) error) error {
	for len(l.left) > 0 {
		at := l.left[0]
		l.left = l.left[1:]
		dl := at.newDownload(l.ctx, l.desc, l.off)
		err := begin(dl)
		if err == nil {
			l.off = dl.off
			l.cur, l.used = dl, append(l.used, at)
			l.name(l.from(at))
			l.m.serves(at)
			l.m.gave(at, 1)
			return nil
		}
		if err = dl.explain(err); l.ctx.Err() != nil {
			return err
		}
		l.pass(at, err)
	}
	return l.m.explain("reading "+l.desc.Digest+" from "+l.m.registry, l.last)
}

// from names a place in messages.
func (l *relay) from(at *place) string {
	if at.name == "" {
		return l.m.registry
	}
	return "the mirror " + at.name + " of " + l.m.registry
}

func (l *relay) pass(at *place, err error) {
	if ended(err) {
		err = oci.ErrUnusable.New("reading %s from %s: it ends after %d of %d bytes", l.desc.Digest,
			l.from(at), l.off, l.desc.Size).
			Hint("what %s holds is damaged: push or copy the image again", l.from(at))
	}
	l.last = err
	l.m.pass(at, err)
}

func (l *relay) Read(p []byte) (int, error) {
	for {
		if l.cur == nil {
			if l.end = l.open((*download).open); l.end != nil {
				return 0, l.end
			}
		}
		n, err := l.cur.Read(p)
		l.off += int64(n)
		switch {
		case n > 0 || err == nil:
			return n, nil
		case l.off >= l.desc.Size:
			return 0, io.EOF
		case l.ctx.Err() != nil:
			return 0, err
		}
		_ = l.cur.Close() // it failed
		l.cur = nil
		l.pass(l.used[len(l.used)-1], err)
	}
}

func (l *relay) Close() error {
	l.left = nil
	if l.cur == nil {
		return nil
	}
	return l.cur.Close()
}

// judged finds out which place sent a wrong layer.
type judged struct {
	*verified
	relay *relay
	over  bool
}

func (j *judged) Read(p []byte) (int, error) {
	n, err := j.verified.Read(p)
	if err == nil || j.over {
		return n, err
	}
	j.over = true
	switch {
	case errors.Is(err, io.EOF):
		for _, at := range j.relay.used {
			j.relay.m.gave(at, -1)
		}
	// the kept bytes may be the wrong ones
	case j.relay.end == nil && j.relay.ctx.Err() == nil && !j.relay.kept:
		for _, at := range j.relay.used { // of several that gave some bytes, who knows which it was
			j.relay.m.pass(at, err)
		}
	}
	return n, err
}
