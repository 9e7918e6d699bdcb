package squashfs

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Compression is the identity of a compressor in the superblock.
type Compression uint16

// The compressors of the format that are known here; the zero value means Zstd to a writer.
const (
	Gzip Compression = 1
	XZ   Compression = 4 // read only
	LZ4  Compression = 5
	Zstd Compression = 6
)

const (
	magic          = 0x73717368
	superblockSize = 96
	metadataSize   = 8192
	storedMetadata = 0x8000  // of the two bytes before a metadata chunk
	storedBlock    = 1 << 24 // of a data block's size
	noFragment     = 0xffffffff
	noXattr        = 0xffffffff
	noTable        = 0xffffffffffffffff
	minBlockSize   = 4096
	maxBlockSize   = 1 << 20
	maxName        = 256
	maxSymlink     = 65535
	dirSizeExtra   = 3 // a directory's size counts "." and "..", which are not stored

	flagExportable        = 0x0080
	flagDuplicates        = 0x0040
	flagCompressorOptions = 0x0400
	flagNoXattrs          = 0x0200
)

// Inode types. An extended type is its basic one plus seven.
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

// ErrCorrupt is wrapped by every error that says the bytes are no SquashFS, or a damaged one.
var ErrCorrupt = errors.New("damaged SquashFS")

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

// Xattr is an extended attribute with its whole name, "user.x" or "security.capability".
type Xattr struct {
	Name  string
	Value []byte
}

// xattrPrefixes are the name spaces that the format can express, by their number in it.
func xattrPrefixes() []string { return []string{"user.", "trusted.", "security."} }
