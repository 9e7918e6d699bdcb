package squashfs

import (
	"encoding/binary"
	"errors"
)

var errLZO = errors.New("it is no LZO1X block")

// inflateLZO inflates a block of LZO1X, as written by mksquashfs -comp lzo. The format is described
// in the kernel's Documentation/staging/lzo.rst; its version 1, which only zram writes, is not
// supported.
func inflateLZO(dst, src []byte, limit int) ([]byte, error) {
	z := lzo{src: src, out: dst[:0], limit: limit}
	if b := z.peek(); b > 17 { // the block begins with a literal run
		z.next()
		z.literals(int(b) - 17)
		if z.state = 4; b-17 < 4 {
			z.state = int(b) - 17
		}
	}
	for !z.done && z.err == nil {
		z.instruction()
	}
	if z.err == nil && len(z.src) > 0 {
		z.err = errLZO
	}
	return z.out, z.err
}

// lzo is a block while it is inflated. state is how many literals followed the last copy, 0 to 3,
// or 4 after a literal run.
type lzo struct {
	src   []byte
	out   []byte
	limit int
	state int
	done  bool
	err   error
}

func (z *lzo) peek() byte {
	if len(z.src) == 0 {
		z.err = errLZO
		return 0
	}
	return z.src[0]
}

func (z *lzo) next() int {
	b := z.peek()
	if z.err == nil {
		z.src = z.src[1:]
	}
	return int(b)
}

// length reads a length that did not fit into the instruction: each zero byte adds 255, and the
// first other byte ends it.
func (z *lzo) length(base int) int {
	for z.err == nil && z.peek() == 0 && base <= z.limit {
		z.next()
		base += 255
	}
	return base + z.next()
}

func (z *lzo) literals(n int) {
	switch {
	case n > len(z.src):
		z.err = errLZO
	case len(z.out)+n > z.limit:
		z.err = errTooLong
	}
	if z.err == nil {
		z.out = append(z.out, z.src[:n]...)
		z.src = z.src[n:]
	}
}

// copy repeats n bytes from a distance back, which may overlap with their copy, and then takes the
// literals that follow the instruction.
func (z *lzo) copy(distance, n, literals int) {
	switch {
	case z.err != nil:
		return
	case distance > len(z.out):
		z.err = errLZO
		return
	case len(z.out)+n > z.limit:
		z.err = errTooLong
		return
	}
	for from := len(z.out) - distance; n > 0; {
		part := z.out[from:min(from+n, len(z.out))]
		z.out = append(z.out, part...)
		n -= len(part)
	}
	z.state = literals
	z.literals(literals)
}

// instruction executes the next instruction.
func (z *lzo) instruction() {
	switch t := z.next(); {
	case z.err != nil:
	case t >= 64:
		z.copy(1+(t>>2)&7+z.next()<<3, t>>5+1, t&3)
	case t >= 32:
		n := t&31 + 2
		if t&31 == 0 {
			n = z.length(31 + 2)
		}
		word := z.word()
		z.copy(1+word>>2, n, word&3)
	case t >= 16:
		z.far(t)
	case z.state == 0:
		n := t + 3
		if t == 0 {
			n = z.length(15 + 3)
		}
		z.literals(n)
		z.state = 4
	case z.state == 4:
		const nearReach = 0x800 // how far back the instructions from 64 on reach
		z.copy(1+nearReach+t>>2+z.next()<<2, 3, t&3)
	default:
		z.copy(1+t>>2+z.next()<<2, 2, t&3)
	}
}

// far copies from 16 KiB or more back. A distance of zero ends the block.
func (z *lzo) far(t int) {
	n := t&7 + 2
	if t&7 == 0 {
		n = z.length(7 + 2)
	}
	word := z.word()
	distance := (t&8)<<11 + word>>2
	if distance == 0 {
		if z.done = true; n != 3 && z.err == nil {
			z.err = errLZO
		}
		return
	}
	z.copy(distance+0x4000, n, word&3)
}

func (z *lzo) word() int {
	if len(z.src) < 2 {
		z.err = errLZO
		return 0
	}
	w := binary.LittleEndian.Uint16(z.src)
	z.src = z.src[2:]
	return int(w)
}
