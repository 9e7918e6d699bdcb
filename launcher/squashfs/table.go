package squashfs

import (
	"encoding/binary"
	"fmt"
)

// metaWriter packs a table into metadata chunks, in memory: the tables of a million inodes take
// some ten megabytes.
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
	b, _ := binary.Append(nil, binary.LittleEndian, v) // callers pass structs of fixed size
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

// writeChunks writes a table's chunks.
func (w *Writer) writeChunks(m *metaWriter) error {
	m.flush()
	sums := make([]sum, len(m.starts))
	for i, start := range m.starts {
		end := uint64(len(m.done))
		if i+1 < len(m.starts) {
			end = m.starts[i+1]
		}
		sums[i] = sumOf(m.done[start:end])
	}
	return w.out.writeSummed(m.done, sums...)
}

// writeTable writes the chunks, then the list of their places, and returns the place of that list.
func (w *Writer) writeTable(m *metaWriter) (uint64, error) {
	base := uint64(w.out.at)
	if err := w.writeChunks(m); err != nil {
		return 0, err
	}
	at := uint64(w.out.at)
	var list []byte
	for _, s := range m.starts {
		list = binary.LittleEndian.AppendUint64(list, base+s)
	}
	return at, w.out.write(list)
}

// idTable numbers user and group ids in the order of their first use.
type idTable struct {
	ids   []uint32
	index map[uint32]uint16
}

// maxIDs is the limit of the superblock's counter.
const maxIDs = 65535

func (t *idTable) number(id uint32) (uint16, error) {
	if n, ok := t.index[id]; ok {
		return n, nil
	}
	if len(t.ids) == maxIDs {
		return 0, fmt.Errorf("there are more than %d user and group ids", maxIDs)
	}
	n := uint16(len(t.ids))
	t.ids = append(t.ids, id)
	t.index[id] = n
	return n, nil
}
