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
)

// inflater inflates a block into dst, which is empty and has room for limit+inflateSpare bytes. The
// result has at most limit bytes. It may be called concurrently.
type inflater func(dst, src []byte, limit int) ([]byte, error)

// inflateSpare is extra room after a block, with which zstd can copy whole words.
const inflateSpare = 16

func newInflater(c Compression) (inflater, error) {
	var inflate inflater
	switch c {
	case Zstd:
		inflate = (&zstdPool{}).inflate
	case Gzip:
		inflate = (&zlibPool{}).inflate
	case LZ4:
		inflate = inflateLZ4
	case XZ:
		inflate = inflateXZ
	case LZO:
		inflate = inflateLZO
	default:
		return nil, fmt.Errorf(
			"SquashFS compressed with %s is not supported (zstd, gzip, lz4, xz and lzo are)", c)
	}
	return func(dst, src []byte, limit int) ([]byte, error) {
		out, err := inflate(dst, src, limit)
		if err != nil {
			return nil, fmt.Errorf("%w: inflating a block: %w", ErrCorrupt, err)
		}
		return out, nil
	}, nil
}

var errTooLong = errors.New("it is longer than a block")

// zstdPool reuses decoders: making one costs more than inflating a block.
type zstdPool struct{ pool sync.Pool }

func (z *zstdPool) inflate(dst, src []byte, limit int) ([]byte, error) {
	d, _ := z.pool.Get().(*zstd.Decoder)
	if d == nil {
		var err error
		d, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(2*maxBlockSize), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return nil, err
		}
	}
	defer z.pool.Put(d)
	out, err := d.DecodeAll(src, dst[:0:limit+inflateSpare])
	if err == nil && len(out) > limit {
		err = errTooLong
	}
	return out, err
}

type zlibPool struct{ pool sync.Pool }

func (z *zlibPool) inflate(dst, src []byte, limit int) ([]byte, error) {
	r, _ := z.pool.Get().(io.ReadCloser)
	in := bytes.NewReader(src)
	if r == nil {
		var err error
		if r, err = zlib.NewReader(in); err != nil {
			return nil, err
		}
	} else if err := r.(zlib.Resetter).Reset(in, nil); err != nil {
		return nil, err
	}
	out, err := readBounded(r, dst[:limit])
	if err == nil {
		z.pool.Put(r)
	}
	return out, err
}

func inflateLZ4(dst, src []byte, limit int) ([]byte, error) {
	n, err := lz4.UncompressBlock(src, dst[:limit])
	if err != nil {
		return nil, err
	}
	return dst[:n], nil
}

// readBounded reads r to its end. The content must fit into out.
func readBounded(r io.Reader, out []byte) ([]byte, error) {
	n, err := io.ReadFull(r, out)
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && n < len(out):
		return out[:n], nil
	case err != nil:
		return nil, err
	}
	var more [1]byte // reading beyond the content also checks a checksum at the end
	if n, err = r.Read(more[:]); n == 0 && errors.Is(err, io.EOF) {
		return out, nil
	} else if n == 0 && err != nil {
		return nil, err
	}
	return nil, errTooLong
}
