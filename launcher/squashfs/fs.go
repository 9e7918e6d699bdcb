package squashfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Ref names an inode: where it stands in the inode table.
type Ref uint64

func (r Ref) block() uint64 { return uint64(r) >> 16 }
func (r Ref) offset() int   { return int(r & 0xffff) }

// FS is a file system open for reading. Its methods may be called concurrently. It trusts nothing that it reads: a damaged or
// hostile image gives errors that wrap ErrCorrupt.
type FS struct {
	r       io.ReaderAt
	sb      superblock
	inflate decompressor
	meta    *cache // metadata chunks by their place in the file
	data    *cache // data blocks and fragments by their place in the file

	ids       func() ([]uint32, error)
	fragments func() ([]uint64, error) // places of the fragment table's chunks
	xattrs    func() (xattrTable, error)
}

// Sizes of the caches, in bytes. Metadata of a whole system image is about 4 MiB uncompressed.
const (
	metaCacheSize = 8 << 20
	dataCacheSize = 32 << 20
)

// Open reads the superblock of a file system that begins at the start of r.
func Open(r io.ReaderAt) (*FS, error) {
	raw := make([]byte, superblockSize)
	if _, err := r.ReadAt(raw, 0); err != nil {
		return nil, short(err, "the superblock")
	}
	f := &FS{r: r, meta: newCache(metaCacheSize), data: newCache(dataCacheSize)}
	if _, err := binary.Decode(raw, binary.LittleEndian, &f.sb); err != nil {
		return nil, err
	}
	if err := f.sb.check(); err != nil {
		return nil, err
	}
	var err error
	if f.inflate, err = newDecompressor(f.sb.Compression); err != nil {
		return nil, err
	}
	f.ids = sync.OnceValues(f.readIDs)
	f.fragments = sync.OnceValues(func() ([]uint64, error) {
		return f.tablePointers(f.sb.FragmentTable, int(f.sb.Fragments), fragmentSize)
	})
	f.xattrs = sync.OnceValues(f.readXattrTable)
	return f, nil
}

func (s *superblock) check() error {
	switch {
	case s.Magic != magic:
		return corrupt("it does not begin with a superblock")
	case s.Major != 4 || s.Minor != 0:
		return fmt.Errorf("SquashFS %d.%d is not supported, 4.0 is", s.Major, s.Minor)
	case s.BlockSize < minBlockSize || s.BlockSize > maxBlockSize || s.BlockSize != 1<<s.BlockLog:
		return corrupt("a block size of %d bytes", s.BlockSize)
	case s.InodeTable < superblockSize || s.DirTable <= s.InodeTable || s.IDTable <= s.DirTable || s.Used < s.IDTable || s.Used > 1<<62:
		return corrupt("its tables are out of order")
	case s.Inodes == 0 || s.IDs == 0:
		return corrupt("it has no inodes or no ids")
	}
	return nil
}

// Size returns the number of bytes that the file system uses.
func (f *FS) Size() int64 { return int64(f.sb.Used) }

// Inodes returns how many inodes there are.
func (f *FS) Inodes() uint32 { return f.sb.Inodes }

// BlockSize returns the size of a data block.
func (f *FS) BlockSize() uint32 { return f.sb.BlockSize }

// Root returns the root directory.
func (f *FS) Root() Ref { return f.sb.Root }

func short(err error, what string) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return corrupt("the file is cut short: it ends before %s", what)
	}
	return fmt.Errorf("reading %s: %w", what, err)
}

// chunk returns the metadata chunk at a place in the file, inflated, and the place of the next one.
func (f *FS) chunk(at uint64) (data []byte, next uint64, err error) {
	b, err := f.meta.get(at, func() (block, error) { return f.readChunk(at) })
	return b.data, b.next, err
}

func (f *FS) readChunk(at uint64) (block, error) {
	var head [2]byte
	if at >= f.sb.Used {
		return block{}, corrupt("metadata at %d is outside of it", at)
	}
	if _, err := f.r.ReadAt(head[:], int64(at)); err != nil {
		return block{}, short(err, "a metadata chunk")
	}
	word := binary.LittleEndian.Uint16(head[:])
	size := word &^ storedMetadata
	if size == 0 || size > metadataSize {
		return block{}, corrupt("a metadata chunk of %d bytes", size)
	}
	raw := make([]byte, size)
	if _, err := f.r.ReadAt(raw, int64(at)+2); err != nil {
		return block{}, short(err, "a metadata chunk")
	}
	next := at + 2 + uint64(size)
	if word&storedMetadata != 0 {
		return block{raw, next}, nil
	}
	data, err := f.inflate(raw, metadataSize)
	return block{data, next}, err
}

// cursor reads metadata from a place on, across chunks.
type cursor struct {
	f    *FS
	next uint64
	rest []byte
}

func (f *FS) cursor(table, chunk uint64, offset int) (*cursor, error) {
	at := table + chunk
	if at < table {
		return nil, corrupt("a reference to chunk %d", chunk)
	}
	data, next, err := f.chunk(at)
	if err != nil {
		return nil, err
	}
	if offset > len(data) {
		return nil, corrupt("a reference to offset %d of a chunk of %d bytes", offset, len(data))
	}
	return &cursor{f, next, data[offset:]}, nil
}

func (c *cursor) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		data, next, err := c.f.chunk(c.next)
		if err != nil {
			return 0, err
		}
		c.rest, c.next = data, next
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// bytes reads n bytes. Callers bound n.
func (c *cursor) bytes(n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(c, b)
	return b, err
}

// decode reads a struct of fixed size.
func (c *cursor) decode(v any) error {
	b, err := c.bytes(binary.Size(v))
	if err != nil {
		return err
	}
	_, err = binary.Decode(b, binary.LittleEndian, v)
	return err
}

// tablePointers returns where the chunks of a table of count items stand.
func (f *FS) tablePointers(start uint64, count, itemSize int) ([]uint64, error) {
	if count == 0 {
		return nil, nil
	}
	n := (count*itemSize + metadataSize - 1) / metadataSize
	if start > f.sb.Used || uint64(n)*8 > f.sb.Used-start {
		return nil, corrupt("a table of %d items at %d is outside of it", count, start)
	}
	raw := make([]byte, n*8)
	if _, err := f.r.ReadAt(raw, int64(start)); err != nil {
		return nil, short(err, "a table")
	}
	pointers := make([]uint64, n)
	for i := range pointers {
		pointers[i] = binary.LittleEndian.Uint64(raw[i*8:])
	}
	return pointers, nil
}

// item returns one item of a table whose chunks are at pointers.
func (f *FS) item(pointers []uint64, index, itemSize int) ([]byte, error) {
	perChunk := metadataSize / itemSize
	if index/perChunk >= len(pointers) {
		return nil, corrupt("item %d of a table that is shorter", index)
	}
	data, _, err := f.chunk(pointers[index/perChunk])
	if err != nil {
		return nil, err
	}
	at := index % perChunk * itemSize
	if at+itemSize > len(data) {
		return nil, corrupt("item %d of a table that is shorter", index)
	}
	return data[at : at+itemSize], nil
}

func (f *FS) readIDs() ([]uint32, error) {
	pointers, err := f.tablePointers(f.sb.IDTable, int(f.sb.IDs), 4)
	if err != nil {
		return nil, err
	}
	ids := make([]uint32, f.sb.IDs)
	for i := range ids {
		raw, err := f.item(pointers, i, 4)
		if err != nil {
			return nil, err
		}
		ids[i] = binary.LittleEndian.Uint32(raw)
	}
	return ids, nil
}

func (f *FS) id(index uint16) (uint32, error) {
	ids, err := f.ids()
	if err != nil {
		return 0, err
	}
	if int(index) >= len(ids) {
		return 0, corrupt("id %d of %d", index, len(ids))
	}
	return ids[index], nil
}

// cut returns the string before the first NUL; names in the format carry none, but it costs nothing to be sure.
func validName(b []byte) bool {
	return len(b) > 0 && bytes.IndexByte(b, 0) < 0 && bytes.IndexByte(b, '/') < 0 && string(b) != "." && string(b) != ".."
}
