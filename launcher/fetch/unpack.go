package fetch

import (
	"bytes"
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/gunzip"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// Limits of an archive that is compressed as a whole.
const (
	maxUnpacked = 1 << 40   // bytes; what one image may hold
	maxWindow   = 512 << 20 // of zstd, which takes that much memory; zstd --long=29
)

// unpacked returns the tar archive in f: f itself or, if it is compressed as a whole, an unnamed
// file with its decompressed content. The parts of an archive are read in any order, which a
// compressed file does not allow.
func unpacked(ctx context.Context, ref oci.Reference, f *os.File, opt Options) (*os.File, error) {
	kind := compressionOf(f)
	if kind == "" {
		return f, nil
	}
	defer f.Close()
	if opt.Scratch == nil {
		return nil, oci.ErrUnusable.New("reading %s: the archive is compressed as a whole (%s)",
			ref, kind).Hint("unpack it first")
	}
	out, err := opt.Scratch()
	if err != nil {
		return nil, err
	}
	if err = inflate(ctx, kind, f, out); err == nil {
		_, err = out.Seek(0, io.SeekStart)
	}
	if err != nil {
		_ = out.Close() // it is of no use
		if ctx.Err() != nil {
			return nil, oci.ErrUnusable.New("unpacking %s: %w", ref, ctx.Err())
		}
		return nil, err
	}
	return out, nil
}

// compressionOf names the compression of a file; empty if there is none. Like tar, it goes by the
// first bytes.
func compressionOf(f *os.File) string {
	head := make([]byte, 6)
	n, _ := f.ReadAt(head, 0) // a shorter file is no archive
	head = head[:n]
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return "gzip"
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}), n > 3 && head[0]&0xf0 == 0x50 &&
		bytes.Equal(head[1:4], []byte{0x2a, 0x4d, 0x18}):
		return "zstd" // the second is a frame to be skipped, with which pzstd begins
	case bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		return "xz"
	case bytes.HasPrefix(head, []byte("BZh")):
		return "bzip2"
	}
	return ""
}

func inflate(ctx context.Context, kind string, f *os.File, out *os.File) error {
	r, err := inflated(kind, stoppable{f, ctx})
	if err != nil {
		return damagedArchive(f, kind, err)
	}
	var source error // of the archive, not of where it is written to
	n, err := io.Copy(out, io.LimitReader(noting{r, &source}, maxUnpacked+1))
	switch {
	case source != nil:
		return damagedArchive(f, kind, source)
	case err != nil:
		return fault.New(fault.Cache, "unpacking %s: %w", f.Name(), err).
			Hint("an archive that is compressed as a whole is unpacked into the cache; make room " +
				"there, or set HPC3_CACHEDIR")
	case n > maxUnpacked:
		return oci.ErrUnusable.New("unpacking %s: it holds more than %d bytes", f.Name(),
			int64(maxUnpacked)).Hint("see whether it is an image")
	}
	return nil
}

func inflated(kind string, r io.Reader) (io.Reader, error) {
	switch kind {
	case "gzip":
		return gunzip.NewReader(r)
	case "zstd":
		z, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	case "xz":
		return xz.NewReader(r)
	}
	return bzip2.NewReader(r), nil
}

func damagedArchive(f *os.File, kind string, err error) error {
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return oci.ErrUnusable.New("unpacking %s: its window is larger than %d MiB", f.Name(),
			maxWindow>>20).Hint("compress it again with zstd --long=29 or less, or unpack it")
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = errors.New("it is cut short")
	}
	return oci.ErrUnusable.New("unpacking %s: %w", f.Name(), fmt.Errorf("%s: %w", kind, err)).
		Hint("it is damaged or was not written to the end; copy or save it anew")
}

// noting records the error of a reader: io.Copy does not tell it from the writer's.
type noting struct {
	io.Reader
	err *error
}

func (n noting) Read(p []byte) (int, error) {
	got, err := n.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		*n.err = err
	}
	return got, err
}
