package outside

import (
	"context"
	"errors"
	"io"
	"os"
	"time"
)

// How long a pipe may lack a writer before its first byte, and how often that is checked. A writer
// opens the pipe at once, even if its data takes time; an abandoned FIFO has no writer.
const (
	writerLimit = 5 * time.Second
	writerPause = 20 * time.Millisecond
)

// ErrNoWriter says that nobody writes into a pipe.
var ErrNoWriter = errors.New("it is a pipe, and nobody writes into it")

// Stream opens a regular file or a pipe, to be read once from start to end. Reading stops when ctx
// ends.
func Stream(ctx context.Context, name string) (io.ReadCloser, error) {
	f, isPipe, err := open(name, true)
	if err != nil || !isPipe {
		if err != nil {
			return nil, err
		}
		return f, nil
	}
	// pipes support deadlines
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })
	return &stream{File: f, ctx: ctx, stop: stop, until: time.Now().Add(writerLimit)}, nil
}

// stream is a pipe.
type stream struct {
	*os.File
	ctx   context.Context //nolint:containedctx // io.Reader has no room for it
	stop  func() bool
	until time.Time // the first byte, or a writer that takes its time; zero once there was one
}

// Read waits for a first writer, then for data. A pipe without a writer reads as ended, even before
// the first one has come.
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
