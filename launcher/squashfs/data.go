package squashfs

import (
	"encoding/binary"
	"io"
	"syscall"
)

// File is a file open for reading. It keeps the decoded inode, so that a read looks up nothing.
type File struct {
	f       *FS
	in      *inode
	blocks  int64 // how many blocks are not in a fragment block
	perMark int64 // how many blocks there are from one mark to the next
	marks   []mark
}

// mark is a place in a file's list of size words, together with the place of the data block whose
// word is there. A few marks suffice to find any block of a file of any size without keeping the
// list in memory.
type mark struct {
	chunk uint64 // place of the metadata chunk
	off   int    // in the chunk
	data  uint64 // place of the data block
}

// There is a mark every 1024 blocks. A file of more than 2^20 blocks has them further apart, so
// that the number of marks is bounded whatever size the image claims.
const (
	blocksPerMark = 1024
	maxMarks      = 1024
)

// OpenFile returns the content of a regular file.
func (f *FS) OpenFile(ref Ref) (*File, error) {
	in, err := f.inode(ref)
	if err != nil {
		return nil, err
	}
	if in.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return nil, syscall.EINVAL
	}
	bs := int64(f.sb.BlockSize)
	file := &File{f: f, in: in, blocks: in.Size / bs}
	if in.fragment == noFragment && in.Size%bs != 0 {
		file.blocks++
	}
	file.perMark = max(blocksPerMark, (file.blocks+maxMarks-1)/maxMarks)
	err = file.walk()
	file.in.rest = cursor{} // do not keep the metadata chunk that it holds
	return file, err
}

// walk reads the list of size words and sets the marks. Most files have a single mark. The metadata
// in the image bounds the list, whatever file size the image claims.
func (file *File) walk() error {
	c := file.in.rest
	file.marks = append(file.marks, mark{c.at, c.off, file.in.start})
	data := file.in.start
	for i := file.perMark; i < file.blocks; i += file.perMark {
		size, err := skipWords(&c, file.perMark)
		if err != nil {
			return err
		}
		data += size
		file.marks = append(file.marks, mark{c.at, c.off, data})
	}
	return nil
}

// skipWords skips the next n size words and returns the total size of their data blocks.
func skipWords(c *cursor, n int64) (size uint64, err error) {
	for n > 0 {
		raw, err := c.take(4 * int(min(n, blocksPerMark)))
		if err != nil {
			return 0, err
		}
		n -= int64(len(raw) / 4)
		for ; len(raw) > 0; raw = raw[4:] {
			size += uint64(binary.LittleEndian.Uint32(raw) &^ storedBlock)
		}
	}
	return size, nil
}

// locate returns the place and the size word of a block.
func (file *File) locate(i int64) (at uint64, word uint32, err error) {
	m := file.marks[i/file.perMark]
	c, err := file.f.cursor(m.chunk, 0, m.off)
	if err != nil {
		return 0, 0, err
	}
	size, err := skipWords(&c, i%file.perMark)
	if err != nil {
		return 0, 0, err
	}
	b, err := c.take(4)
	if err != nil {
		return 0, 0, err
	}
	return m.data + size, b.u32(), nil
}

// Size returns the size of the file in bytes.
func (file *File) Size() int64 { return file.in.Size }

// ReadAt implements io.ReaderAt.
func (file *File) ReadAt(p []byte, off int64) (int, error) {
	v, err := file.View(off, len(p))
	if err != nil {
		return 0, err
	}
	defer v.Release()
	done := 0
	for _, part := range v.Parts {
		done += copy(p[done:], part)
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// View is a part of a file's content, without a copy: its parts belong to the cache.
type View struct {
	Parts [][]byte // read only

	blocks *blockCache
	held   []*heldBlock
}

// Release ends the use of the parts. They must not be read afterwards.
func (v *View) Release() {
	for _, b := range v.held {
		v.blocks.release(b)
	}
	v.held = nil
}

// View returns n bytes of the content from an offset on, or fewer if the file ends before. The
// caller must release the view.
func (file *File) View(off int64, n int) (*View, error) {
	if off < 0 {
		return nil, syscall.EINVAL
	}
	v := &View{blocks: file.f.data}
	bs := int64(file.f.sb.BlockSize)
	for end := min(file.in.Size, off+int64(n)); off < end; {
		i := off / bs
		size := min(bs, file.in.Size-i*bs)
		want := min(size-off%bs, end-off)
		data, b, err := file.block(i, int(size))
		if err != nil {
			v.Release()
			return nil, err
		}
		if b != nil {
			v.held = append(v.held, b)
			v.Parts = append(v.Parts, data[off%bs:][:want])
		} else {
			v.addZeros(int(want))
		}
		off += want
	}
	return v, nil
}

// zeros is the content of holes.
var zeros [16 << 10]byte //nolint:gochecknoglobals // constant, and too large to make for each hole

func (v *View) addZeros(n int) {
	for n > 0 {
		part := zeros[:min(n, len(zeros))]
		v.Parts = append(v.Parts, part)
		n -= len(part)
	}
}

// block returns the content of a block of size bytes, and the cached block that holds it. Both are
// nil for a hole.
func (file *File) block(i int64, size int) ([]byte, *heldBlock, error) {
	if i >= file.blocks {
		return file.tail(size)
	}
	at, word, err := file.locate(i)
	if err != nil || word == 0 {
		return nil, nil, err
	}
	b, err := file.f.dataBlock(at, word)
	if err != nil {
		return nil, nil, err
	}
	if len(b.data) != size {
		defer file.f.data.release(b)
		return nil, nil, corrupt("a block of %d bytes instead of %d", len(b.data), size)
	}
	return b.data, b, nil
}

// tail returns the part of a file that is in a fragment block.
func (file *File) tail(size int) ([]byte, *heldBlock, error) {
	f, in := file.f, file.in
	if in.fragment >= f.sb.Fragments {
		return nil, nil, corrupt("fragment %d of %d", in.fragment, f.sb.Fragments)
	}
	item, err := f.item(f.sb.FragmentTable, in.fragment, fragmentSize)
	if err != nil {
		return nil, nil, err
	}
	b, err := f.dataBlock(item.u64(), item.u32())
	if err != nil {
		return nil, nil, err
	}
	if in.offset > len(b.data) || size > len(b.data)-in.offset {
		defer f.data.release(b)
		return nil, nil, corrupt("a tail beyond its fragment")
	}
	return b.data[in.offset : in.offset+size], b, nil
}

// dataBlock returns a data block or fragment block. The caller must release it.
func (f *FS) dataBlock(at uint64, word uint32) (*heldBlock, error) {
	return f.data.get(at, func(buf []byte) ([]byte, error) {
		const what = "a data block"
		size := word &^ storedBlock
		if size == 0 || size > f.sb.BlockSize || !f.inside(at, uint64(size)) {
			return nil, corrupt("a data block of %d bytes at %d", size, at)
		}
		if word&storedBlock != 0 {
			return f.readPiece(at, int(size), true, buf, what)
		}
		packed := f.packed.Get().(*[]byte)
		defer f.packed.Put(packed)
		raw, err := f.readPiece(at, int(size), true, *packed, what)
		if err != nil {
			return nil, err
		}
		return f.inflate(buf, raw, int(f.sb.BlockSize))
	})
}

// ReadAt reads from a regular file, like io.ReaderAt.
func (f *FS) ReadAt(ref Ref, p []byte, off int64) (int, error) {
	file, err := f.OpenFile(ref)
	if err != nil {
		return 0, err
	}
	return file.ReadAt(p, off)
}
