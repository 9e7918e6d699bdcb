package outside

import (
	"context"
	"errors"
	"io"
	"os"
	"time"
)

// How long a pipe may be without a writer before its first byte, and how often that is looked at.
// Whoever is about to write opens the pipe at once, even if what it writes takes its time; a FIFO
// that was left behind has nobody.
const (
	writerLimit = 5 * time.Second
	writerPause = 20 * time.Millisecond
)

// ErrNoWriter is a pipe that nobody writes into.
var ErrNoWriter = errors.New("it is a pipe, and nobody writes into it")

// Stream opens what is read from its beginning to its end: a regular file or a pipe. Reading ends
// with ctx.
func Stream(ctx context.Context, name string) (io.ReadCloser, error) {
	f, isPipe, err := open(name, true)
	if err != nil || !isPipe {
		if err != nil {
			return nil, err
		}
		return f, nil
	}
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) }) // a pipe takes one
	return &stream{File: f, ctx: ctx, stop: stop, until: time.Now().Add(writerLimit)}, nil
}

// stream is a pipe.
type stream struct {
	*os.File
	ctx   context.Context //nolint:containedctx // io.Reader has no room for it
	stop  func() bool
	until time.Time // the first byte, or a writer that takes its time; zero once there was one
}

// Read waits for a writer to come, then for what it writes. A pipe without writers is at its end,
// before the first one too.
func (s *stream) Read(p []byte) (int, error) {
	for {
		n, err := s.File.Read(p)
		switch {
		case s.ctx.Err() != nil:
			return n, s.ctx.Err()
		case n > 0:
			s.until = time.Time{}
			return n, nil
		case !errors.Is(err, io.EOF) || s.until.IsZero():
			return n, err
		case time.Now().After(s.until):
			return 0, ErrNoWriter
		}
		time.Sleep(writerPause)
	}
}

func (s *stream) Close() error {
	s.stop()
	return s.File.Close()
}
