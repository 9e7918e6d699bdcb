package convert

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// A zstd decoder keeps as much of the content in memory as the frame's window: 8 MiB or less by
// default, up to 2 GiB with zstd --long. A layer with a window of more than largeWindow is not read
// at the same time as another.
const (
	maxWindow   = 512 << 20
	largeWindow = 32 << 20
)

// skipFrames skips the skippable frames that a blob may begin with; pzstd writes one.
func skipFrames(b *bufio.Reader) error {
	const head = 8
	for {
		raw, err := b.Peek(head)
		if err != nil || binary.LittleEndian.Uint32(raw)&^0xf != 0x184d2a50 {
			if errors.Is(err, io.EOF) {
				err = nil // a blob this short is judged by its content
			}
			return err
		}
		size := int64(binary.LittleEndian.Uint32(raw[4:]))
		if _, err := io.CopyN(io.Discard, b, head+size); err != nil {
			return fmt.Errorf("a skippable frame of %d bytes: %w", size, err)
		}
	}
}

// unzstd returns the content of a blob; head is the header of its first frame.
func unzstd(b io.Reader, head []byte, wait func() error) (*zstd.Decoder, error) {
	var first zstd.Header
	if err := first.Decode(head); err != nil {
		return nil, err
	}
	window := first.WindowSize
	if first.SingleSegment {
		window = first.FrameContentSize
	}
	if window > maxWindow {
		return nil, windowHint(oci.ErrUnusable.New(
			"the layer is compressed with a zstd window of %d MiB, the limit is %d MiB",
			(window+1<<20-1)>>20, maxWindow>>20))
	}
	if window > largeWindow {
		if err := wait(); err != nil {
			return nil, err
		}
	}
	return zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
}

func windowHint(e *fault.Error) *fault.Error {
	return e.Hint("the zstd window may be of %d MiB, for the memory that it takes: "+
		"compress with --long=29 or less", maxWindow>>20)
}
