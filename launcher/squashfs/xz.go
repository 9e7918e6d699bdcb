package squashfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/ulikunitz/xz/lzma"
)

var errXZ = errors.New("it is no xz stream")

// inflateXZ inflates a stream of one block, as mksquashfs writes and the kernel reads it. It parses
// the container itself and leaves only LZMA2 to the library, which would otherwise allocate a
// dictionary as large as the header claims, up to 4 GiB. The format is described in
// https://tukaani.org/xz/xz-file-format.txt, sections 2.1.1 and 3.
func inflateXZ(dst, src []byte, limit int) ([]byte, error) {
	const streamHeader = 12
	if len(src) < streamHeader+4 || !bytes.HasPrefix(src, []byte{0xfd, '7', 'z', 'X', 'Z', 0, 0}) {
		return nil, errXZ
	}
	check := src[7]
	if check > 1 {
		return nil, fmt.Errorf("its check of type %d is not supported", check)
	}
	body, err := xzBlock(src[streamHeader:])
	if err != nil {
		return nil, err
	}
	in := bytes.NewReader(body)
	r, err := lzma.Reader2Config{DictCap: max(limit, lzma.MinDictCap)}.NewReader2(in)
	if err != nil {
		return nil, err
	}
	out, err := readBounded(r, dst[:limit])
	if err != nil || check == 0 {
		return out, err
	}
	used := (len(body) - in.Len() + 3) &^ 3 // with padding
	if len(body) < used+4 || binary.LittleEndian.Uint32(body[used:]) != crc32.ChecksumIEEE(out) {
		return nil, errors.New("its checksum is wrong")
	}
	return out, nil
}

// xzBlock returns what follows a block's header, which must name LZMA2 as the only filter.
func xzBlock(src []byte) ([]byte, error) {
	const (
		sizes      = 0xc0 // flags: the header gives the compressed and the uncompressed size
		lzma2      = 0x21
		maxVarint  = 9
		headerTail = 4 // CRC32
	)
	size := (int(src[0]) + 1) * 4
	if src[0] == 0 || len(src) < size {
		return nil, errXZ
	}
	flags, rest := src[1], src[2:size-headerTail]
	if flags&^sizes != 0 {
		return nil, errors.New("xz filters other than LZMA2 are not supported")
	}
	for f := flags & sizes; f != 0; f &= f - 1 { // each flag means one number to skip
		n := 0
		for n < len(rest) && n < maxVarint && rest[n]&0x80 != 0 {
			n++
		}
		if n >= len(rest) {
			return nil, errXZ
		}
		rest = rest[n+1:]
	}
	if len(rest) < 3 || rest[0] != lzma2 || rest[1] != 1 {
		return nil, errors.New("xz filters other than LZMA2 are not supported")
	}
	return src[size:], nil
}
