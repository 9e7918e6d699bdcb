package squashfs

import (
	"fmt"
	"math/bits"
	"runtime"
)

// Options of a Writer. The zero value means zstd at its fastest level, blocks of 128 KiB and one
// worker per processor.
type Options struct {
	Compression Compression // Zstd, Gzip or LZ4
	Level       int         // 0 = the fastest
	BlockSize   int         // a power of two from 4 KiB to 1 MiB; 0 = 128 KiB
	Workers     int         // 0 = GOMAXPROCS; the bytes written do not depend on it
	ModTime     uint32      // of the file system, in seconds since 1970
}

func (o Options) complete() (Options, error) {
	if o.Compression == 0 {
		o.Compression = Zstd
	}
	if o.BlockSize == 0 {
		o.BlockSize = 128 << 10
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	powerOfTwo := bits.OnesCount(uint(o.BlockSize)) == 1
	if o.BlockSize < minBlockSize || o.BlockSize > maxBlockSize || !powerOfTwo {
		return o, fmt.Errorf("a block size of %d bytes is not a power of two from %d to %d",
			o.BlockSize, minBlockSize, maxBlockSize)
	}
	return o, nil
}
