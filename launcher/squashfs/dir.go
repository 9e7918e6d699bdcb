package squashfs

import (
	"bytes"
	"io/fs"
	"syscall"
)

// DirEntry is one name in a directory.
type DirEntry struct {
	Name  string
	Ref   Ref
	Type  uint32 // the type bits of st_mode
	Inode uint32
}

// maxEntries bounds the names in one directory. A directory of more is treated as an attack that
// would exhaust memory.
const maxEntries = 4 << 20

// ReadDir returns the names in a directory in stored order: sorted by bytes. The names "." and ".."
// are not stored.
func (f *FS) ReadDir(dir Ref) ([]DirEntry, error) {
	l, err := f.List(dir)
	if err != nil {
		return nil, err
	}
	var entries []DirEntry
	for {
		e, ok, err := l.Next()
		if err != nil || !ok {
			return entries, err
		}
		if len(entries) == maxEntries {
			return nil, corrupt("a directory of more than %d names", maxEntries)
		}
		entries = append(entries, e)
	}
}

// Listing is a position in a directory. A copy advances independently. It holds one metadata chunk,
// whatever the size of the directory.
type Listing struct{ l lister }

// List returns a listing at the first name of a directory. The order is that of ReadDir.
func (f *FS) List(dir Ref) (Listing, error) {
	_, l, err := f.openDir(dir)
	if err != nil {
		return Listing{}, err
	}
	return Listing{*l}, nil
}

// Next returns the next name; ok is false after the last.
func (l *Listing) Next() (e DirEntry, ok bool, err error) {
	if !l.l.more() {
		return DirEntry{}, false, nil
	}
	s, err := l.l.next()
	if err != nil {
		return DirEntry{}, false, err
	}
	return DirEntry{Name: string(s.name), Ref: s.ref, Type: s.mode, Inode: s.number}, true, nil
}

// Skip skips n names, or all that are left.
func (l *Listing) Skip(n uint64) error {
	for ; n > 0 && l.l.more(); n-- {
		if _, err := l.l.next(); err != nil {
			return err
		}
	}
	return nil
}

// Lookup returns the inode of a name in a directory. The error wraps fs.ErrNotExist if there is no
// such name.
func (f *FS) Lookup(dir Ref, name string) (Ref, error) {
	in, l, err := f.openDir(dir)
	if err != nil {
		return 0, err
	}
	if err := l.jump(in, name); err != nil {
		return 0, err
	}
	for l.more() {
		e, err := l.next()
		if err != nil {
			return 0, err
		}
		if string(e.name) == name {
			return e.ref, nil
		}
		if string(e.name) > name {
			break
		}
	}
	return 0, fs.ErrNotExist
}

// lister reads a listing: headers, each followed by its names.
type lister struct {
	c      cursor
	left   int64  // how many bytes of the listing are left
	run    int    // how many names of the last header are left
	chunk  uint64 // the chunk of the inode table that holds the inodes of these names
	number uint32 // the base of their inode numbers
}

// stored is a name as a listing stores it.
type stored struct {
	name   []byte // belongs to the cache
	ref    Ref
	mode   uint32
	number uint32
}

func (f *FS) openDir(dir Ref) (*inode, *lister, error) {
	in, err := f.inode(dir)
	if err != nil {
		return nil, nil, err
	}
	if !in.IsDir() {
		return nil, nil, syscall.ENOTDIR
	}
	l := &lister{left: in.Size - dirSizeExtra}
	if l.left > 0 {
		l.c, err = f.cursor(f.sb.DirTable, in.start, in.offset)
	}
	return in, l, err
}

func (l *lister) more() bool { return l.left > 0 }

// spend counts n bytes of the listing as read.
func (l *lister) spend(n int) error {
	if l.left -= int64(n); l.left < 0 {
		return corrupt("a directory that is longer than its inode says")
	}
	return nil
}

func (l *lister) next() (stored, error) {
	if l.run == 0 {
		if err := l.header(); err != nil {
			return stored{}, err
		}
	}
	l.run--
	b, err := l.c.take(8)
	if err != nil {
		return stored{}, err
	}
	offset, delta, kind, size := b.u16(), int16(b.u16()), b.u16(), int(b.u16())+1
	mode := modeOf(kind)
	if size > maxName || mode == 0 {
		return stored{}, corrupt("a name of %d bytes and type %d", size, kind)
	}
	if err := l.spend(8 + size); err != nil {
		return stored{}, err
	}
	name, err := l.c.take(size)
	if err != nil {
		return stored{}, err
	}
	if !validName(name) {
		return stored{}, corrupt("the name %q", []byte(name))
	}
	ref := Ref(l.chunk<<16 | uint64(offset))
	return stored{name, ref, mode, uint32(int64(l.number) + int64(delta))}, nil
}

func (l *lister) header() error {
	b, err := l.c.take(12)
	if err != nil {
		return err
	}
	count := b.u32()
	if count >= maxRun {
		return corrupt("a directory header for %d names", uint64(count)+1)
	}
	l.run, l.chunk, l.number = int(count)+1, uint64(b.u32()), b.u32()
	return l.spend(12)
}

// jump moves to the last header that may be followed by the name. It uses the index of a large
// directory, whose entries hold the offset of a header in the listing, the chunk it begins in, and
// the first name after it.
func (l *lister) jump(in *inode, name string) error {
	for index := in.rest; in.indexes > 0; in.indexes-- {
		b, err := index.take(12)
		if err != nil {
			return err
		}
		at, chunk, size := b.u32(), b.u32(), b.u32()
		if size >= maxName || int64(at) >= in.Size-dirSizeExtra {
			return corrupt("a directory's index")
		}
		first, err := index.take(int(size) + 1)
		if err != nil {
			return err
		}
		if string(first) > name {
			return nil
		}
		offset := int((uint64(in.offset) + uint64(at)) % metadataSize)
		if l.c, err = l.c.f.cursor(l.c.f.sb.DirTable, uint64(chunk), offset); err != nil {
			return err
		}
		l.left = in.Size - dirSizeExtra - int64(at)
	}
	return nil
}

// validName tells whether b can be a name in a directory. Names are passed to the kernel and become
// parts of paths.
func validName(b []byte) bool {
	return len(b) > 0 && bytes.IndexByte(b, 0) < 0 && bytes.IndexByte(b, '/') < 0 &&
		string(b) != "." && string(b) != ".."
}
