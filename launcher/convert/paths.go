package convert

import (
	"hash/maphash"
	"strings"
)

// table is a list that grows without moving its items: an image may have millions of files.
type table[T any] struct {
	chunks [][]T
	count  uint32
}

const (
	chunkBits = 12
	chunkSize = 1 << chunkBits
)

func (t *table[T]) at(i uint32) *T { return &t.chunks[i>>chunkBits][i%chunkSize] }

// add adds an item and returns its number.
func (t *table[T]) add(v T) uint32 {
	if t.count%chunkSize == 0 {
		t.chunks = append(t.chunks, make([]T, chunkSize))
	}
	*t.at(t.count) = v
	t.count++
	return t.count - 1
}

// paths numbers all paths that an image mentions, whether or not a file is there. The root is
// number 0. A path costs about 20 bytes and the length of its last name.
type paths struct {
	names table[pathName]
	slots []uint32 // a hash table of numbers; 0 is an empty slot, since the root is never looked up
	seed  maphash.Seed
	text  [][]byte // the names, in pieces that are never moved
}

type pathName struct {
	parent uint32
	text   uint32 // upper 16 bits: which piece of text; lower 16 bits: the offset in it
	size   uint8
}

const textPiece = 1 << 16

func newPaths() *paths {
	p := &paths{slots: make([]uint32, 1<<10), seed: maphash.MakeSeed()}
	p.names.add(pathName{})
	return p
}

// name returns the last name of a path.
func (p *paths) name(n uint32) []byte {
	e := p.names.at(n)
	return p.text[e.text>>16][e.text%textPiece:][:e.size]
}

func (p *paths) parent(n uint32) uint32 { return p.names.at(n).parent }

// full returns a whole path.
func (p *paths) full(n uint32) string { return strings.Join(p.parts(n), "/") }

// child returns the path of a name below parent. The name has at most maxName bytes.
func (p *paths) child(parent uint32, name string) uint32 {
	i := p.slot(parent, name)
	for ; p.slots[i] != 0; i = (i + 1) % len(p.slots) {
		n := p.slots[i]
		if p.parent(n) == parent && string(p.name(n)) == name {
			return n
		}
	}
	n := p.names.add(pathName{parent, p.keep(name), uint8(len(name))})
	p.slots[i] = n
	if int(n) > len(p.slots)/4*3 {
		p.grow()
	}
	return n
}

func (p *paths) slot(parent uint32, name string) int {
	const spread = 0x9e3779b97f4a7c15 // from the golden ratio: close numbers get distant slots
	return int((maphash.String(p.seed, name) ^ uint64(parent)*spread) % uint64(len(p.slots)))
}

func (p *paths) grow() {
	p.slots = make([]uint32, len(p.slots)*3/2)
	for n := uint32(1); n < p.names.count; n++ {
		i := p.slot(p.parent(n), string(p.name(n)))
		for ; p.slots[i] != 0; i = (i + 1) % len(p.slots) {
		}
		p.slots[i] = n
	}
}

func (p *paths) keep(name string) uint32 {
	last := len(p.text) - 1
	if last < 0 || len(p.text[last])+len(name) > textPiece {
		last++
		p.text = append(p.text, make([]byte, 0, textPiece))
	}
	at := len(p.text[last])
	p.text[last] = append(p.text[last], name...)
	return uint32(last)<<16 | uint32(at)
}

// walk returns the path of a list of names.
func (p *paths) walk(parts []string) (at uint32) {
	for _, part := range parts {
		at = p.child(at, part)
	}
	return at
}

// parts returns the names of a path.
func (p *paths) parts(n uint32) []string {
	depth := 0
	for at := n; at != 0; at = p.parent(at) {
		depth++
	}
	parts := make([]string, depth)
	for ; n != 0; n = p.parent(n) {
		depth--
		parts[depth] = string(p.name(n))
	}
	return parts
}
