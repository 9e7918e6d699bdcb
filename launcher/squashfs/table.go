package squashfs

import (
	"encoding/binary"
	"slices"
)

// metaWriter packs a table into metadata chunks, in memory: the tables of a million inodes are some ten megabytes.
type metaWriter struct {
	c      compressor
	done   []byte   // complete chunks
	starts []uint64 // of the chunks in done
	buf    []byte   // of the chunk being filled
}

// ref returns the place of the next byte.
func (m *metaWriter) ref() Ref { return Ref(uint64(len(m.done))<<16 | uint64(len(m.buf))) }

func (m *metaWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		take := min(len(p), metadataSize-len(m.buf))
		m.buf = append(m.buf, p[:take]...)
		p = p[take:]
		if len(m.buf) == metadataSize {
			m.flush()
		}
	}
	return n, nil
}

// add writes a value of fixed size.
func (m *metaWriter) add(v any) {
	b, _ := binary.Append(nil, binary.LittleEndian, v) // callers give structs of fixed size
	_, _ = m.Write(b)                                  // never fails
}

func (m *metaWriter) flush() {
	if len(m.buf) == 0 {
		return
	}
	m.starts = append(m.starts, uint64(len(m.done)))
	packed := m.c.compress(nil, m.buf)
	word := uint16(len(packed))
	if packed == nil {
		packed, word = m.buf, uint16(len(m.buf))|storedMetadata
	}
	m.done = binary.LittleEndian.AppendUint16(m.done, word)
	m.done = append(m.done, packed...)
	m.buf = m.buf[:0]
}

// writeTable writes the chunks and behind them the list of where they stand, and returns the place of that list.
func (w *Writer) writeTable(m *metaWriter) (uint64, error) {
	m.flush()
	base := uint64(w.out.at)
	if err := w.out.write(m.done); err != nil {
		return 0, err
	}
	at := uint64(w.out.at)
	var list []byte
	for _, s := range m.starts {
		list = binary.LittleEndian.AppendUint64(list, base+s)
	}
	return at, w.out.write(list)
}

// idTable numbers user and group ids in the order they are met.
type idTable struct {
	ids   []uint32
	index map[uint32]uint16
}

// maxIDs is what the superblock's counter holds.
const maxIDs = 65535

func (t *idTable) number(id uint32) (uint16, bool) {
	if n, ok := t.index[id]; ok {
		return n, true
	}
	if len(t.ids) == maxIDs {
		return 0, false
	}
	n := uint16(len(t.ids))
	t.ids = append(t.ids, id)
	t.index[id] = n
	return n, true
}

// xattrWriter gathers the sets of extended attributes; equal sets are stored once.
type xattrWriter struct {
	values metaWriter
	ids    metaWriter
	count  uint32
	known  map[string]uint32
}

// number returns the number of a set, noXattr for one that is empty. Attributes outside of the name spaces that the format
// knows (system.*) are left out.
func (x *xattrWriter) number(set []Xattr) uint32 {
	set = slices.Clone(set)
	slices.SortFunc(set, func(a, b Xattr) int { return compareXattr(a, b) })
	var raw []byte
	n, size := uint32(0), uint32(0)
	for _, a := range set {
		prefix, name, ok := splitXattr(a.Name)
		if !ok {
			continue
		}
		raw = binary.LittleEndian.AppendUint16(raw, prefix)
		raw = binary.LittleEndian.AppendUint16(raw, uint16(len(name)))
		raw = append(raw, name...)
		raw = binary.LittleEndian.AppendUint32(raw, uint32(len(a.Value)))
		raw = append(raw, a.Value...)
		n++
		size += uint32(len(a.Name)) + 1 // what listxattr returns for it
	}
	if n == 0 {
		return noXattr
	}
	if id, ok := x.known[string(raw)]; ok {
		return id
	}
	ref := x.values.ref()
	_, _ = x.values.Write(raw) // never fails
	x.ids.add(struct {
		Ref         Ref
		Count, Size uint32
	}{ref, n, size})
	x.known[string(raw)] = x.count
	x.count++
	return x.count - 1
}

func compareXattr(a, b Xattr) int {
	switch {
	case a.Name < b.Name:
		return -1
	case a.Name > b.Name:
		return 1
	}
	return 0
}

func splitXattr(name string) (prefix uint16, rest string, ok bool) {
	for i, p := range xattrPrefixes() {
		if len(name) > len(p) && len(name)-len(p) <= maxName && name[:len(p)] == p {
			return uint16(i), name[len(p):], true
		}
	}
	return 0, "", false
}

// writeXattrs writes the attributes and their table, which ends the file system, and returns the place of the table.
func (w *Writer) writeXattrs(x *xattrWriter) (uint64, error) {
	if x.count == 0 {
		return noTable, nil
	}
	values := uint64(w.out.at)
	x.values.flush()
	if err := w.out.write(x.values.done); err != nil {
		return 0, err
	}
	x.ids.flush()
	base := uint64(w.out.at)
	if err := w.out.write(x.ids.done); err != nil {
		return 0, err
	}
	at := uint64(w.out.at)
	head := binary.LittleEndian.AppendUint64(nil, values)
	head = binary.LittleEndian.AppendUint32(head, x.count)
	head = binary.LittleEndian.AppendUint32(head, 0)
	for _, s := range x.ids.starts {
		head = binary.LittleEndian.AppendUint64(head, base+s)
	}
	return at, w.out.write(head)
}
