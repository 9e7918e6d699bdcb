package squashfs

import "encoding/binary"

const (
	xattrIDSize     = 16
	xattrOutOfLine  = 0x100 // of an attribute's type: the value stands elsewhere
	maxXattrValue   = 64 << 10
	maxXattrsOfFile = 4096
)

type xattrTable struct {
	start    uint64 // of the attributes
	count    uint32
	pointers []uint64
}

func (f *FS) readXattrTable() (xattrTable, error) {
	if f.sb.XattrTable == noTable {
		return xattrTable{}, nil
	}
	raw := make([]byte, 16)
	if f.sb.XattrTable > f.sb.Used {
		return xattrTable{}, corrupt("the xattr table is outside of it")
	}
	if _, err := f.r.ReadAt(raw, int64(f.sb.XattrTable)); err != nil {
		return xattrTable{}, short(err, "the xattr table")
	}
	t := xattrTable{start: binary.LittleEndian.Uint64(raw), count: binary.LittleEndian.Uint32(raw[8:])}
	var err error
	t.pointers, err = f.tablePointers(f.sb.XattrTable+16, int(t.count), xattrIDSize)
	return t, err
}

// Xattrs returns the extended attributes of an inode in the order they are stored.
func (f *FS) Xattrs(ref Ref) ([]Xattr, error) {
	in, err := f.inode(ref)
	if err != nil || in.xattr == noXattr {
		return nil, err
	}
	t, err := f.xattrs()
	if err != nil {
		return nil, err
	}
	if in.xattr >= t.count {
		return nil, corrupt("xattr %d of %d", in.xattr, t.count)
	}
	raw, err := f.item(t.pointers, int(in.xattr), xattrIDSize)
	if err != nil {
		return nil, err
	}
	ref, n := Ref(binary.LittleEndian.Uint64(raw)), binary.LittleEndian.Uint32(raw[8:])
	if n > maxXattrsOfFile {
		return nil, corrupt("%d xattrs on one inode", n)
	}
	c, err := f.cursor(t.start, ref.block(), ref.offset())
	if err != nil {
		return nil, err
	}
	xattrs := make([]Xattr, 0, n)
	for range n {
		x, err := f.readXattr(c, t.start)
		if err != nil {
			return nil, err
		}
		xattrs = append(xattrs, x)
	}
	return xattrs, nil
}

func (f *FS) readXattr(c *cursor, table uint64) (Xattr, error) {
	var key struct{ Type, Size uint16 }
	if err := c.decode(&key); err != nil {
		return Xattr{}, err
	}
	prefixes := xattrPrefixes()
	prefix := int(key.Type &^ xattrOutOfLine)
	if prefix >= len(prefixes) || key.Size > maxName {
		return Xattr{}, corrupt("an xattr of type %d with a name of %d bytes", key.Type, key.Size)
	}
	name, err := c.bytes(int(key.Size))
	if err != nil {
		return Xattr{}, err
	}
	value, err := readXattrValue(c)
	if err == nil && key.Type&xattrOutOfLine != 0 {
		if len(value) != 8 {
			return Xattr{}, corrupt("an xattr's reference of %d bytes", len(value))
		}
		ref := Ref(binary.LittleEndian.Uint64(value))
		var elsewhere *cursor
		if elsewhere, err = f.cursor(table, ref.block(), ref.offset()); err == nil {
			value, err = readXattrValue(elsewhere)
		}
	}
	return Xattr{Name: prefixes[prefix] + string(name), Value: value}, err
}

func readXattrValue(c *cursor) ([]byte, error) {
	var size uint32
	if err := c.decode(&size); err != nil {
		return nil, err
	}
	if size > maxXattrValue {
		return nil, corrupt("an xattr of %d bytes", size)
	}
	return c.bytes(int(size))
}
