package squashfs

import (
	"encoding/binary"
	"io"

	"golang.org/x/sys/unix"
)

const fragmentSize = 16

// File is a file open for reading. It keeps the decoded inode, so that reading costs no look-up.
type File struct {
	f  *FS
	in *inode
	at []uint64 // place of each block
}

// OpenFile returns the content of a regular file.
func (f *FS) OpenFile(ref Ref) (*File, error) {
	in, err := f.inode(ref)
	if err != nil {
		return nil, err
	}
	if in.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, unix.EINVAL
	}
	file := &File{f: f, in: in, at: make([]uint64, len(in.blocks))}
	at := in.start
	for i, word := range in.blocks {
		file.at[i] = at
		at += uint64(word &^ storedBlock)
	}
	return file, nil
}

// Size returns the size of the file in bytes.
func (file *File) Size() int64 { return file.in.Size }

// ReadAt is as io.ReaderAt says.
func (file *File) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, unix.EINVAL
	}
	done := 0
	for done < len(p) && off < file.in.Size {
		bs := int64(file.f.sb.BlockSize)
		data, err := file.block(int(off / bs))
		if err != nil {
			return done, err
		}
		size := min(bs, file.in.Size-off/bs*bs) // of this block
		want := p[done:min(len(p), done+int(size-off%bs))]
		n := 0
		if off%bs < int64(len(data)) {
			n = copy(want, data[off%bs:])
		}
		clear(want[n:]) // a hole, or the zeros at the end of a block
		done += len(want)
		off += int64(len(want))
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// block returns the content of a block, nil for a hole. It may be shorter than the block: the rest is zeros.
func (file *File) block(i int) ([]byte, error) {
	if i >= len(file.in.blocks) {
		return file.tail()
	}
	word := file.in.blocks[i]
	if word == 0 {
		return nil, nil
	}
	return file.f.dataBlock(file.at[i], word)
}

// tail returns what a file keeps in a fragment block.
func (file *File) tail() ([]byte, error) {
	f := file.f
	pointers, err := f.fragments()
	if err != nil {
		return nil, err
	}
	if file.in.fragment >= f.sb.Fragments {
		return nil, corrupt("fragment %d of %d", file.in.fragment, f.sb.Fragments)
	}
	raw, err := f.item(pointers, int(file.in.fragment), fragmentSize)
	if err != nil {
		return nil, err
	}
	data, err := f.dataBlock(binary.LittleEndian.Uint64(raw), binary.LittleEndian.Uint32(raw[8:]))
	if err != nil {
		return nil, err
	}
	end := file.in.offset + int(file.in.Size%int64(f.sb.BlockSize))
	if file.in.offset < 0 || end > len(data) {
		return nil, corrupt("a tail beyond its fragment")
	}
	return data[file.in.offset:end], nil
}

func (f *FS) dataBlock(at uint64, word uint32) ([]byte, error) {
	b, err := f.data.get(at, func() (block, error) {
		size := word &^ storedBlock
		if size == 0 || size > f.sb.BlockSize || at > f.sb.Used {
			return block{}, corrupt("a data block of %d bytes at %d", size, at)
		}
		raw := make([]byte, size)
		if _, err := f.r.ReadAt(raw, int64(at)); err != nil {
			return block{}, short(err, "a data block")
		}
		if word&storedBlock != 0 {
			return block{data: raw}, nil
		}
		data, err := f.inflate(raw, int(f.sb.BlockSize))
		return block{data: data}, err
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
