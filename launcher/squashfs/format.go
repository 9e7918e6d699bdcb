package squashfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
)

// Compression is the number of a compressor in the superblock.
type Compression uint16

// The compressors that this package supports. For a Writer the zero value means Zstd.
const (
	Gzip Compression = 1
	LZO  Compression = 3 // read only
	XZ   Compression = 4 // read only
	LZ4  Compression = 5
	Zstd Compression = 6
)

func (c Compression) String() string {
	names := [...]string{"none", "gzip", "lzma", "lzo", "xz", "lz4", "zstd"}
	if int(c) < len(names) {
		return names[c]
	}
	return fmt.Sprintf("compressor %d", uint16(c))
}

const (
	magic          = 0x73717368
	superblockSize = 96
	metadataSize   = 8192
	storedMetadata = 0x8000  // in the size of a metadata chunk: it is not compressed
	storedBlock    = 1 << 24 // in the size word of a block: it is not compressed; 0 is a hole
	noFragment     = 0xffffffff
	noXattr        = 0xffffffff
	noTable        = 0xffffffffffffffff
	minBlockSize   = 4096
	maxBlockSize   = 1 << 20
	maxName        = 256
	maxSymlink     = 65535
	dirSizeExtra   = 3   // a directory's size counts "." and "..", which are not stored
	maxRun         = 256 // how many names may follow one header in a directory
	fragmentSize   = 16  // of an entry of the fragment table
	xattrIDSize    = 16  // of an entry of the xattr table

	flagExportable        = 0x0080
	flagDuplicates        = 0x0040
	flagCompressorOptions = 0x0400
	flagNoXattrs          = 0x0200
)

// Inode types. An extended type is the basic type plus seven.
const (
	typeDir      = 1
	typeFile     = 2
	typeSymlink  = 3
	typeBlock    = 4
	typeChar     = 5
	typeFifo     = 6
	typeSocket   = 7
	typeExtended = 7
)

// modeOf returns the type bits of st_mode for a basic inode type, or 0 if there is no such type.
func modeOf(basic uint16) uint32 {
	modes := [...]uint32{
		0, syscall.S_IFDIR, syscall.S_IFREG, syscall.S_IFLNK,
		syscall.S_IFBLK, syscall.S_IFCHR, syscall.S_IFIFO, syscall.S_IFSOCK,
	}
	if int(basic) < len(modes) {
		return modes[basic]
	}
	return 0
}

// ErrCorrupt is wrapped by every error about bytes that are not a SquashFS, or a damaged one.
var ErrCorrupt = errors.New("damaged SquashFS")

// ErrRead is wrapped by every error of reading the file, together with the system's error.
var ErrRead = errors.New("reading")

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

// superblock is the first 96 bytes.
type superblock struct {
	Magic         uint32
	Inodes        uint32
	ModTime       uint32
	BlockSize     uint32
	Fragments     uint32
	Compression   Compression
	BlockLog      uint16
	Flags         uint16
	IDs           uint16
	Major         uint16
	Minor         uint16
	Root          Ref
	Used          uint64
	IDTable       uint64
	XattrTable    uint64
	InodeTable    uint64
	DirTable      uint64
	FragmentTable uint64
	ExportTable   uint64
}

func (s *superblock) encode() []byte {
	b := make([]byte, 0, superblockSize)
	b, _ = binary.Append(b, binary.LittleEndian, s) // a struct of fixed size
	return b
}

// check refuses values that no file system of this format has. The caller must check that there are
// Used bytes.
func (s *superblock) check() error {
	switch {
	case s.Magic != magic:
		return corrupt("it does not begin with a superblock")
	case s.Major != 4 || s.Minor != 0:
		return fmt.Errorf("SquashFS %d.%d is not supported, 4.0 is", s.Major, s.Minor)
	case s.BlockSize < minBlockSize || s.BlockSize > maxBlockSize || s.BlockSize != 1<<s.BlockLog:
		return corrupt("a block size of %d bytes", s.BlockSize)
	case s.InodeTable < superblockSize || s.DirTable <= s.InodeTable ||
		s.IDTable <= s.DirTable || s.Used < s.IDTable || s.Used > 1<<62:
		return corrupt("its tables are out of order")
	case s.Inodes == 0 || s.IDs == 0:
		return corrupt("it has no inodes or no ids")
	}
	return nil
}

// Xattr is an extended attribute with its full name, such as "user.x" or "security.capability".
type Xattr struct {
	Name  string
	Value []byte
}

// Bounds of extended attributes: Linux's for one name, one value and the list of an inode's names
// (limits.h), and this package's for all attributes of one inode.
const (
	maxXattrName   = 255
	maxXattrValue  = 64 << 10
	maxXattrNames  = 64 << 10
	maxXattrsBytes = 1 << 20
)

// xattrPrefixes returns the name spaces of the format, by their number.
func xattrPrefixes() []string { return []string{"user.", "trusted.", "security."} }

// Ref names an inode by its place in the inode table.
type Ref uint64

func (r Ref) block() uint64 { return uint64(r) >> 16 }
func (r Ref) offset() int   { return int(r & 0xffff) }

// fields takes numbers from the front of a record. The caller has checked that it is long enough.
type fields []byte

func (f *fields) u16() uint16 {
	v := binary.LittleEndian.Uint16(*f)
	*f = (*f)[2:]
	return v
}

func (f *fields) u32() uint32 {
	v := binary.LittleEndian.Uint32(*f)
	*f = (*f)[4:]
	return v
}

func (f *fields) u64() uint64 {
	v := binary.LittleEndian.Uint64(*f)
	*f = (*f)[8:]
	return v
}
