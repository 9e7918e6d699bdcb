package squashfs

// xattrOutOfLine is a bit of an attribute's type: the value is stored in another place.
const xattrOutOfLine = 0x100

type xattrTable struct {
	start uint64 // place of the attributes
	count uint32 // how many sets of attributes there are
	list  uint64 // place of the list of the table's chunks; the table has the place of each set
}

func (f *FS) readXattrTable() (xattrTable, error) {
	const head = 16
	if f.sb.XattrTable == noTable {
		return xattrTable{}, nil
	}
	if !f.inside(f.sb.XattrTable, head) {
		return xattrTable{}, corrupt("the xattr table is outside of it")
	}
	raw, err := f.read(f.sb.XattrTable, head, "the xattr table")
	if err != nil {
		return xattrTable{}, err
	}
	b := fields(raw)
	return xattrTable{start: b.u64(), count: b.u32(), list: f.sb.XattrTable + head}, nil
}

// HasXattrs tells whether an inode of the file system may have extended attributes.
func (f *FS) HasXattrs() bool { return f.sb.XattrTable != noTable }

// Xattrs returns the extended attributes of an inode in stored order. Like the kernel it leaves out
// unknown name spaces.
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
	b, err := f.item(t.list, in.xattr, xattrIDSize)
	if err != nil {
		return nil, err
	}
	at, n := Ref(b.u64()), b.u32()
	c, err := f.cursor(t.start, at.block(), at.offset())
	if err != nil {
		return nil, err
	}
	var xattrs []Xattr
	for bytes := 0; n > 0; n-- {
		x, known, err := f.readXattr(&c, t.start)
		if err != nil {
			return nil, err
		}
		if bytes += 8 + len(x.Name) + len(x.Value); bytes > maxXattrsBytes {
			return nil, corrupt("more than %d bytes of xattrs on one inode", maxXattrsBytes)
		}
		if known {
			xattrs = append(xattrs, x)
		}
	}
	return xattrs, nil
}

func (f *FS) readXattr(c *cursor, table uint64) (x Xattr, known bool, err error) {
	b, err := c.take(4)
	if err != nil {
		return Xattr{}, false, err
	}
	kind, size := b.u16(), b.u16()
	if size > maxName {
		return Xattr{}, false, corrupt("an xattr with a name of %d bytes", size)
	}
	name, err := c.take(int(size))
	if err != nil {
		return Xattr{}, false, err
	}
	x.Name = string(name)
	prefix := int(kind &^ xattrOutOfLine)
	if prefixes := xattrPrefixes(); prefix < len(prefixes) {
		x.Name, known = prefixes[prefix]+x.Name, true
	}
	x.Value, err = readXattrValue(c)
	if err == nil && kind&xattrOutOfLine != 0 {
		x.Value, err = f.readXattrOutOfLine(x.Value, table)
	}
	return x, known, err
}

func (f *FS) readXattrOutOfLine(place fields, table uint64) ([]byte, error) {
	if len(place) != 8 {
		return nil, corrupt("an xattr's reference of %d bytes", len(place))
	}
	at := Ref(place.u64())
	c, err := f.cursor(table, at.block(), at.offset())
	if err != nil {
		return nil, err
	}
	return readXattrValue(&c)
}

// readXattrValue returns a copy, since callers may keep or change it.
func readXattrValue(c *cursor) ([]byte, error) {
	b, err := c.take(4)
	if err != nil {
		return nil, err
	}
	size := b.u32()
	if size > maxXattrValue {
		return nil, corrupt("an xattr of %d bytes", size)
	}
	value, err := c.take(int(size))
	return append([]byte{}, value...), err
}
