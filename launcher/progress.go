package launcher

import (
	"context"
	"io"
	"slices"
	"sync/atomic"

	"github.com/hpc3-project/hpc3/launcher/convert"
)

// Stage is what an image is going through.
type Stage int32

// The stages, in the order of the road. Fetching and converting are one pass: Convert is what is left of it when all has come.
const (
	Idle    Stage = iota // nothing that takes long
	Wait                 // for another process, which converts the same image
	Fetch                // layers are read, checked and converted as they come
	Convert              // all layers were read
	Publish              // the SIF is written to the disk and gets its name
)

// Event is how far an image is.
type Event struct {
	Image  string // the reference in full
	Stage  Stage
	Digest string // of the layer that was begun last
	Layer  int    // how many were begun, of Layers
	Layers int
	In     int64 // bytes of layers that were read, as they are stored, of Total
	Kept   int64 // bytes of In that were kept of an interrupted fetch
	Total  int64
	Out    int64 // bytes of the SIF that were written
}

// Progress is how far a walk is. It costs the walk some additions, and whoever wants to know asks for the Event, at any time and
// from any goroutine. The zero value has not begun.
type Progress struct {
	image atomic.Pointer[job]
	stage atomic.Int32
}

// job counts for one conversion.
type job struct {
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
	e := Event{Stage: Stage(p.stage.Load())}
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
	if e.Stage == Fetch && e.In >= e.Total {
		e.Stage = Convert
	}
	return e
}

// at says what the walk goes through now. A nil Progress notes nothing.
func (p *Progress) at(s Stage) {
	if p != nil {
		p.stage.Store(int32(s))
	}
}

// about says which image will be next.
func (p *Progress) about(image string) {
	if p != nil {
		p.image.Store(&job{image: image})
	}
}

// begin counts what is read of an image's layers from here on, and returns the image so that it is, and what counts
// the bytes that are written.
func (p *Progress) begin(img convert.Image) (convert.Image, func(n int)) {
	if p == nil {
		return img, nil
	}
	j := &job{image: img.Reference, layers: len(img.Layers)}
	img.Layers = slices.Clone(img.Layers)
	for i, l := range img.Layers {
		j.total += l.Size
		open := l.Open
		img.Layers[i].Open = func(ctx context.Context) (io.ReadCloser, error) {
			j.begun.Add(1)
			j.digest.Store(&l.Digest)
			blob, err := open(ctx)
			if err != nil {
				return nil, err
			}
			c := &counted{ReadCloser: blob, sum: &j.in}
			if b, ok := blob.(interface{ Kept() int64 }); ok { // these are here at once
				c.ahead = b.Kept()
				j.kept.Add(c.ahead)
				j.in.Add(c.ahead)
			}
			return c, nil
		}
	}
	p.image.Store(j)
	p.at(Fetch)
	return img, func(n int) { j.out.Add(int64(n)) }
}

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
