package gunzip

import "math/bits"

// Codes of up to litBits or distBits bits are found with one lookup. Longer codes take a second
// one, in a subtable behind the first table.
const (
	litBits    = 11
	distBits   = 8
	maxCodeLen = 15
	maxLit     = 286 // how many symbols a dynamic block may use
	maxDist    = 30
	endOfBlock = 256
)

// A table entry holds in its low byte the length of the code with its extra bits, in bits 8 to 11
// the length of the code alone, and from bit 16 on the value. In a subtable, both lengths exclude
// the bits that chose the subtable.
const (
	isLiteral   = 1 << 31
	isSpecial   = 1 << 15 // one of the following three
	isSubtable  = 1 << 14 // bits 8 to 11: how many bits index the subtable
	isEnd       = 1 << 13
	isInvalid   = 1<<12 | isSpecial
	valueShift  = 16
	lengthShift = 8
	lengthMask  = 15
	perBit      = 1<<lengthShift | 1 // makes both lengths one bit longer
)

// The table sizes are the most that a complete code of 288 or 32 symbols needs, as zlib's programs
// "enough 288 11 15" and "enough 32 8 15" print them.
type (
	litTable  [2342]uint32
	distTable [402]uint32
)

// templates holds the table entry of each symbol, without the length of its code.
type templates struct {
	lit  [288]uint32
	dist [32]uint32
}

// newTemplates returns the entries of the alphabets of RFC 1951, section 3.2.5.
func newTemplates() (t templates) {
	for i := range 256 {
		t.lit[i] = isLiteral | uint32(i)<<valueShift
	}
	t.lit[endOfBlock] = isSpecial | isEnd
	base := uint32(3)
	for i := range uint32(28) {
		extra := uint32(0)
		if i >= 8 {
			extra = i/4 - 1
		}
		t.lit[257+i] = base<<valueShift | extra
		base += 1 << extra
	}
	t.lit[285] = maxMatch << valueShift
	t.lit[286], t.lit[287] = isInvalid, isInvalid
	base = 1
	for i := range uint32(30) {
		extra := uint32(0)
		if i >= 4 {
			extra = i/2 - 1
		}
		t.dist[i] = base<<valueShift | extra
		base += 1 << extra
	}
	t.dist[30], t.dist[31] = isInvalid, isInvalid
	return t
}

// buildTable fills a table for the canonical code with the given length of each symbol. It returns
// false if the lengths make no code. Like compress/flate it accepts a code of no symbol or of a
// single one, although such a code leaves bit patterns without meaning.
func buildTable(table []uint32, first int, lengths []uint8, symbols []uint32) bool {
	var count [maxCodeLen + 1]int
	for _, l := range lengths {
		count[l]++
	}
	longest := maxCodeLen
	for longest > 0 && count[longest] == 0 {
		longest--
	}
	left := 1
	var next [maxCodeLen + 2]int // by length: where its symbols begin in sorted
	for l := 1; l <= longest; l++ {
		left = left<<1 - count[l]
		if left < 0 {
			return false
		}
		next[l+1] = next[l] + count[l]
	}
	if left > 0 {
		if longest > 1 { // if longest is 0 or 1, so is count[longest]
			return false
		}
		for i := range table {
			table[i] = isInvalid
		}
	}
	var sorted [288]uint16
	for symbol, l := range lengths {
		if l > 0 {
			sorted[next[l]] = uint16(symbol)
			next[l]++
		}
	}
	fillTable(table, first, sorted[:], &count, longest, symbols)
	return true
}

// fillTable enters the codes in their order. Codes are read first bit first, so the index of an
// entry is the reversed code.
func fillTable(table []uint32, first int, sorted []uint16, count *[maxCodeLen + 1]int,
	longest int, symbols []uint32,
) {
	code, free := uint32(0), 1<<first
	prefix, sub, subBits := -1, 0, 0
	for l := 1; l <= longest; l++ {
		for ; count[l] > 0; count[l]-- {
			reversed := int(bits.Reverse32(code) >> (32 - l))
			symbol := symbols[sorted[0]]
			sorted = sorted[1:]
			code++
			if l <= first {
				spread(table[:1<<first], reversed, l, symbol+uint32(l)*perBit)
				continue
			}
			if p := reversed & (1<<first - 1); p != prefix {
				prefix, sub, subBits = p, free, subtableBits(count, l, first, longest)
				free += 1 << subBits
				table[p] = isSpecial | isSubtable |
					uint32(sub)<<valueShift | uint32(subBits)<<lengthShift | uint32(first)
			}
			entry := symbol + uint32(l-first)*perBit
			spread(table[sub:sub+1<<subBits], reversed>>first, l-first, entry)
		}
		code <<= 1
	}
}

// spread writes an entry at each index whose low bits are its code.
func spread(table []uint32, reversed, l int, entry uint32) {
	for i := reversed; i < len(table); i += 1 << l {
		table[i] = entry
	}
}

// subtableBits returns the index width of the subtable for the next code, of length l, and all
// codes that share its first bits.
func subtableBits(count *[maxCodeLen + 1]int, l, first, longest int) int {
	size := l - first
	left := 1<<size - count[l]
	for left > 0 && first+size < longest {
		size++
		left = left<<1 - count[first+size]
	}
	return size
}
