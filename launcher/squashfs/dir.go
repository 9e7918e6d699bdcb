package squashfs

import (
	"encoding/binary"
	"io/fs"

	"golang.org/x/sys/unix"
)

// DirEntry is one name in a directory.
type DirEntry struct {
	Name  string
	Ref   Ref
	Type  uint32 // the type bits of st_mode
	Inode uint32
}

type dirHeader struct{ Count, Chunk, Number uint32 }

type dirRecord struct {
	Offset uint16
	Delta  int16
	Type   uint16
	Size   uint16
}

// maxRun is how many names one header may stand for.
const maxRun = 256

// ReadDir returns the names in a directory in the order they are stored, which is that of their bytes.
func (f *FS) ReadDir(dir Ref) ([]DirEntry, error) {
	var entries []DirEntry
	err := f.scan(dir, func(e DirEntry) bool {
		entries = append(entries, e)
		return true
	})
	return entries, err
}

// Lookup returns the inode that a name in a directory stands for. The error wraps fs.ErrNotExist where there is none.
func (f *FS) Lookup(dir Ref, name string) (Ref, error) {
	var found Ref
	ok := false
	err := f.scan(dir, func(e DirEntry) bool {
		if e.Name == name {
			found, ok = e.Ref, true
		}
		return e.Name < name
	})
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, fs.ErrNotExist
	}
	return found, nil
}

// scan calls each for the names of a directory until it returns false.
func (f *FS) scan(dir Ref, each func(DirEntry) bool) error {
	in, err := f.inode(dir)
	if err != nil {
		return err
	}
	if !in.IsDir() {
		return unix.ENOTDIR
	}
	left := in.Size - dirSizeExtra
	if left <= 0 {
		return nil
	}
	c, err := f.cursor(f.sb.DirTable, in.start, in.offset)
	if err != nil {
		return err
	}
	for left > 0 {
		var h dirHeader
		if err := c.decode(&h); err != nil {
			return err
		}
		if h.Count >= maxRun {
			return corrupt("a directory header for %d names", h.Count+1)
		}
		left -= int64(binary.Size(h))
		for range h.Count + 1 {
			e, size, err := readRecord(c, h)
			if err != nil {
				return err
			}
			if left -= int64(size); left < 0 {
				return corrupt("a directory that is longer than its inode says")
			}
			if !each(e) {
				return nil
			}
		}
	}
	return nil
}

func readRecord(c *cursor, h dirHeader) (DirEntry, int, error) {
	var r dirRecord
	if err := c.decode(&r); err != nil {
		return DirEntry{}, 0, err
	}
	if r.Size >= maxName {
		return DirEntry{}, 0, corrupt("a name of %d bytes", r.Size+1)
	}
	name, err := c.bytes(int(r.Size) + 1)
	if err != nil {
		return DirEntry{}, 0, err
	}
	if !validName(name) {
		return DirEntry{}, 0, corrupt("the name %q", name)
	}
	types := [...]uint32{0, unix.S_IFDIR, unix.S_IFREG, unix.S_IFLNK, unix.S_IFBLK, unix.S_IFCHR, unix.S_IFIFO, unix.S_IFSOCK}
	if r.Type == 0 || int(r.Type) >= len(types) {
		return DirEntry{}, 0, corrupt("a name of type %d", r.Type)
	}
	e := DirEntry{
		Name: string(name), Ref: Ref(uint64(h.Chunk)<<16 | uint64(r.Offset)),
		Type: types[r.Type], Inode: uint32(int64(h.Number) + int64(r.Delta)),
	}
	return e, binary.Size(r) + len(name), nil
}
