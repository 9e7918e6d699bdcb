package gunzip

import "encoding/binary"

// bitBuffer holds input bits that are not used yet, the next one lowest.
type bitBuffer struct {
	v uint64
	n uint
}

// match is the part of a match that is still to be copied.
type match struct{ length, dist int }

// inflate writes the next part of the member's content to out. It writes nothing if the member has
// ended.
func (z *Reader) inflate(out []byte) (n int, err error) {
	for n < len(out) && err == nil {
		switch z.state {
		case atBlock:
			err = z.block()
		case inStored:
			n, err = z.copyStored(out, n)
		case inSymbols:
			n, err = z.symbols(out, n)
		default:
			return n, nil
		}
	}
	return n, err
}

// blockEnd sets the state after a block.
func (z *Reader) blockEnd() {
	z.state = atBlock
	if z.final {
		z.state = atTrailer
	}
}

// refill fills the bit buffer, or puts all remaining input into it.
func (z *Reader) refill() {
	for z.bits.n <= 56 {
		if z.pos == z.end && !z.fill() {
			return
		}
		z.bits.v |= uint64(z.in[z.pos]) << z.bits.n
		z.pos++
		z.bits.n += 8
	}
}

// drop removes n bits. It returns false if there are fewer.
func (z *Reader) drop(n uint32) bool {
	if uint(n) > z.bits.n {
		return false
	}
	z.bits.v >>= n
	z.bits.n -= uint(n)
	return true
}

// take removes and returns n bits, at most 32.
func (z *Reader) take(n uint32) (uint32, error) {
	if z.bits.n < uint(n) {
		z.refill()
	}
	v := uint32(z.bits.v & (1<<n - 1))
	if !z.drop(n) {
		return 0, noEOF(z.srcErr)
	}
	return v, nil
}

// align drops the bits up to the next whole byte, and returns whole bytes to the input.
func (z *Reader) align() {
	z.pos -= int(z.bits.n / 8)
	z.bits = bitBuffer{}
}

// block reads the header of a block.
func (z *Reader) block() error {
	head, err := z.take(3)
	if err != nil {
		return err
	}
	z.final = head&1 != 0
	switch head >> 1 {
	case 0:
		return z.storedHead()
	case 1:
		z.fixedCode()
	case 2:
		if err := z.dynamicCode(); err != nil {
			return err
		}
	default:
		return ErrCorrupt
	}
	z.state = inSymbols
	return nil
}

func (z *Reader) storedHead() error {
	var b [4]byte
	if err := z.bytes(b[:]); err != nil {
		return noEOF(err)
	}
	n := binary.LittleEndian.Uint16(b[:])
	if n != ^binary.LittleEndian.Uint16(b[2:]) {
		return ErrCorrupt
	}
	z.stored, z.state = int(n), inStored
	if n == 0 {
		z.blockEnd()
	}
	return nil
}

func (z *Reader) copyStored(out []byte, n int) (int, error) {
	if z.pos == z.end && !z.fill() {
		return n, noEOF(z.srcErr)
	}
	done := copy(out[n:], z.in[z.pos:min(z.end, z.pos+z.stored)])
	z.pos += done
	if z.stored -= done; z.stored == 0 {
		z.blockEnd()
	}
	return n + done, nil
}

func (z *Reader) fixedCode() {
	var lengths [288]uint8
	for i := range lengths {
		switch {
		case i < 144:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		case i < 280:
			lengths[i] = 7
		default:
			lengths[i] = 8
		}
	}
	buildTable(z.lit[:], litBits, lengths[:], z.codes.lit[:])
	for i := range lengths[:32] {
		lengths[i] = 5
	}
	buildTable(z.dist[:], distBits, lengths[:32], z.codes.dist[:])
}

// dynamicCode reads the codes of a block (RFC 1951, section 3.2.7).
func (z *Reader) dynamicCode() error {
	head, err := z.take(14)
	if err != nil {
		return err
	}
	lits, dists, codes := int(head&31)+257, int(head>>5&31)+1, int(head>>10)+4
	if lits > maxLit || dists > maxDist {
		return ErrCorrupt
	}
	var short [19]uint8
	order := [...]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
	for _, i := range order[:codes] {
		l, err := z.take(3)
		if err != nil {
			return err
		}
		short[i] = uint8(l)
	}
	var table [1 << 7]uint32 // code lengths take 3 bits, so no code is longer than 7
	var symbols [19]uint32
	for i := range symbols {
		symbols[i] = uint32(i) << valueShift
	}
	if !buildTable(table[:], 7, short[:], symbols[:]) {
		return ErrCorrupt
	}
	var lengths [maxLit + maxDist]uint8
	if err := z.codeLengths(lengths[:lits+dists], &table); err != nil {
		return err
	}
	if !buildTable(z.lit[:], litBits, lengths[:lits], z.codes.lit[:]) ||
		!buildTable(z.dist[:], distBits, lengths[lits:lits+dists], z.codes.dist[:]) {
		return ErrCorrupt
	}
	return nil
}

func (z *Reader) codeLengths(lengths []uint8, table *[1 << 7]uint32) error {
	for i := 0; i < len(lengths); {
		z.refill()
		e := table[z.bits.v&(1<<7-1)]
		if e&isSpecial != 0 {
			return z.invalid(1)
		}
		if !z.drop(e & 0xff) {
			return noEOF(z.srcErr)
		}
		symbol := e >> valueShift
		if symbol < 16 {
			lengths[i] = uint8(symbol)
			i++
			continue
		}
		extra, repeat, value := uint32(2), 3, uint8(0)
		switch symbol {
		case 16:
			if i == 0 {
				return ErrCorrupt
			}
			value = lengths[i-1]
		case 17:
			extra = 3
		case 18:
			extra, repeat = 7, 11
		}
		more, err := z.take(extra)
		if err != nil {
			return err
		}
		repeat += int(more)
		if repeat > len(lengths)-i {
			return ErrCorrupt
		}
		for range repeat {
			lengths[i] = value
			i++
		}
	}
	return nil
}

// invalid returns the error for bits that are not a code: the input ended early, or is corrupt.
func (z *Reader) invalid(bits uint) error {
	if z.bits.n < bits {
		return noEOF(z.srcErr)
	}
	return ErrCorrupt
}

// symbols decodes symbols into out until the block ends or out is full.
func (z *Reader) symbols(out []byte, n int) (int, error) {
	n = z.copyMatch(out, n)
	for n < len(out) && z.state == inSymbols {
		if len(out)-n > outSlack && z.end-z.pos < inputSlack {
			z.fill()
		}
		var err error
		if n, err = z.fast(out, n); err != nil {
			return n, err
		}
		if z.state == inSymbols && n < len(out) && z.match.length == 0 {
			if n, err = z.oneSymbol(out, n); err != nil {
				return n, err
			}
		}
		n = z.copyMatch(out, n)
	}
	return n, nil
}

// copyMatch copies the rest of a match, as far as there is room in out.
func (z *Reader) copyMatch(out []byte, n int) int {
	for z.match.length > 0 && n < len(out) {
		to := out[n:min(len(out), n+z.match.length)]
		var done int
		if back := z.match.dist - n; back > 0 {
			done = copy(to, z.window[len(z.window)-back:])
		} else {
			done = copy(to, out[n-z.match.dist:n])
		}
		n += done
		z.match.length -= done
	}
	return n
}

// oneSymbol decodes one symbol and checks all bounds, as needed near the end of input or output.
func (z *Reader) oneSymbol(out []byte, n int) (int, error) {
	z.refill()
	e, err := z.resolve(z.lit[:], z.lit[z.bits.v&(1<<litBits-1)])
	switch {
	case err != nil:
		return n, err
	case e&isLiteral != 0:
		if !z.drop(e & 0xff) {
			return n, noEOF(z.srcErr)
		}
		out[n] = byte(e >> valueShift)
		return n + 1, nil
	case e&isEnd != 0 && e&isSpecial != 0:
		if !z.drop(e & 0xff) {
			return n, noEOF(z.srcErr)
		}
		z.blockEnd()
		return n, nil
	}
	length, err := z.value(e)
	if err != nil {
		return n, err
	}
	z.refill()
	if e, err = z.resolve(z.dist[:], z.dist[z.bits.v&(1<<distBits-1)]); err != nil {
		return n, err
	}
	dist, err := z.value(e)
	if err != nil {
		return n, err
	}
	if dist > n+len(z.window) {
		return n, ErrCorrupt
	}
	z.match = match{length, dist}
	return n, nil
}

// resolve returns the entry of a subtable if e refers to one.
func (z *Reader) resolve(table []uint32, e uint32) (uint32, error) {
	if e&isSpecial != 0 && e&isSubtable != 0 {
		if !z.drop(e & 0xff) {
			return 0, noEOF(z.srcErr)
		}
		e = table[uint64(e>>valueShift)+z.bits.v&(1<<(e>>lengthShift&lengthMask)-1)]
	}
	if e&isInvalid == isInvalid {
		return 0, z.invalid(1)
	}
	return e, nil
}

// value removes the code and the extra bits of a length or distance, and returns its value.
func (z *Reader) value(e uint32) (int, error) {
	v := z.bits.v & (1<<(e&0xff) - 1) >> (e >> lengthShift & lengthMask)
	if !z.drop(e & 0xff) {
		return 0, noEOF(z.srcErr)
	}
	return int(e>>valueShift) + int(v), nil
}
