package squashfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
)

// FS is a file system open for reading. Its methods may be called concurrently. It trusts nothing
// that it reads: a damaged or hostile image gives errors that wrap ErrCorrupt, and it uses no more
// memory than the caches and one answer take.
type FS struct {
	r       io.ReaderAt
	sums    *Sums // nil if it has no checksums
	sb      superblock
	inflate inflater
	meta    *chunkCache // metadata chunks by their place in the file
	data    *blockCache // data blocks and fragment blocks by their place in the file
	packed  sync.Pool   // of *[]byte, buffers for compressed blocks

	damage atomic.Pointer[error] // the first damage that the checksums showed

	ids    func() ([]uint32, error)
	xattrs func() (xattrTable, error)
}

// Sizes of the caches, in bytes. They are small because the kernel's page cache keeps what was
// read. They need to hold what is used next: the neighbours of a file in its fragment block, the
// other half of a block, the inodes of a directory.
const (
	metaCacheSize = 2 << 20
	dataCacheSize = 6 << 20
)

// Open reads the superblock of a file system that begins at the start of r. It reads everything
// else on demand.
func Open(r io.ReaderAt) (*FS, error) { return OpenChecked(r, nil) }

// OpenChecked is Open for a file system with checksums: each piece is compared with its checksum
// whenever it is read from r. If they differ, the error wraps ErrCorrupt. sums may be nil.
func OpenChecked(r io.ReaderAt, sums *Sums) (*FS, error) {
	f := &FS{r: r, sums: sums, meta: newChunkCache(metaCacheSize)}
	raw, err := f.read(0, superblockSize, "the superblock")
	if err != nil {
		return nil, err
	}
	if _, err := binary.Decode(raw, binary.LittleEndian, &f.sb); err != nil {
		return nil, err
	}
	if err := f.sb.check(); err != nil {
		return nil, err
	}
	// If the last byte exists, Used bounds every size and place.
	if _, err := f.load(f.sb.Used-1, 1, nil, "its last byte"); err != nil {
		return nil, err
	}
	if sums != nil && sums.end != f.sb.Used {
		return nil, corrupt("its checksums are those of %d bytes, and it has %d",
			sums.end, f.sb.Used)
	}
	if f.inflate, err = newInflater(f.sb.Compression); err != nil {
		return nil, err
	}
	f.packed.New = func() any { b := make([]byte, max(f.sb.BlockSize, 2+metadataSize)); return &b }
	f.data = newBlockCache(dataCacheSize, int(f.sb.BlockSize)+inflateSpare)
	f.ids = sync.OnceValues(f.readIDs)
	f.xattrs = sync.OnceValues(f.readXattrTable)
	return f, nil
}

// Limit sets the sizes of the caches, in bytes. It must be called before the first read.
func (f *FS) Limit(meta, data int) {
	f.meta, f.data = newChunkCache(meta), newBlockCache(data, int(f.sb.BlockSize)+inflateSpare)
}

// Forget empties the caches.
func (f *FS) Forget() {
	f.meta.forget()
	f.data.forget()
}

// Size returns the number of bytes that the file system uses.
func (f *FS) Size() int64 { return int64(f.sb.Used) }

// Inodes returns how many inodes there are.
func (f *FS) Inodes() uint32 { return f.sb.Inodes }

// BlockSize returns the size of a data block.
func (f *FS) BlockSize() uint32 { return f.sb.BlockSize }

// Root returns the root directory.
func (f *FS) Root() Ref { return f.sb.Root }

// read reads n bytes of one piece of the file. Callers bound n.
func (f *FS) read(at uint64, n int, what string) ([]byte, error) {
	if f.sums == nil {
		return f.load(at, n, nil, what)
	}
	start, p, ok := f.sums.find(at)
	skip := at - start
	if !ok || uint64(n) > uint64(p.size)-skip {
		return nil, f.noPiece(at, what)
	}
	raw, err := f.loadPiece(start, p, nil, what)
	if err != nil {
		return nil, err
	}
	return raw[skip:][:n], nil
}

// readPiece reads the piece at a place. It has n bytes, or up to n if exact is false. The piece is
// read into buf if that is large enough.
func (f *FS) readPiece(at uint64, n int, exact bool, buf []byte, what string) ([]byte, error) {
	if f.sums == nil {
		return f.load(at, n, buf, what)
	}
	start, p, ok := f.sums.find(at)
	if !ok || start != at || p.size > uint32(n) || exact && p.size != uint32(n) {
		return nil, f.noPiece(at, what)
	}
	return f.loadPiece(at, p, buf, what)
}

func (f *FS) noPiece(at uint64, what string) error {
	return f.damaged(corrupt("by its checksums, %s is not where it should be, at %d", what, at))
}

// damaged records an error as damage, if it is the first, and returns it.
func (f *FS) damaged(err error) error {
	f.damage.CompareAndSwap(nil, &err)
	return err
}

// Damage returns the first damage that was found since the file system was opened, or nil. It is
// always nil without checksums: only they tell damage from an image that was built this way.
func (f *FS) Damage() error {
	if err := f.damage.Load(); err != nil {
		return *err
	}
	return nil
}

func (f *FS) loadPiece(at uint64, p sum, buf []byte, what string) ([]byte, error) {
	raw, err := f.load(at, int(p.size), buf, what)
	if err == nil && castagnoli(raw) != p.crc {
		return nil, f.damaged(corrupt("%s at %d has a wrong checksum", what, at))
	}
	return raw, err
}

// load reads n bytes without a check, into buf if that is large enough.
func (f *FS) load(at uint64, n int, buf []byte, what string) ([]byte, error) {
	if n > cap(buf) {
		buf = make([]byte, n)
	}
	raw := buf[:n]
	switch got, err := f.r.ReadAt(raw, int64(at)); {
	case got == n:
		return raw, nil // if there is an error as well, it is the end of the file after these bytes
	case err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return nil, corrupt("the file is cut short: it ends before %s", what)
	default:
		return nil, fmt.Errorf("%w %s: %w", ErrRead, what, err)
	}
}

// inside tells whether the n bytes at a place are inside the file system.
func (f *FS) inside(at, n uint64) bool { return at <= f.sb.Used && n <= f.sb.Used-at }

func (f *FS) readIDs() ([]uint32, error) {
	const perChunk = metadataSize / 4
	ids := make([]uint32, 0, f.sb.IDs)
	for i := 0; i < int(f.sb.IDs); i += perChunk {
		data, err := f.tableChunk(f.sb.IDTable, i/perChunk)
		if err != nil {
			return nil, err
		}
		n := min(perChunk, int(f.sb.IDs)-i)
		if len(data) < 4*n {
			return nil, corrupt("the table of ids is shorter than %d", f.sb.IDs)
		}
		for rest := fields(data[:4*n]); len(rest) > 0; {
			ids = append(ids, rest.u32())
		}
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
