package notes

import (
	"io"
	"sync/atomic"
)

// Phase is what an image goes through.
type Phase int32

// The phases, in the order of the road. Fetching and converting are one pass: Convert is what is
// left of it when all has come.
const (
	Idle    Phase = iota // nothing that takes long
	Wait                 // for another process, which converts the same image
	Fetch                // layers are read, checked and converted as they come
	Convert              // all layers were read
	Publish              // the SIF is written to the disk and gets its name
)

// Event is how far an image is.
type Event struct {
	Image  string // the reference in full
	Phase  Phase
	Digest string // of the layer that was begun last
	Layer  int    // how many were begun, of Layers
	Layers int
	In     int64 // bytes of layers that were read, as they are stored, of Total
	Kept   int64 // bytes of In that were kept of an interrupted fetch
	Total  int64
	Out    int64 // bytes of the SIF that were written
}

// Progress is how far a walk is. It costs the walk some additions; its Event can be asked for at
// any time and from any goroutine. The zero value has not begun.
type Progress struct {
	image atomic.Pointer[Count]
	phase atomic.Int32
}

// Count counts for one conversion.
type Count struct {
	image  string
	layers int
	total  int64
	begun  atomic.Int32
	digest atomic.Pointer[string]
	in     atomic.Int64
	kept   atomic.Int64
	out    atomic.Int64
}

// Event returns how far the walk is.
func (p *Progress) Event() Event {
	e := Event{Phase: Phase(p.phase.Load())}
	j := p.image.Load()
	if j == nil {
		return e
	}
	e.Image, e.Layers, e.Total = j.image, j.layers, j.total
	e.Layer, e.In, e.Out = int(j.begun.Load()), j.in.Load(), j.out.Load()
	e.Kept = j.kept.Load()
	if d := j.digest.Load(); d != nil {
		e.Digest = *d
	}
	if e.Phase == Fetch && e.In >= e.Total {
		e.Phase = Convert
	}
	return e
}

// At says what the walk goes through now. A nil Progress notes nothing.
func (p *Progress) At(phase Phase) {
	if p != nil {
		p.phase.Store(int32(phase))
	}
}

// About says which image is next.
func (p *Progress) About(image string) {
	if p != nil {
		p.image.Store(&Count{image: image})
	}
}

// Begin counts what is read of the layers of an image from here on, of so many bytes in all.
func (p *Progress) Begin(image string, layers int, total int64) *Count {
	c := &Count{image: image, layers: layers, total: total}
	p.image.Store(c)
	p.At(Fetch)
	return c
}

// Layer says that a layer is begun.
func (c *Count) Layer(digest string) {
	c.begun.Add(1)
	c.digest.Store(&digest)
}

// Read returns a layer that counts what is read of it. What was kept of an interrupted fetch counts
// at once.
func (c *Count) Read(layer io.ReadCloser) io.ReadCloser {
	r := &counted{ReadCloser: layer, sum: &c.in}
	if l, ok := layer.(interface{ Kept() int64 }); ok {
		r.ahead = l.Kept()
		c.kept.Add(r.ahead)
		c.in.Add(r.ahead)
	}
	return r
}

// Wrote counts bytes of the SIF that were written.
func (c *Count) Wrote(n int) { c.out.Add(int64(n)) }

// counted counts what is read.
type counted struct {
	io.ReadCloser
	sum   *atomic.Int64
	ahead int64 // bytes that were counted before they are read
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	known := min(int64(n), c.ahead)
	c.ahead -= known
	c.sum.Add(int64(n) - known)
	return n, err
}
