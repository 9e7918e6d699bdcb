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
	"runtime/debug"

	"github.com/klauspost/compress/zstd"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/gunzip"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// stream is the content of a layer. One goroutine reads the blob and checks its digest, another
// inflates it, and the reader of the stream only computes the digest of the content: inflating
// takes the longest and cannot be divided.
type stream struct {
	content *relay
	rest    []byte
	sum     hash.Hash
	over    chan struct{} // closed when the stream is no longer read
}

// The chunks are so large that passing them on costs nothing, and so few that a layer that is read
// ahead takes 2 MiB.
const (
	blobChunk    = 128 << 10
	contentChunk = 256 << 10
	chunkCount   = 4
)

// openStream starts to read a layer. Cancelling the context ends it. A layer that takes much memory
// waits until the layer before it is over; before may be nil.
func openStream(ctx context.Context, l Layer, before *stream) *stream {
	wait := func(ctx context.Context) error {
		if before == nil {
			return nil
		}
		select {
		case <-before.over:
			debug.FreeOSMemory() // the memory of that layer
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	open := func(ctx context.Context) (io.ReadCloser, error) {
		ctx, cancel := context.WithCancel(ctx)
		blob := newRelay(ctx, blobChunk, chunkCount, l.Open)
		r, done, err := inflate(blob, l.MediaType, func() error { return wait(ctx) })
		if err != nil {
			cancel()
			return nil, err
		}
		return &inflated{Reader: r, blob: blob, done: func() { done(); cancel() }}, nil
	}
	content := newRelay(ctx, contentChunk, chunkCount, open)
	return &stream{sum: sha256.New(), over: make(chan struct{}), content: content}
}

// inflated is the content of a blob. At its end it reads the blob to the last byte, since the
// digest covers whatever follows the content.
type inflated struct {
	io.Reader
	blob io.Reader
	done func()
}

func (i *inflated) Read(p []byte) (int, error) {
	n, err := i.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		if _, err := io.Copy(io.Discard, i.blob); err != nil {
			return n, err
		}
		return n, io.EOF
	}
	if err != nil {
		err = damaged(err)
	}
	return n, err
}

func (i *inflated) Close() error {
	i.done()
	return nil
}

func damaged(err error) error {
	if fault.ClassOf(err) != "" || errors.Is(err, context.Canceled) {
		return err
	}
	e := oci.ErrUnusable.New("inflating: %w", err)
	if errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		e = windowHint(e)
	}
	return e.Hint("the layer is damaged where it is stored; ask whoever published it")
}

// inflate returns the content of a blob. It goes by the first bytes, not by the media type, which
// is wrong in some images. It calls wait before it uses much memory.
func inflate(blob io.Reader, mediaType string, wait func() error) (io.Reader, func(), error) {
	b := bufio.NewReader(blob) // to peek; long reads bypass its buffer
	if err := skipFrames(b); err != nil {
		return nil, nil, damaged(err)
	}
	head, err := b.Peek(zstd.HeaderMaxSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gunzip.NewReader(b)
		if err != nil {
			return nil, nil, damaged(err)
		}
		return z, func() {}, nil
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := unzstd(b, head, wait)
		if err != nil {
			return nil, nil, damaged(err)
		}
		return z, z.Close, nil
	case bytes.HasPrefix(head, []byte("BZh")),
		bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		return nil, nil, oci.ErrUnusable.New(
			"the layer is compressed by bzip2 or xz, which image layers are not").
			Hint("build the image with gzip or zstd layers")
	}
	if len(mediaType) > 10 && mediaType[len(mediaType)-10:] == "+encrypted" {
		return nil, nil, oci.ErrUnusable.New("the layer is encrypted").
			Hint("hpc3 runs images that are not")
	}
	return b, func() {}, nil
}

// Read reads the inflated content.
func (s *stream) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		b, err := s.content.next()
		if err != nil {
			return 0, err
		}
		s.sum.Write(b)
		s.rest = b
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// check compares the digest of the inflated content with the config's. The content must have been
// read to its end.
func (s *stream) check(diffID string) error {
	got := "sha256:" + hex.EncodeToString(s.sum.Sum(nil))
	if len(diffID) == len(got) && got != diffID {
		return oci.ErrUnusable.New("its content is %s, and the image's config says %s",
			got, diffID).Hint("the image is damaged or was tampered with; ask whoever published it")
	}
	return nil
}
