package squashfs

import "math"

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

// list writes a listing of names whose inodes are written. A header stands in front of names whose inodes are in one chunk of the inode
// table and whose numbers are near each other; there are at most 256 of them.
func (f *finisher) list(names []uint32) listing {
	start := f.dirs.ref()
	l := listing{chunk: uint32(start.block()), offset: uint16(start.offset()), size: dirSizeExtra}
	chunks := len(f.dirs.starts)
	for len(names) > 0 {
		run := f.runLength(names)
		first := f.tree.Inode(names[0])
		if len(f.dirs.starts) > chunks { // the listing goes on in a new chunk
			chunks = len(f.dirs.starts)
			l.index = append(l.index, indexEntry{string(f.tree.Name(names[0])), uint32(l.size - dirSizeExtra), uint32(f.dirs.ref().block())})
		}
		f.dirs.add(struct{ Count, Chunk, Number uint32 }{uint32(run - 1), uint32(f.ref(first).block()), first.number})
		l.size += 12
		for _, name := range names[:run] {
			n, b := f.tree.Inode(name), f.tree.Name(name)
			f.dirs.add(struct {
				Offset     uint16
				Delta      int16
				Type, Size uint16
			}{uint16(f.ref(n).offset()), int16(int64(n.number) - int64(first.number)), n.kind, uint16(len(b) - 1)})
			_, _ = f.dirs.Write(b) // never fails
			l.size += 8 + len(b)
		}
		names = names[run:]
	}
	return l
}

func (f *finisher) ref(n *Inode) Ref { return f.refs[n.number-1] }

func (f *finisher) runLength(names []uint32) int {
	first := f.tree.Inode(names[0])
	for i, name := range names {
		n := f.tree.Inode(name)
		delta := int64(n.number) - int64(first.number)
		if i == maxRun || f.ref(n).block() != f.ref(first).block() || delta < math.MinInt16 || delta > math.MaxInt16 {
			return i
		}
	}
	return len(names)
}
