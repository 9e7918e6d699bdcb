package squashfs

import (
	"encoding/binary"
	"hash/crc32"
	"sort"
)

// The checksums of a file system are kept beside it, because SquashFS has none: one CRC32C for each
// piece of the file. The pieces are the superblock, each data block, each fragment block, each
// metadata chunk with its two bytes of size, and each list of a table's chunks. They are in the
// order of the file and have no gaps between them, so that their sizes suffice to find them:
//
//	"hpc3crc1"                        8 bytes
//	number of pieces                  4 bytes
//	CRC32C of all that follows        4 bytes
//	size and CRC32C of each piece     4 + 4 bytes
//
// All numbers are little-endian.
const (
	sumsMagic  = "hpc3crc1"
	sumsHeader = 16
	sumSize    = 8
)

func castagnoli(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// sum is the size and the checksum of a piece.
type sum struct{ size, crc uint32 }

func sumOf(b []byte) sum { return sum{uint32(len(b)), castagnoli(b)} }

// encodeSums returns the table of checksums.
func encodeSums(sums []sum) []byte {
	raw := make([]byte, sumsHeader, sumsHeader+sumSize*len(sums))
	copy(raw, sumsMagic)
	for _, s := range sums {
		raw = binary.LittleEndian.AppendUint32(raw, s.size)
		raw = binary.LittleEndian.AppendUint32(raw, s.crc)
	}
	binary.LittleEndian.PutUint32(raw[8:], uint32(len(sums)))
	binary.LittleEndian.PutUint32(raw[12:], castagnoli(raw[sumsHeader:]))
	return raw
}

// Sums holds the checksums of a file system.
type Sums struct {
	raw   []byte   // sizes and checksums, as stored
	marks []uint64 // place of every sumsPerMark-th piece
	end   uint64   // of the last piece
}

const sumsPerMark = 64

// ParseSums reads a table of checksums and keeps raw. The error wraps ErrCorrupt.
func ParseSums(raw []byte) (*Sums, error) {
	if len(raw) < sumsHeader || string(raw[:8]) != sumsMagic {
		return nil, corrupt("its checksums do not begin as they must")
	}
	count, crc := binary.LittleEndian.Uint32(raw[8:]), binary.LittleEndian.Uint32(raw[12:])
	raw = raw[sumsHeader:]
	if uint64(len(raw)) != uint64(count)*sumSize || castagnoli(raw) != crc {
		return nil, corrupt("its checksums are damaged themselves")
	}
	s := &Sums{raw: raw, marks: make([]uint64, 0, count/sumsPerMark+1)}
	for i := range int(count) {
		if i%sumsPerMark == 0 {
			s.marks = append(s.marks, s.end)
		}
		s.end += uint64(s.piece(i).size)
	}
	return s, nil
}

func (s *Sums) piece(i int) sum {
	b := fields(s.raw[i*sumSize : (i+1)*sumSize])
	return sum{b.u32(), b.u32()}
}

// find returns the piece that contains a place, and where the piece begins.
func (s *Sums) find(at uint64) (start uint64, p sum, ok bool) {
	if at >= s.end {
		return 0, sum{}, false
	}
	mark := sort.Search(len(s.marks), func(i int) bool { return s.marks[i] > at }) - 1
	start = s.marks[mark]
	for i := mark * sumsPerMark; ; i++ {
		p = s.piece(i)
		if at < start+uint64(p.size) {
			return start, p, true
		}
		start += uint64(p.size)
	}
}
