package squashfs

import (
	"fmt"
	"math"
	"syscall"
)

// Attr holds the attributes of an inode.
type Attr struct {
	Ref     Ref
	Inode   uint32 // number of the inode, from 1
	Parent  uint32 // directories: number of the parent; more than Inodes for the root
	Mode    uint32 // as st_mode: type and permissions
	UID     uint32
	GID     uint32
	Size    int64 // files: bytes; symlinks: length of the target; directories: what stat shows
	ModTime int64 // seconds since 1970
	Nlink   uint32
	Major   uint32 // devices
	Minor   uint32
}

// IsDir tells whether the inode is a directory.
func (a Attr) IsDir() bool { return a.Mode&syscall.S_IFMT == syscall.S_IFDIR }

// inode is a decoded inode, with what is needed to find its content.
type inode struct {
	Attr
	start    uint64 // files: place of the first data block; directories: chunk of the listing
	offset   int    // directories: offset in the chunk; files: offset in the fragment
	fragment uint32 // files
	target   string // symlinks
	indexes  int    // directories: how many index entries follow the inode
	xattr    uint32
	rest     cursor // after the inode: the size words of a file, the index of a directory
}

// inodeHead is the beginning of every inode.
type inodeHead struct {
	Type    uint16
	Mode    uint16
	UID     uint16
	GID     uint16
	ModTime uint32
	Number  uint32
}

const inodeHeadSize = 16

func (f *FS) inode(ref Ref) (*inode, error) {
	c, err := f.cursor(f.sb.InodeTable, ref.block(), ref.offset())
	if err == nil {
		var in *inode
		if in, err = f.decodeInode(c); err == nil {
			in.Ref = ref
			return in, nil
		}
	}
	return nil, fmt.Errorf("inode %#x: %w", uint64(ref), err)
}

func (f *FS) decodeInode(c cursor) (*inode, error) {
	b, err := c.take(inodeHeadSize)
	if err != nil {
		return nil, err
	}
	h := inodeHead{b.u16(), b.u16(), b.u16(), b.u16(), b.u32(), b.u32()}
	in := &inode{xattr: noXattr, fragment: noFragment}
	in.Inode, in.ModTime, in.Nlink = h.Number, int64(h.ModTime), 1
	if in.UID, err = f.id(h.UID); err != nil {
		return nil, err
	}
	if in.GID, err = f.id(h.GID); err != nil {
		return nil, err
	}
	basic, extended := h.Type, h.Type > typeExtended
	if extended {
		basic -= typeExtended
	}
	kind := modeOf(basic)
	if kind == 0 {
		return nil, corrupt("an inode of type %d", h.Type)
	}
	in.Mode = kind | uint32(h.Mode&0o7777)
	switch basic {
	case typeDir:
		err = in.decodeDir(&c, extended)
	case typeFile:
		err = in.decodeFile(&c, extended)
	case typeSymlink:
		err = in.decodeSymlink(&c, extended)
	default:
		err = in.decodeSpecial(&c, basic, extended)
	}
	in.rest = c
	return in, err
}

func (in *inode) decodeDir(c *cursor, extended bool) error {
	if !extended {
		b, err := c.take(16)
		if err != nil {
			return err
		}
		in.start, in.Nlink = uint64(b.u32()), b.u32()
		in.Size, in.offset, in.Parent = int64(b.u16()), int(b.u16()), b.u32()
		return nil
	}
	b, err := c.take(24)
	if err != nil {
		return err
	}
	in.Nlink, in.Size, in.start, in.Parent = b.u32(), int64(b.u32()), uint64(b.u32()), b.u32()
	in.indexes, in.offset, in.xattr = int(b.u16()), int(b.u16()), b.u32()
	return nil
}

func (in *inode) decodeFile(c *cursor, extended bool) error {
	if !extended {
		b, err := c.take(16)
		if err != nil {
			return err
		}
		in.start, in.fragment = uint64(b.u32()), b.u32()
		in.offset, in.Size = int(b.u32()), int64(b.u32())
		return nil
	}
	b, err := c.take(40)
	if err != nil {
		return err
	}
	in.start = b.u64()
	size, _ := b.u64(), b.u64() // the second number is the total size of holes
	in.Nlink, in.fragment, in.offset, in.xattr = b.u32(), b.u32(), int(b.u32()), b.u32()
	if size > math.MaxInt64 {
		return corrupt("a file of %d bytes", size)
	}
	in.Size = int64(size)
	return nil
}

func (in *inode) decodeSymlink(c *cursor, extended bool) error {
	b, err := c.take(8)
	if err != nil {
		return err
	}
	in.Nlink = b.u32()
	size := b.u32()
	if size == 0 || size > maxSymlink {
		return corrupt("a symlink of %d bytes", size)
	}
	target, err := c.take(int(size))
	if err != nil {
		return err
	}
	in.Size, in.target = int64(size), string(target)
	return in.decodeXattr(c, extended)
}

func (in *inode) decodeSpecial(c *cursor, basic uint16, extended bool) error {
	b, err := c.take(4)
	if err != nil {
		return err
	}
	in.Nlink = b.u32()
	if basic == typeBlock || basic == typeChar {
		if b, err = c.take(4); err != nil {
			return err
		}
		// As the kernel's new_encode_dev: minor's low byte, 12 bits of major, the rest of minor.
		dev := b.u32()
		in.Major, in.Minor = dev>>8&0xfff, dev&0xff|dev>>12&0xfff00
	}
	return in.decodeXattr(c, extended)
}

func (in *inode) decodeXattr(c *cursor, extended bool) error {
	if !extended {
		return nil
	}
	b, err := c.take(4)
	if err == nil {
		in.xattr = b.u32()
	}
	return err
}

// Stat returns the attributes of an inode.
func (f *FS) Stat(ref Ref) (Attr, error) {
	in, err := f.inode(ref)
	if err != nil {
		return Attr{}, err
	}
	return in.Attr, nil
}
