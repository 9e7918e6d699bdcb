package squashfs

import "math"

// writtenListing holds the place of a directory's listing and the index into it.
type writtenListing struct {
	chunk  uint32 // of the directory table
	offset uint16
	size   int // including dirSizeExtra
	index  []indexEntry
}

// indexEntry lets a reader start at a later chunk of a large listing. It holds the first name of a
// header there and the offset of that header in the listing.
type indexEntry struct {
	name  string
	at    uint32
	chunk uint32
}

// writeListing writes a listing of names whose inodes are written. A header precedes up to 256
// names whose inodes are in one chunk of the inode table and whose numbers are close to each other.
func (f *finisher) writeListing(names []uint32) writtenListing {
	start := f.dirs.ref()
	l := writtenListing{
		chunk: uint32(start.block()), offset: uint16(start.offset()), size: dirSizeExtra,
	}
	chunks := len(f.dirs.starts)
	for len(names) > 0 {
		run := f.runLength(names)
		first := f.tree.Inode(names[0])
		if len(f.dirs.starts) > chunks { // the listing continues in a new chunk
			chunks = len(f.dirs.starts)
			l.index = append(l.index, indexEntry{
				string(f.tree.Name(names[0])), uint32(l.size - dirSizeExtra),
				uint32(f.dirs.ref().block()),
			})
		}
		f.dirs.add(struct{ Count, Chunk, Number uint32 }{
			uint32(run - 1), uint32(f.ref(first).block()), first.number,
		})
		l.size += 12
		for _, name := range names[:run] {
			n, b := f.tree.Inode(name), f.tree.Name(name)
			delta := int64(n.number) - int64(first.number)
			f.dirs.add(struct {
				Offset     uint16
				Delta      int16
				Type, Size uint16
			}{uint16(f.ref(n).offset()), int16(delta), n.kind, uint16(len(b) - 1)})
			_, _ = f.dirs.Write(b) // never fails
			l.size += 8 + len(b)
		}
		names = names[run:]
	}
	return l
}

func (f *finisher) ref(n *Inode) Ref { return f.refs[n.number-1] }

// runLength returns how many of the names can follow one header.
func (f *finisher) runLength(names []uint32) int {
	first := f.tree.Inode(names[0])
	for i, name := range names {
		n := f.tree.Inode(name)
		delta := int64(n.number) - int64(first.number)
		if i == maxRun || f.ref(n).block() != f.ref(first).block() ||
			delta < math.MinInt16 || delta > math.MaxInt16 {
			return i
		}
	}
	return len(names)
}
