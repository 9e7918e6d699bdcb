package convert

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

// stream is a layer that a goroutine of its own reads, checks and inflates, some chunks ahead of whoever flattens it.
type stream struct {
	chunks chan []byte // inflated
	free   chan []byte
	rest   []byte
	last   []byte // the chunk that rest is of
	err    error  // why chunks was closed; io.EOF at the end
	sum    hash.Hash
}

// Chunks are large enough that handing them over costs nothing, and few enough that a layer ahead costs 1 MiB.
const (
	chunkSize  = 256 << 10
	chunkCount = 4
)

// openStream begins to read a layer. Cancelling the context ends it.
func openStream(ctx context.Context, l Layer) *stream {
	s := &stream{chunks: make(chan []byte, chunkCount), free: make(chan []byte, chunkCount), sum: sha256.New()}
	for range chunkCount {
		s.free <- nil
	}
	go func() {
		s.err = s.produce(ctx, l)
		close(s.chunks)
	}()
	return s
}

func (s *stream) produce(ctx context.Context, l Layer) error {
	blob, err := l.Open(ctx)
	if err != nil {
		return err
	}
	defer blob.Close()
	r, done, err := inflate(blob, l.MediaType)
	if err != nil {
		return err
	}
	defer done()
	for {
		var b []byte
		select {
		case b = <-s.free:
		case <-ctx.Done():
			return ctx.Err()
		}
		if b == nil {
			b = make([]byte, chunkSize)
		}
		n, err := io.ReadFull(r, b[:chunkSize])
		s.sum.Write(b[:n])
		if n > 0 {
			s.chunks <- b[:n] // there is room: as many chunks as buffers
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF) && n > 0 && atEnd(r):
			return drain(blob)
		case err != nil:
			return damaged(err)
		}
	}
}

// atEnd tells the end of the content from an archive that is cut short: only at the end does reading go on to say EOF.
func atEnd(r io.Reader) bool {
	var b [1]byte
	n, err := r.Read(b[:])
	return n == 0 && errors.Is(err, io.EOF)
}

// drain reads what follows the compressed content, so that the blob's digest is checked to its last byte.
func drain(blob io.Reader) error {
	_, err := io.Copy(io.Discard, blob)
	return err
}

func damaged(err error) error {
	if class, _, _ := fault.Of(err, ""); class != "" || errors.Is(err, context.Canceled) {
		return err
	}
	return fault.New(fault.Registry, "inflating: %w", err).Hint("the layer is damaged where it is stored; ask whoever published it")
}

// inflate returns the content of a blob. What the bytes say counts: images with a wrong media type are about.
func inflate(blob io.Reader, mediaType string) (io.Reader, func(), error) {
	b := bufio.NewReaderSize(blob, chunkSize)
	head, err := b.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, nil, damaged(err)
		}
		return z, func() { _ = z.Close() }, nil
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, nil, damaged(err)
		}
		return z, z.Close, nil
	case bytes.HasPrefix(head, []byte("BZh")), bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		return nil, nil, fault.New(fault.Registry, "the layer is compressed by bzip2 or xz, which image layers are not").Hint("build the image with gzip or zstd layers")
	}
	if len(mediaType) > 10 && mediaType[len(mediaType)-10:] == "+encrypted" {
		return nil, nil, fault.New(fault.Registry, "the layer is encrypted").Hint("hpc3 runs images that are not")
	}
	return b, func() {}, nil
}

// Read reads inflated bytes.
func (s *stream) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		if s.last != nil {
			s.free <- s.last[:chunkSize]
			s.last = nil
		}
		b, ok := <-s.chunks
		if !ok {
			if s.err == nil {
				return 0, io.EOF
			}
			return 0, s.err
		}
		s.last, s.rest = b, b
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// check holds the digest of the inflated layer, known once it was read to the end, against the config's.
func (s *stream) check(diffID string) error {
	got := "sha256:" + hex.EncodeToString(s.sum.Sum(nil))
	if len(diffID) == len(got) && got != diffID {
		return fault.New(fault.Registry, "its content is %s, and the image's config says %s", got, diffID).Hint("the image is damaged or was tampered with; ask whoever published it")
	}
	return nil
}
