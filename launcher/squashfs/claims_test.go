package squashfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"testing"
)

// claim makes a file system of one inode whose superblock claims the maximum of everything. There
// is a table of one id; the places of all other tables point to it as well.
func claim(kind uint16, inode ...any) []byte {
	chunk := func(values ...any) []byte {
		var b []byte
		for _, v := range values {
			b, _ = binary.Append(b, binary.LittleEndian, v)
		}
		return append(binary.LittleEndian.AppendUint16(nil, uint16(len(b))|storedMetadata), b...)
	}
	inodes := chunk(append([]any{inodeHead{Type: kind, Mode: 0o755, Number: 1}}, inode...)...)
	ids := chunk(uint32(0))
	dirs := uint64(superblockSize + len(inodes))
	list := dirs + uint64(len(ids))
	sb := superblock{
		Magic: magic, Inodes: math.MaxUint32, BlockSize: minBlockSize, Fragments: math.MaxUint32, Compression: Zstd, BlockLog: 12, IDs: 1, Major: 4,
		Used: list + 24, IDTable: list, XattrTable: list, InodeTable: superblockSize, DirTable: dirs, FragmentTable: list, ExportTable: noTable,
	}
	image := append(append(sb.encode(), inodes...), ids...)
	return append(binary.LittleEndian.AppendUint64(image, dirs), bytes.Repeat([]byte{0xff}, 16)...) // 2^32-1 sets of xattrs
}

// A claim of a few numbers must cost neither memory nor time.
func TestLargeClaims(t *testing.T) {
	const most, none = uint32(math.MaxUint32), uint32(noFragment)
	for _, test := range []struct {
		name  string
		image []byte
	}{
		{"a file of 2^62 bytes", claim(9, uint64(96), uint64(1<<62), uint64(0), uint32(1), none, uint32(0), none)},
		{"a file of 2^64-1 bytes", claim(9, uint64(96), uint64(math.MaxUint64), uint64(0), uint32(1), none, uint32(0), none)},
		{"blocks beyond all", claim(9, uint64(math.MaxUint64), uint64(minBlockSize), uint64(0), uint32(1), none, uint32(0), none, uint32(5))},
		{"a tail in fragment 2^32-2", claim(2, uint32(96), most-1, most, uint32(100))},
		{"a tail in no fragment", claim(2, uint32(96), uint32(0), most, uint32(100))},
		{"a directory of 4 GiB", claim(8, uint32(2), most, uint32(0), uint32(1), uint16(math.MaxUint16), uint16(0), none)},
		{"a directory beyond all", claim(1, most, uint32(2), uint16(math.MaxUint16), uint16(math.MaxUint16), uint32(1))},
		{"a symlink of 4 GiB", claim(3, uint32(1), most)},
		{"xattrs beyond all", claim(13, uint32(1), most-1)},
	} {
		t.Run(test.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			f, err := Open(bytes.NewReader(test.image))
			if err != nil {
				t.Fatal(err)
			}
			if err := touch(f); !errors.Is(err, ErrCorrupt) {
				t.Errorf("reading it = %v, want ErrCorrupt", err)
			}
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
				t.Errorf("%d bytes of image take %d of memory", len(test.image), n)
			}
		})
	}
}

// touch reads everything that the root's inode may have, and returns the first damage.
func touch(f *FS) error {
	if _, err := f.Stat(f.Root()); err != nil {
		return err
	}
	asks := []func() error{
		func() error { _, err := f.Xattrs(f.Root()); return err },
		func() error { _, err := f.ReadDir(f.Root()); return err },
		func() error { _, err := f.Lookup(f.Root(), "name"); return err },
		func() error { _, err := f.ReadAt(f.Root(), make([]byte, 10), 0); return err },
	}
	for _, ask := range asks {
		if err := ask(); errors.Is(err, ErrCorrupt) {
			return err
		}
	}
	return nil
}

// The error names a compressor that is not supported.
func TestUnknownCompressors(t *testing.T) {
	image := claim(typeFifo, uint32(1))
	for c, want := range map[byte]string{
		2: "SquashFS compressed with lzma is not supported (zstd, gzip, lz4, xz and lzo are)",
		9: "SquashFS compressed with compressor 9 is not supported (zstd, gzip, lz4, xz and lzo are)",
	} {
		image[20] = c
		if _, err := Open(bytes.NewReader(image)); err == nil || err.Error() != want {
			t.Errorf("Open of compressor %d = %v, want %s", c, err, want)
		}
	}
}
