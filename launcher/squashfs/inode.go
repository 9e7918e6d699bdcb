package squashfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"
)

// Attr is what an inode says of itself.
type Attr struct {
	Ref     Ref
	Inode   uint32 // number of the inode, from 1
	Parent  uint32 // directories: number of the directory that holds it; beyond Inodes for the root
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
func (a Attr) IsDir() bool { return a.Mode&unix.S_IFMT == unix.S_IFDIR }

// inode is a decoded inode, with what finding its content takes.
type inode struct {
	Attr
	start    uint64   // files: place of the first data block; directories: chunk of the listing
	offset   int      // directories: offset in the chunk; files: offset in the fragment
	fragment uint32   // files
	blocks   []uint32 // files: size word of each block
	target   string
	xattr    uint32
}

type inodeHead struct {
	Type    uint16
	Mode    uint16
	UID     uint16
	GID     uint16
	ModTime uint32
	Number  uint32
}

// maxFileBlocks bounds the block list of one file: 4 TiB in blocks of the smallest size is more than any image.
const maxFileBlocks = 1 << 30

func (f *FS) inode(ref Ref) (*inode, error) {
	c, err := f.cursor(f.sb.InodeTable, ref.block(), ref.offset())
	if err != nil {
		return nil, fmt.Errorf("inode %#x: %w", uint64(ref), err)
	}
	in, err := f.decodeInode(c)
	if err != nil {
		return nil, fmt.Errorf("inode %#x: %w", uint64(ref), err)
	}
	in.Ref = ref
	return in, nil
}

func (f *FS) decodeInode(c *cursor) (*inode, error) {
	var h inodeHead
	if err := c.decode(&h); err != nil {
		return nil, err
	}
	in := &inode{xattr: noXattr, fragment: noFragment}
	in.Inode, in.ModTime, in.Nlink = h.Number, int64(h.ModTime), 1
	var err error
	if in.UID, err = f.id(h.UID); err != nil {
		return nil, err
	}
	if in.GID, err = f.id(h.GID); err != nil {
		return nil, err
	}
	modes := map[uint16]uint32{
		typeDir: unix.S_IFDIR, typeFile: unix.S_IFREG, typeSymlink: unix.S_IFLNK, typeBlock: unix.S_IFBLK,
		typeChar: unix.S_IFCHR, typeFifo: unix.S_IFIFO, typeSocket: unix.S_IFSOCK,
	}
	basic, extended := h.Type, false
	if basic > typeExtended {
		basic, extended = basic-typeExtended, true
	}
	kind, ok := modes[basic]
	if !ok {
		return nil, corrupt("an inode of type %d", h.Type)
	}
	in.Mode = kind | uint32(h.Mode&0o7777)
	switch basic {
	case typeDir:
		err = in.decodeDir(c, extended)
	case typeFile:
		err = f.decodeFile(c, in, extended)
	case typeSymlink:
		err = in.decodeSymlink(c, extended)
	default:
		err = in.decodeSpecial(c, basic, extended)
	}
	return in, err
}

func (in *inode) decodeDir(c *cursor, extended bool) error {
	if extended {
		var d struct {
			Nlink, Size, Start, Parent uint32
			Indexes, Offset            uint16
			Xattr                      uint32
		}
		err := c.decode(&d)
		in.Nlink, in.Size, in.start, in.Parent, in.offset, in.xattr = d.Nlink, int64(d.Size), uint64(d.Start), d.Parent, int(d.Offset), d.Xattr
		return err
	}
	var d struct {
		Start, Nlink uint32
		Size, Offset uint16
		Parent       uint32
	}
	err := c.decode(&d)
	in.Nlink, in.Size, in.start, in.Parent, in.offset = d.Nlink, int64(d.Size), uint64(d.Start), d.Parent, int(d.Offset)
	return err
}

func (f *FS) decodeFile(c *cursor, in *inode, extended bool) error {
	if extended {
		var d struct {
			Start, Size, Sparse            uint64
			Nlink, Fragment, Offset, Xattr uint32
		}
		if err := c.decode(&d); err != nil {
			return err
		}
		in.start, in.Size, in.Nlink, in.fragment, in.offset, in.xattr = d.Start, int64(d.Size), d.Nlink, d.Fragment, int(d.Offset), d.Xattr
	} else {
		var d struct{ Start, Fragment, Offset, Size uint32 }
		if err := c.decode(&d); err != nil {
			return err
		}
		in.start, in.Size, in.fragment, in.offset = uint64(d.Start), int64(d.Size), d.Fragment, int(d.Offset)
	}
	bs := int64(f.sb.BlockSize)
	if in.Size < 0 || in.Size/bs >= maxFileBlocks {
		return corrupt("a file of %d bytes", uint64(in.Size))
	}
	n := in.Size / bs
	if in.fragment == noFragment && in.Size%bs != 0 {
		n++
	}
	// A list cannot be longer than the metadata that could hold it: chunks inflate to at most 8 KiB from at least 3 bytes.
	if uint64(n)*4 > (f.sb.DirTable-f.sb.InodeTable)/3*metadataSize+metadataSize {
		return corrupt("a file of %d blocks", n)
	}
	for n > 0 {
		part := min(n, metadataSize)
		raw, err := c.bytes(int(part) * 4)
		if err != nil {
			return err
		}
		for i := range int(part) {
			in.blocks = append(in.blocks, binary.LittleEndian.Uint32(raw[i*4:]))
		}
		n -= part
	}
	return nil
}

func (in *inode) decodeSymlink(c *cursor, extended bool) error {
	var d struct{ Nlink, Size uint32 }
	if err := c.decode(&d); err != nil {
		return err
	}
	if d.Size == 0 || d.Size > maxSymlink {
		return corrupt("a symlink of %d bytes", d.Size)
	}
	target, err := c.bytes(int(d.Size))
	if err != nil {
		return err
	}
	in.Nlink, in.Size, in.target = d.Nlink, int64(d.Size), string(target)
	if extended {
		err = c.decode(&in.xattr)
	}
	return err
}

func (in *inode) decodeSpecial(c *cursor, basic uint16, extended bool) error {
	if err := c.decode(&in.Nlink); err != nil {
		return err
	}
	if basic == typeBlock || basic == typeChar {
		var rdev uint32
		if err := c.decode(&rdev); err != nil {
			return err
		}
		in.Major, in.Minor = rdev>>8&0xfff, rdev&0xff|rdev>>12&0xfff00
	}
	if extended {
		return c.decode(&in.xattr)
	}
	return nil
}

// Stat returns the attributes of an inode.
func (f *FS) Stat(ref Ref) (Attr, error) {
	in, err := f.inode(ref)
	if err != nil {
		return Attr{}, err
	}
	return in.Attr, nil
}

// Readlink returns the target of a symlink.
func (f *FS) Readlink(ref Ref) (string, error) {
	in, err := f.inode(ref)
	if err != nil {
		return "", err
	}
	if in.Mode&unix.S_IFMT != unix.S_IFLNK {
		return "", fs.ErrInvalid
	}
	return in.target, nil
}

// maxLinks bounds the symlinks that Resolve follows, as the kernel does.
const maxLinks = 40

// Resolve returns the inode at a path, following symlinks inside of the file system: an absolute target begins at its root,
// and nothing leads above it. The error wraps fs.ErrNotExist where there is no such file.
func (f *FS) Resolve(path string) (Ref, error) {
	parents := []Ref{f.Root()} // from the root to where we are
	todo := strings.Split(path, "/")
	links := 0
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			parents = parents[:max(1, len(parents)-1)]
			continue
		}
		child, err := f.Lookup(parents[len(parents)-1], name)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		target, err := f.Readlink(child)
		if errors.Is(err, fs.ErrInvalid) {
			parents = append(parents, child)
			continue
		}
		if err != nil {
			return 0, err
		}
		if links++; links > maxLinks {
			return 0, fmt.Errorf("%s: too many symlinks", path)
		}
		if strings.HasPrefix(target, "/") {
			parents = parents[:1]
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	return parents[len(parents)-1], nil
}
