package serve

import (
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// maxPositions is the number of positions in directories that are kept, of at most 9 KiB each.
const maxPositions = 64

// positions remembers how far directories were listed, since the kernel reads them in parts. A
// whole listing is never held: a directory may have any number of names.
type positions struct {
	mu   sync.Mutex
	kept [maxPositions]position
	next int // is replaced next
}

// position is a place in a directory: behind its first names.
type position struct {
	node, names uint64
	listing     squashfs.Listing
}

func (p *positions) get(node, names uint64) (squashfs.Listing, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.kept {
		if k.node == node && k.names == names {
			return k.listing, true
		}
	}
	return squashfs.Listing{}, false
}

// put remembers a position. It replaces the one from which the same reader came or, if that is
// gone, the oldest.
func (p *positions) put(from uint64, to position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, k := range p.kept {
		if k.node == to.node && k.names == from {
			p.kept[i] = to
			return
		}
	}
	p.kept[p.next] = to
	p.next = (p.next + 1) % maxPositions
}

func (p *positions) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept = [maxPositions]position{}
}

// list passes the rest of a directory to add, which says whether there was room. The kernel itself
// adds "." and "..".
func (i *imageFS) list(input *fuse.ReadIn,
	add func(squashfs.DirEntry, uint64) (bool, error),
) error {
	at := input.Offset
	l, ok := i.positions.get(input.NodeId, at)
	if !ok {
		var err error
		if l, err = i.img.List(i.ref(input.NodeId)); err != nil {
			return err
		}
		if err := l.Skip(at); err != nil {
			return err
		}
	}
	for {
		here := l
		e, more, err := l.Next()
		room := false
		if err == nil && more {
			room, err = add(e, at+1)
		}
		if err != nil {
			return err
		}
		if !room {
			if at > input.Offset {
				i.positions.put(input.Offset, position{input.NodeId, at, here})
			}
			return nil
		}
		at++
	}
}
