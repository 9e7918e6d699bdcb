package convert

import (
	"context"
	"errors"
	"io"
)

// relay reads a source in its own goroutine, some chunks ahead of its reader. It reuses its
// buffers.
type relay struct {
	chunks chan []byte
	free   chan []byte
	size   int
	rest   []byte
	last   []byte // the chunk that contains rest
	err    error  // why chunks was closed; nil at the end
}

// openFunc opens a source.
type openFunc func(context.Context) (io.ReadCloser, error)

// newRelay starts to read the source that open returns, and closes it at the end. Cancelling the
// context ends it.
func newRelay(ctx context.Context, size, count int, open openFunc) *relay {
	r := &relay{chunks: make(chan []byte, count), free: make(chan []byte, count), size: size}
	for range count {
		r.free <- nil
	}
	go func() {
		r.err = r.produce(ctx, open)
		close(r.chunks)
	}()
	return r
}

func (r *relay) produce(ctx context.Context, open openFunc) error {
	src, err := open(ctx)
	if err != nil {
		return err
	}
	defer src.Close()
	for {
		var b []byte
		select {
		case b = <-r.free:
		case <-ctx.Done():
			return ctx.Err()
		}
		if b == nil {
			b = make([]byte, r.size)
		}
		n, err := fill(src, b[:r.size])
		if n > 0 {
			r.chunks <- b[:n] // does not block: there is room for as many chunks as buffers
		} else {
			r.free <- b
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// fill reads until b is full. Unlike io.ReadFull it does not change the source's error.
func fill(src io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = src.Read(b[n:])
		n += m
	}
	return n, err
}

// next returns the next chunk, which is valid until the next call.
func (r *relay) next() ([]byte, error) {
	if r.last != nil {
		r.free <- r.last
		r.last = nil
	}
	b, ok := <-r.chunks
	if !ok {
		if r.err == nil {
			return nil, io.EOF
		}
		return nil, r.err
	}
	r.last = b
	return b, nil
}

func (r *relay) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		var err error
		if r.rest, err = r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
