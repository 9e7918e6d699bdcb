package squashfs

import (
	"bytes"
	"fmt"
	"io"

	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// compressor compresses one block after another. It appends to dst, and returns nil if the result
// would not be smaller. The result depends on src alone, never on earlier blocks.
type compressor interface {
	compress(dst, src []byte) []byte
}

func newCompressor(opt Options) (compressor, error) {
	switch opt.Compression {
	case Zstd:
		return newZstdCompressor(opt)
	case Gzip:
		level := opt.Level
		if level == 0 {
			level = zlib.BestSpeed
		}
		w, err := zlib.NewWriterLevel(io.Discard, level)
		return gzipCompressor{w}, err
	case LZ4:
		return &lz4Compressor{}, nil
	}
	return nil, fmt.Errorf("SquashFS compressed with %s cannot be written", opt.Compression)
}

type zstdCompressor struct{ w *zstd.Encoder }

// newZstdCompressor sets the window to the block size: the library then compresses a block of
// 128 KiB as one zstd block instead of two, which is faster to write and to read. That costs some
// size; entropy coding of all literals makes up for it.
func newZstdCompressor(opt Options) (compressor, error) {
	level := zstd.SpeedFastest
	if opt.Level > 0 {
		level = zstd.EncoderLevelFromZstd(opt.Level)
	}
	w, err := zstd.NewWriter(nil,
		zstd.WithWindowSize(opt.BlockSize), zstd.WithEncoderLevel(level),
		zstd.WithAllLitEntropyCompression(true), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true), zstd.WithLowerEncoderMem(true))
	return zstdCompressor{w}, err
}

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
		return nil // cannot happen with a buffer; the block would be stored uncompressed
	}
	if err := g.w.Close(); err != nil {
		return nil
	}
	return smaller(b.Bytes(), src)
}

type lz4Compressor struct{ c lz4.Compressor }

func (l *lz4Compressor) compress(dst, src []byte) []byte {
	if cap(dst) < len(src) {
		dst = make([]byte, len(src))
	}
	n, err := l.c.CompressBlock(src, dst[:len(src)])
	if err != nil || n == 0 {
		return nil // incompressible
	}
	return smaller(dst[:n], src)
}
