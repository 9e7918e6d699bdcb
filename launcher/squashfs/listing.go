package squashfs

import "math"

// listed is a name that goes into a directory.
type listed struct {
	name   string
	kind   uint16
	number uint32
	ref    Ref
}

// listing is where a directory was written, and how to jump into it.
type listing struct {
	chunk  uint32 // of the directory table
	offset uint16
	size   int // with what "." and ".." count for
	index  []indexEntry
}

// indexEntry lets a reader begin at a later chunk of a large listing: the first name of a header there, and how far into the
// listing that header is.
type indexEntry struct {
	name  string
	at    uint32
	chunk uint32
}

// list writes a listing. A header stands in front of names whose inodes are in one chunk of the inode table and whose numbers
// are near each other; there are at most 256 of them.
func (f *finisher) list(entries []listed) listing {
	start := f.dirs.ref()
	l := listing{chunk: uint32(start.block()), offset: uint16(start.offset()), size: dirSizeExtra}
	chunks := len(f.dirs.starts)
	for len(entries) > 0 {
		run := runLength(entries)
		if len(f.dirs.starts) > chunks { // the listing goes on in a new chunk
			chunks = len(f.dirs.starts)
			l.index = append(l.index, indexEntry{entries[0].name, uint32(l.size - dirSizeExtra), uint32(f.dirs.ref().block())})
		}
		f.dirs.add(struct{ Count, Chunk, Number uint32 }{uint32(run - 1), uint32(entries[0].ref.block()), entries[0].number})
		l.size += 12
		for _, e := range entries[:run] {
			f.dirs.add(struct {
				Offset     uint16
				Delta      int16
				Type, Size uint16
			}{uint16(e.ref.offset()), int16(int64(e.number) - int64(entries[0].number)), e.kind, uint16(len(e.name) - 1)})
			_, _ = f.dirs.Write([]byte(e.name)) // never fails
			l.size += 8 + len(e.name)
		}
		entries = entries[run:]
	}
	return l
}

func runLength(entries []listed) int {
	first := entries[0]
	for i, e := range entries {
		delta := int64(e.number) - int64(first.number)
		if i == maxRun || e.ref.block() != first.ref.block() || delta < math.MinInt16 || delta > math.MaxInt16 {
			return i
		}
	}
	return len(entries)
}
