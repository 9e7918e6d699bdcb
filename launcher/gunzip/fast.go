package gunzip

import "encoding/binary"

// One step of the fast loop may write three literals and a match in whole words, and may read two
// words of input.
const (
	outSlack   = 3 + maxMatch + 16
	inputSlack = 16
)

// fast decodes symbols while there is so much room in out and so much input that it needs to check
// neither within a step. It leaves a match that begins before out to the caller.
func (z *Reader) fast(out []byte, n int) (int, error) {
	in, pos := z.in[:z.end], z.pos
	v, have := z.bits.v, z.bits.n
	lit, dist := &z.lit, &z.dist
	roomEnd, inputEnd := len(out)-outSlack, len(in)-inputSlack
	var err error
	for n < roomEnd && pos <= inputEnd {
		// The buffer now holds 56 to 63 valid bits. Bits above the count are set as well; the next
		// refill sets them again, to the same values.
		v |= binary.LittleEndian.Uint64(in[pos:]) << (have & 63)
		pos += int(63-have) >> 3
		have |= 56

		e := lit[v&(1<<litBits-1)]
		if e&isLiteral != 0 {
			v, have = v>>(e&63), have-uint(e&63)
			out[n] = byte(e >> valueShift)
			n++
			if e = lit[v&(1<<litBits-1)]; e&isLiteral != 0 {
				v, have = v>>(e&63), have-uint(e&63)
				out[n] = byte(e >> valueShift)
				n++
				if e = lit[v&(1<<litBits-1)]; e&isLiteral != 0 {
					v, have = v>>(e&63), have-uint(e&63)
					out[n] = byte(e >> valueShift)
					n++
					continue
				}
			}
			v |= binary.LittleEndian.Uint64(in[pos:]) << (have & 63)
			pos += int(63-have) >> 3
			have |= 56
		}
		if e&isSpecial != 0 {
			if e&isSubtable != 0 {
				v, have = v>>(e&63), have-uint(e&63)
				e = lit[uint64(e>>valueShift)+v&(1<<(e>>lengthShift&lengthMask)-1)]
				if e&isLiteral != 0 {
					v, have = v>>(e&63), have-uint(e&63)
					out[n] = byte(e >> valueShift)
					n++
					continue
				}
			}
			if e&isSpecial != 0 {
				if e&isEnd == 0 {
					err = ErrCorrupt
					break
				}
				v, have = v>>(e&63), have-uint(e&63)
				z.blockEnd()
				break
			}
		}
		length := int(e>>valueShift) + int(v&(1<<(e&63)-1)>>(e>>lengthShift&lengthMask))
		v, have = v>>(e&63), have-uint(e&63)

		e = dist[v&(1<<distBits-1)]
		if e&isSpecial != 0 {
			if e&isSubtable != 0 {
				v, have = v>>(e&63), have-uint(e&63)
				e = dist[uint64(e>>valueShift)+v&(1<<(e>>lengthShift&lengthMask)-1)]
			}
			if e&isSpecial != 0 {
				err = ErrCorrupt
				break
			}
		}
		back := int(e>>valueShift) + int(v&(1<<(e&63)-1)>>(e>>lengthShift&lengthMask))
		v, have = v>>(e&63), have-uint(e&63)

		from := n - back
		if from < 0 {
			if back > n+len(z.window) {
				err = ErrCorrupt
			} else {
				z.match = match{length, back}
			}
			break
		}
		end := n + length
		if back >= 8 {
			for {
				binary.LittleEndian.PutUint64(out[n:], binary.LittleEndian.Uint64(out[from:]))
				if n += 8; n >= end {
					break
				}
				from += 8
			}
		} else {
			copyNear(out, n, from, length)
		}
		n = end
	}
	z.pos = pos - int(have>>3) // whole bytes are returned to the input
	z.bits = bitBuffer{v & (1<<(have&7) - 1), have & 7}
	return n, err
}

// copyNear copies a match whose distance is less than a word. It may write past the match's end.
func copyNear(out []byte, n, from, length int) {
	end := n + length
	if from+1 < n {
		for ; n < end; n, from = n+1, from+1 {
			out[n] = out[from]
		}
		return
	}
	for word := uint64(out[from]) * 0x0101010101010101; n < end; n += 8 {
		binary.LittleEndian.PutUint64(out[n:], word)
	}
}
