package squashfs

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"runtime"
	"slices"
	"strings"
)

// Options of a Writer. The zero value is zstd at its fastest level, blocks of 128 KiB and a worker per processor.
type Options struct {
	Compression Compression // Zstd, Gzip or LZ4
	Level       int         // 0 = the fastest
	BlockSize   int         // a power of two from 4 KiB to 1 MiB; 0 = 128 KiB
	Workers     int         // 0 = GOMAXPROCS; the bytes written do not depend on it
	ModTime     uint32      // of the file system, in seconds since 1970
}

// Meta is what every inode carries beside its content.
type Meta struct {
	Mode    uint32 // permissions, setuid, setgid and sticky: 07777
	UID     uint32
	GID     uint32
	ModTime int64 // seconds since 1970; what the format cannot hold becomes its first or last second
	Xattrs  []Xattr
}

// Node is a directory or another inode, what a name can stand for.
type Node interface{ node() }

// Dir is a directory. Its entries may be changed until Finish is called.
type Dir struct {
	Meta
	Entries map[string]Node

	number uint32
}

// Inode is anything but a directory, made by a Writer. Under several names it is a file with hard links.
type Inode struct {
	Meta

	kind     uint16 // of the basic types
	target   string
	rdev     uint32
	size     int64
	sparse   int64
	start    int64 // of the first block, from the start of the file system
	blocks   []uint32
	fragment uint32
	offset   uint32

	number uint32
	nlink  uint32
	xattr  uint32
	ref    Ref
	done   bool // it stands in the inode table
}

func (*Dir) node()   {}
func (*Inode) node() {}

// SpecialType is the kind of an inode without content.
type SpecialType uint16

// The special inodes.
const (
	BlockDevice SpecialType = typeBlock
	CharDevice  SpecialType = typeChar
	Fifo        SpecialType = typeFifo
	Socket      SpecialType = typeSocket
)

// Writer writes a file system: the content of files as it is given, everything else at the end. The same calls give the same bytes.
// A Writer is for one goroutine. After an error nothing but Close is of use.
type Writer struct {
	opt   Options
	out   *output
	pipe  *pipeline
	files map[content]*Inode // small files by content, so that each is stored once
	frag  []byte             // the fragment block being filled
	frags uint32             // how many are complete
}

// content identifies the content of a file.
type content struct {
	size int64
	sum  [sha256.Size]byte
}

// NewWriter begins a file system at the current offset of w. Close must be called in the end.
func NewWriter(w Output, opt Options) (*Writer, error) {
	if opt.Compression == 0 {
		opt.Compression = Zstd
	}
	if opt.BlockSize == 0 {
		opt.BlockSize = 128 << 10
	}
	if opt.Workers <= 0 {
		opt.Workers = runtime.GOMAXPROCS(0)
	}
	if opt.BlockSize < minBlockSize || opt.BlockSize > maxBlockSize || bits.OnesCount(uint(opt.BlockSize)) != 1 {
		return nil, fmt.Errorf("a block size of %d bytes is no power of two from %d to %d", opt.BlockSize, minBlockSize, maxBlockSize)
	}
	out, err := newOutput(w)
	if err != nil {
		return nil, err
	}
	if err := out.write(make([]byte, superblockSize)); err != nil {
		return nil, err
	}
	if err := out.write(compressorOptions(opt.Compression)); err != nil {
		return nil, err
	}
	pipe, err := newPipeline(out, opt)
	if err != nil {
		return nil, err
	}
	return &Writer{opt: opt, out: out, pipe: pipe, files: make(map[content]*Inode)}, nil
}

// compressorOptions returns the chunk behind the superblock. LZ4 readers want theirs (version 1, no flags); the others' defaults need none.
func compressorOptions(c Compression) []byte {
	if c != LZ4 {
		return nil
	}
	return []byte{8, storedMetadata >> 8, 1, 0, 0, 0, 0, 0, 0, 0}
}

// Close ends the goroutines of a Writer. It writes nothing; a file system that was not finished is none.
func (w *Writer) Close() { w.pipe.close() }

// File adds a file and reads its content, which must be size bytes, from r. It holds a few blocks at a time.
func (w *Writer) File(m Meta, size int64, r io.Reader) (*Inode, error) {
	if size < 0 {
		return nil, fmt.Errorf("a file of %d bytes", size)
	}
	in := &Inode{Meta: m, kind: typeFile, size: size, fragment: noFragment}
	if size < int64(w.opt.BlockSize) {
		return in, w.small(in, r)
	}
	in.blocks = make([]uint32, (size+int64(w.opt.BlockSize)-1)/int64(w.opt.BlockSize))
	sum := sha256.New()
	w.pipe.begin(in)
	for i := range in.blocks {
		b := w.pipe.buffer()[:min(int64(w.opt.BlockSize), size)]
		if err := readBlock(r, b); err != nil {
			return nil, err
		}
		size -= int64(len(b))
		sum.Write(b)
		if err := w.pipe.block(in, i, b); err != nil {
			return nil, err
		}
	}
	w.pipe.end(in, content{in.size, [sha256.Size]byte(sum.Sum(nil))})
	return in, atEnd(r)
}

func readBlock(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// atEnd makes sure that a file has no more bytes than were announced.
func atEnd(r io.Reader) error {
	var one [1]byte
	switch n, err := io.ReadFull(r, one[:]); {
	case n > 0:
		return errors.New("the file has more bytes than its size says")
	case errors.Is(err, io.EOF):
		return nil
	default:
		return err
	}
}

// small adds a file of less than a block to the fragment block that is being filled.
func (w *Writer) small(in *Inode, r io.Reader) error {
	if len(w.frag)+int(in.size) > w.opt.BlockSize {
		if err := w.flushFragment(); err != nil {
			return err
		}
	}
	if w.frag == nil {
		w.frag = w.pipe.buffer()[:0]
	}
	at := len(w.frag)
	b := w.frag[at : at+int(in.size)]
	if err := readBlock(r, b); err != nil && in.size > 0 {
		return err
	}
	if err := atEnd(r); err != nil {
		return err
	}
	if in.size == 0 {
		return nil
	}
	key := content{in.size, sha256.Sum256(b)}
	if same, ok := w.files[key]; ok {
		in.fragment, in.offset = same.fragment, same.offset
		return nil
	}
	in.fragment, in.offset = w.frags, uint32(at)
	w.files[key] = in
	w.frag = w.frag[:at+int(in.size)]
	return nil
}

func (w *Writer) flushFragment() error {
	if len(w.frag) == 0 {
		return nil
	}
	err := w.pipe.fragment(w.frag)
	w.frag = nil
	w.frags++
	return err
}

// Symlink adds a symlink.
func (w *Writer) Symlink(m Meta, target string) *Inode {
	return &Inode{Meta: m, kind: typeSymlink, target: target, size: int64(len(target))}
}

// Special adds a device, fifo or socket; major and minor count for devices.
func (w *Writer) Special(m Meta, typ SpecialType, major, minor uint32) *Inode {
	return &Inode{Meta: m, kind: uint16(typ), rdev: major<<8 | minor&0xff | minor&0xfff00<<12}
}

// checkTree refuses what the format cannot hold.
func checkTree(d *Dir, path string) error {
	for name, n := range d.Entries {
		at := path + "/" + name
		if len(name) > maxName || !validName([]byte(name)) {
			return fmt.Errorf("%q is no name for a file", at)
		}
		switch n := n.(type) {
		case *Dir:
			if err := checkTree(n, at); err != nil {
				return err
			}
		case *Inode:
			if n.kind == typeSymlink && (n.target == "" || len(n.target) > maxSymlink) {
				return fmt.Errorf("the symlink %q has a target of %d bytes", at, len(n.target))
			}
		default:
			return fmt.Errorf("%q stands for nothing", at)
		}
	}
	return nil
}

func sortedNames(d *Dir) []string {
	names := make([]string, 0, len(d.Entries))
	for name := range d.Entries {
		names = append(names, name)
	}
	slices.SortFunc(names, strings.Compare)
	return names
}
