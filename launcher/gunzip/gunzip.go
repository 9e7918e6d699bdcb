// Package gunzip reads gzip (RFC 1952) faster than the libraries do: inflating a layer is the one
// step of a conversion that cannot be shared among processors. The package reads whole words of
// input, finds most symbols with one table lookup, and writes straight into the caller's buffer.
// The tables are designed as in libdeflate. It accepts what compress/gzip accepts, nothing else.
package gunzip

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// ErrCorrupt is returned for a damaged stream; a truncated stream gives io.ErrUnexpectedEOF.
var ErrCorrupt = errors.New("damaged gzip data")

const (
	inputSize  = 128 << 10
	windowSize = 32 << 10 // how far back a match reaches (RFC 1951)
	maxMatch   = 258
	giveBack   = 8 // how many bytes of the bit buffer may be returned to the input
)

// Reader reads the content of all members of a gzip stream, one after another. It is fastest with
// reads of 64 KiB or more.
type Reader struct {
	src    io.Reader
	in     []byte // buffered input, in[pos:end]
	pos    int
	end    int
	srcErr error // the error of src after in[end-1]
	bits   bitBuffer

	state  state
	final  bool // the current block is the last of its member
	stored int  // how many bytes of a stored block are left
	match  match
	err    error

	codes  templates
	lit    litTable
	dist   distTable
	window []byte // the content of the member before the buffer of this Read
	crc    uint32
	size   uint32
}

// state says what comes next in the stream.
type state uint8

const (
	atMember state = iota // or at the end of the stream
	atBlock
	inStored
	inSymbols
	atTrailer
)

// NewReader reads the header of the first member.
func NewReader(src io.Reader) (*Reader, error) {
	z := &Reader{
		src: src, in: make([]byte, inputSize),
		codes: newTemplates(), window: make([]byte, 0, 2*windowSize),
	}
	if err := z.header(); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	z.state = atBlock
	return z, nil
}

// Read implements io.Reader.
func (z *Reader) Read(p []byte) (n int, err error) {
	for n == 0 && len(p) > 0 && z.err == nil {
		n, z.err = z.inflate(p)
		z.crc = crc32.Update(z.crc, crc32.IEEETable, p[:n])
		z.size += uint32(n)
		z.remember(p[:n])
		if z.err == nil && n == 0 {
			z.err = z.nextMember()
		}
	}
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	return 0, z.err
}

// remember keeps the end of the content for the matches of the next Read.
func (z *Reader) remember(p []byte) {
	if len(p) >= windowSize {
		z.window = append(z.window[:0], p[len(p)-windowSize:]...)
		return
	}
	if len(z.window)+len(p) > cap(z.window) {
		z.window = z.window[:copy(z.window, z.window[len(z.window)-windowSize:])]
	}
	z.window = append(z.window, p...)
}

// nextMember checks the trailer of the member that has ended and reads the header of the next one.
// It returns io.EOF if there is none.
func (z *Reader) nextMember() error {
	if z.state == atTrailer {
		var b [8]byte
		if err := z.bytes(b[:]); err != nil {
			return noEOF(err)
		}
		crc, size := binary.LittleEndian.Uint32(b[:]), binary.LittleEndian.Uint32(b[4:])
		if crc != z.crc || size != z.size {
			return ErrCorrupt
		}
		z.state = atMember
	}
	if err := z.header(); err != nil {
		return err
	}
	z.state, z.crc, z.size, z.window = atBlock, 0, 0, z.window[:0]
	return nil
}

// The flags of a member's header.
const (
	flagHeaderCRC = 1 << 1
	flagExtra     = 1 << 2
	flagName      = 1 << 3
	flagComment   = 1 << 4
)

// header reads the header of a member. It returns io.EOF if the stream ends before it.
func (z *Reader) header() error {
	var b [10]byte
	if err := z.bytes(b[:]); err != nil {
		return err
	}
	if b[0] != 0x1f || b[1] != 0x8b || b[2] != 8 {
		return ErrCorrupt
	}
	sum := crc32.ChecksumIEEE(b[:])
	flags := b[3]
	if flags&flagExtra != 0 {
		if err := z.bytes(b[:2]); err != nil {
			return noEOF(err)
		}
		sum = crc32.Update(sum, crc32.IEEETable, b[:2])
		extra := make([]byte, binary.LittleEndian.Uint16(b[:2]))
		if err := z.bytes(extra); err != nil {
			return noEOF(err)
		}
		sum = crc32.Update(sum, crc32.IEEETable, extra)
	}
	for _, flag := range []byte{flagName, flagComment} {
		if flags&flag == 0 {
			continue
		}
		text, err := z.text()
		if err != nil {
			return err
		}
		sum = crc32.Update(sum, crc32.IEEETable, text)
	}
	if flags&flagHeaderCRC != 0 {
		if err := z.bytes(b[:2]); err != nil {
			return noEOF(err)
		}
		if binary.LittleEndian.Uint16(b[:2]) != uint16(sum) {
			return ErrCorrupt
		}
	}
	return nil
}

// maxText is the limit of a name or comment in a header, including its NUL, as in compress/gzip.
const maxText = 512

// text reads a name or comment, including the NUL that ends it.
func (z *Reader) text() ([]byte, error) {
	text := make([]byte, 0, 64)
	for len(text) < maxText {
		var b [1]byte
		if err := z.bytes(b[:]); err != nil {
			return nil, noEOF(err)
		}
		if text = append(text, b[0]); b[0] == 0 {
			return text, nil
		}
	}
	return nil, ErrCorrupt
}

// bytes fills b, starting at the next whole byte of the input. It returns io.EOF if there is none.
func (z *Reader) bytes(b []byte) error {
	z.align()
	for done := 0; done < len(b); {
		if z.pos == z.end && !z.fill() {
			if done > 0 {
				return noEOF(z.srcErr)
			}
			return z.srcErr
		}
		n := copy(b[done:], z.in[z.pos:z.end])
		z.pos += n
		done += n
	}
	return nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// maxEmptyReads is how often in a row a source may return no bytes and no error.
const maxEmptyReads = 100

// fill reads more input and keeps what is left. It returns false if there is no more; z.srcErr
// says why.
func (z *Reader) fill() bool {
	keep := min(z.pos, giveBack)
	z.end = copy(z.in, z.in[z.pos-keep:z.end])
	z.pos = keep
	for range maxEmptyReads {
		if z.srcErr != nil || z.end == len(z.in) {
			return false
		}
		n, err := z.src.Read(z.in[z.end:])
		z.end += n
		z.srcErr = err
		if n > 0 {
			return true
		}
	}
	if z.srcErr == nil {
		z.srcErr = io.ErrNoProgress
	}
	return false
}
