package squashfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
)

// compressor compresses one block after another. It appends to dst and returns nil where the result would not be smaller.
type compressor interface {
	compress(dst, src []byte) []byte
}

func newCompressor(c Compression, level int) (compressor, error) {
	switch c {
	case Zstd:
		l := zstd.SpeedFastest
		if level > 0 {
			l = zstd.EncoderLevelFromZstd(level)
		}
		w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(l), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
			zstd.WithSingleSegment(true), zstd.WithLowerEncoderMem(true))
		return zstdCompressor{w}, err
	case Gzip:
		if level == 0 {
			level = zlib.BestSpeed
		}
		w, err := zlib.NewWriterLevel(io.Discard, level)
		return gzipCompressor{w}, err
	case LZ4:
		return &lz4Compressor{}, nil
	}
	return nil, fmt.Errorf("SquashFS compressor %d cannot be written", c)
}

type zstdCompressor struct{ w *zstd.Encoder }

func (z zstdCompressor) compress(dst, src []byte) []byte {
	return smaller(z.w.EncodeAll(src, dst), src)
}

func smaller(out, src []byte) []byte {
	if len(out) >= len(src) {
		return nil
	}
	return out
}

type gzipCompressor struct{ w *zlib.Writer }

func (g gzipCompressor) compress(dst, src []byte) []byte {
	b := bytes.NewBuffer(dst)
	g.w.Reset(b)
	if _, err := g.w.Write(src); err != nil {
		return nil // a buffer takes everything; were it otherwise, the block is stored
	}
	if err := g.w.Close(); err != nil {
		return nil
	}
	return smaller(b.Bytes(), src)
}

type lz4Compressor struct{ c lz4.Compressor }

func (l *lz4Compressor) compress(dst, src []byte) []byte {
	dst = dst[:cap(dst)]
	if len(dst) < len(src) {
		dst = make([]byte, len(src))
	}
	n, err := l.c.CompressBlock(src, dst[:len(src)])
	if err != nil || n == 0 {
		return nil // incompressible
	}
	return smaller(dst[:n], src)
}

// decompressor inflates blocks; it may be used concurrently. The result is at most limit bytes.
type decompressor func(src []byte, limit int) ([]byte, error)

func newDecompressor(c Compression) (decompressor, error) {
	switch c {
	case Zstd:
		d := &zstdPool{}
		return d.inflate, nil
	case Gzip:
		return inflateGzip, nil
	case LZ4:
		return inflateLZ4, nil
	case XZ:
		return inflateXZ, nil
	}
	return nil, fmt.Errorf("SquashFS compressor %d is not supported (zstd, gzip, lz4 and xz are)", c)
}

// zstdPool keeps decoders, since making one costs more than inflating a block.
type zstdPool struct{ pool sync.Pool }

func (z *zstdPool) inflate(src []byte, limit int) ([]byte, error) {
	d, _ := z.pool.Get().(*zstd.Decoder)
	if d == nil {
		var err error
		if d, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(2*maxBlockSize)); err != nil {
			return nil, err
		}
	}
	defer z.pool.Put(d)
	out, err := d.DecodeAll(src, make([]byte, 0, limit))
	if err != nil {
		return nil, corrupt("%v", err)
	}
	if len(out) > limit {
		return nil, corrupt("a block inflates to more than %d bytes", limit)
	}
	return out, nil
}

func inflateGzip(src []byte, limit int) ([]byte, error) {
	r, err := zlib.NewReader(bytes.NewReader(src))
	if err != nil {
		return nil, corrupt("%v", err)
	}
	return readBounded(r, limit)
}

func inflateXZ(src []byte, limit int) ([]byte, error) {
	r, err := xz.ReaderConfig{DictCap: maxBlockSize}.NewReader(bytes.NewReader(src))
	if err != nil {
		return nil, corrupt("%v", err)
	}
	return readBounded(r, limit)
}

func inflateLZ4(src []byte, limit int) ([]byte, error) {
	out := make([]byte, limit)
	n, err := lz4.UncompressBlock(src, out)
	if err != nil {
		return nil, corrupt("%v", err)
	}
	return out[:n], nil
}

func readBounded(r io.Reader, limit int) ([]byte, error) {
	out := make([]byte, limit+1)
	n, err := io.ReadFull(r, out)
	if err == nil {
		return nil, corrupt("a block inflates to more than %d bytes", limit)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, corrupt("%v", err)
	}
	return out[:n], nil
}
