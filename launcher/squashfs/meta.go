package squashfs

import (
	"bytes"
	"encoding/binary"
)

// chunk returns the inflated metadata chunk at a place in the file, and the place of the next one.
func (f *FS) chunk(at uint64) (data []byte, next uint64, err error) {
	b, err := f.meta.get(at, func() (metaChunk, error) { return f.readChunk(at) })
	return b.data, b.next, err
}

func (f *FS) readChunk(at uint64) (metaChunk, error) {
	const head, what = 2, "a metadata chunk"
	if !f.inside(at, head) {
		return metaChunk{}, corrupt("metadata at %d is outside of it", at)
	}
	packed := f.packed.Get().(*[]byte)
	defer f.packed.Put(packed)
	most := int(min(head+metadataSize, f.sb.Used-at)) // the actual size is in the head
	raw, err := f.readPiece(at, most, false, *packed, what)
	if err != nil {
		return metaChunk{}, err
	}
	word := binary.LittleEndian.Uint16(raw)
	size := int(word &^ storedMetadata)
	if size == 0 || size > metadataSize || size > len(raw)-head {
		return metaChunk{}, corrupt("a metadata chunk of %d bytes", size)
	}
	data := raw[head : head+size]
	stored := word&storedMetadata != 0
	if !stored {
		data, err = f.inflate(make([]byte, 0, metadataSize+inflateSpare), data, metadataSize)
	}
	if stored || len(data) < cap(data)/2 {
		data = bytes.Clone(data) // so that the cached buffer is no larger than its content
	}
	if err == nil && len(data) == 0 {
		err = corrupt("an empty metadata chunk")
	}
	return metaChunk{data, at + head + uint64(size)}, err
}

// cursor reads metadata from a place on, across chunks. A copy advances independently.
type cursor struct {
	f    *FS
	at   uint64 // place of the chunk
	next uint64 // place of the next chunk
	data []byte // of the chunk
	off  int    // in data
}

// cursor returns a cursor at an offset in a chunk of a table.
func (f *FS) cursor(table, chunk uint64, offset int) (cursor, error) {
	at := table + chunk
	if at < table {
		return cursor{}, corrupt("a reference to chunk %d", chunk)
	}
	data, next, err := f.chunk(at)
	if err != nil {
		return cursor{}, err
	}
	if offset > len(data) {
		return cursor{}, corrupt("a reference to offset %d of a chunk of %d bytes",
			offset, len(data))
	}
	return cursor{f, at, next, data, offset}, nil
}

// part returns up to n of the next bytes, at least one. They belong to the cache.
func (c *cursor) part(n int) ([]byte, error) {
	if c.off == len(c.data) {
		data, next, err := c.f.chunk(c.next)
		if err != nil {
			return nil, err
		}
		c.at, c.next, c.data, c.off = c.next, next, data, 0
	}
	b := c.data[c.off:min(len(c.data), c.off+n)]
	c.off += len(b)
	return b, nil
}

// take returns the next n bytes. Callers bound n and must not change the bytes.
func (c *cursor) take(n int) (fields, error) {
	if n <= len(c.data)-c.off {
		return c.part(n)
	}
	b := make([]byte, 0, n)
	for len(b) < n {
		p, err := c.part(n - len(b))
		if err != nil {
			return nil, err
		}
		b = append(b, p...)
	}
	return b, nil
}

// tableChunk returns a chunk of a table; list is the place of the list of its chunks' places.
func (f *FS) tableChunk(list uint64, chunk int) ([]byte, error) {
	at := list + 8*uint64(chunk)
	if list > f.sb.Used || !f.inside(at, 8) {
		return nil, corrupt("a table at %d is outside of it", list)
	}
	place, err := f.read(at, 8, "a table")
	if err != nil {
		return nil, err
	}
	data, _, err := f.chunk(binary.LittleEndian.Uint64(place))
	return data, err
}

// item returns an item of such a table, of size bytes.
func (f *FS) item(list uint64, index uint32, size int) (fields, error) {
	perChunk := metadataSize / size
	data, err := f.tableChunk(list, int(index)/perChunk)
	if err != nil {
		return nil, err
	}
	at := int(index) % perChunk * size
	if at+size > len(data) {
		return nil, corrupt("item %d of a table that is shorter", index)
	}
	return data[at : at+size], nil
}
