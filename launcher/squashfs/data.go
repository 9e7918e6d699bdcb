package squashfs

import (
	"encoding/binary"
	"io"
	"syscall"
)

// File is a file open for reading. It keeps the decoded inode, so that reading costs no look-up.
type File struct {
	f     *FS
	in    *inode
	full  int64  // blocks that are not in a fragment
	marks []mark // at every blocksPerMark-th block
}

// mark is a place in a file's list of size words, and of the data block whose word stands there. A few of them find any
// block of a file of any size without holding the list in memory.
type mark struct {
	chunk uint64 // place of the metadata chunk
	off   int    // in the chunk
	data  uint64
}

const blocksPerMark = 1024

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
	file := &File{f: f, in: in, full: in.Size / bs}
	if in.fragment == noFragment && in.Size%bs != 0 {
		file.full++
	}
	return file, file.walk()
}

// walk goes through the list of size words and sets the marks. Most files end before the second. The list is as long as
// there is metadata to read it from, whatever the size of the file is said to be.
func (file *File) walk() error {
	c := file.in.behind
	file.marks = append(file.marks, mark{c.at, c.off, file.in.start})
	data := file.in.start
	for i := int64(blocksPerMark); i < file.full; i += blocksPerMark {
		size, err := skipWords(&c, blocksPerMark)
		if err != nil {
			return err
		}
		data += size
		file.marks = append(file.marks, mark{c.at, c.off, data})
	}
	return nil
}

// skipWords returns the size of the next n data blocks together.
func skipWords(c *cursor, n int) (size uint64, err error) {
	raw, err := c.take(4 * n)
	for ; len(raw) > 0; raw = raw[4:] {
		size += uint64(binary.LittleEndian.Uint32(raw) &^ storedBlock)
	}
	return size, err
}

// locate returns the place and the size word of a block.
func (file *File) locate(i int64) (at uint64, word uint32, err error) {
	m := file.marks[i/blocksPerMark]
	c, err := file.f.cursor(m.chunk, 0, m.off)
	if err != nil {
		return 0, 0, err
	}
	size, err := skipWords(&c, int(i%blocksPerMark))
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

// ReadAt is as io.ReaderAt says.
func (file *File) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, syscall.EINVAL
	}
	done := 0
	for bs := int64(file.f.sb.BlockSize); done < len(p) && off < file.in.Size; {
		i := off / bs
		size := min(bs, file.in.Size-i*bs)
		data, err := file.block(i, int(size))
		if err != nil {
			return done, err
		}
		want := p[done:min(len(p), done+int(size-off%bs))]
		if data == nil {
			clear(want)
		} else {
			copy(want, data[off%bs:])
		}
		done += len(want)
		off += int64(len(want))
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// block returns the content of a block of size bytes, nil for a hole.
func (file *File) block(i int64, size int) ([]byte, error) {
	if i >= file.full {
		return file.tail(size)
	}
	at, word, err := file.locate(i)
	if err != nil || word == 0 {
		return nil, err
	}
	data, err := file.f.dataBlock(at, word)
	if err == nil && len(data) != size {
		return nil, corrupt("a block of %d bytes instead of %d", len(data), size)
	}
	return data, err
}

// tail returns what a file keeps in a fragment block.
func (file *File) tail(size int) ([]byte, error) {
	f, in := file.f, file.in
	if in.fragment >= f.sb.Fragments {
		return nil, corrupt("fragment %d of %d", in.fragment, f.sb.Fragments)
	}
	b, err := f.item(f.sb.FragmentTable, in.fragment, fragmentSize)
	if err != nil {
		return nil, err
	}
	data, err := f.dataBlock(b.u64(), b.u32())
	if err != nil {
		return nil, err
	}
	if in.offset > len(data) || size > len(data)-in.offset {
		return nil, corrupt("a tail beyond its fragment")
	}
	return data[in.offset : in.offset+size], nil
}

// dataBlock returns a data block or fragment block.
func (f *FS) dataBlock(at uint64, word uint32) ([]byte, error) {
	b, err := f.data.get(at, func() (block, error) {
		size := word &^ storedBlock
		if size == 0 || size > f.sb.BlockSize || !f.inside(at, uint64(size)) {
			return block{}, corrupt("a data block of %d bytes at %d", size, at)
		}
		raw, err := f.readPiece(at, int(size), true, "a data block")
		if err == nil && word&storedBlock == 0 {
			raw, err = f.inflate(raw, int(f.sb.BlockSize))
		}
		return block{data: raw}, err
	})
	return b.data, err
}

// ReadAt reads from a regular file, as io.ReaderAt says.
func (f *FS) ReadAt(ref Ref, p []byte, off int64) (int, error) {
	file, err := f.OpenFile(ref)
	if err != nil {
		return 0, err
	}
	return file.ReadAt(p, off)
}
