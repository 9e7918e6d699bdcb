package convert

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/sylabs/sif/v2/pkg/sif"
)

// Checksums of a SIF, since neither SIF nor SquashFS has any that are looked at when a file is
// read. Those of the file system are an object of its own, behind the partition, as package
// squashfs writes them. That of each JSON object stands in its descriptor, where the format has
// room for what an application wants to note. Programs that do not know them pass them by.

// crcMark begins what is noted in a descriptor, to tell it from another application's note, or
// none.
const crcMark = "hpc3crc1"

// objectSum is the CRC32C of an object.
type objectSum struct {
	crc   uint32
	known bool
}

func sumOf(data []byte) objectSum {
	return objectSum{crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)), true}
}

// MarshalBinary is what is noted.
func (s objectSum) MarshalBinary() ([]byte, error) {
	return binary.LittleEndian.AppendUint32([]byte(crcMark), s.crc), nil
}

// UnmarshalBinary reads a note, which need not be there.
func (s *objectSum) UnmarshalBinary(note []byte) error {
	if rest, ok := bytes.CutPrefix(note, []byte(crcMark)); ok && len(rest) >= 4 {
		*s = objectSum{binary.LittleEndian.Uint32(rest), true}
	}
	return nil
}

var errObjectSum = errors.New("its checksum is wrong")

// check holds an object against what its descriptor notes of it, if anything.
func check(d sif.Descriptor, data []byte) error {
	var noted objectSum
	if err := d.GetMetadata(&noted); err != nil {
		return err
	}
	if noted.known && noted != sumOf(data) {
		return errObjectSum
	}
	return nil
}

// late is a reader of what is not known before it is read.
type late struct {
	data func() []byte
	r    io.Reader
}

func (l *late) Read(p []byte) (int, error) {
	if l.r == nil {
		l.r = bytes.NewReader(l.data())
	}
	return l.r.Read(p)
}

// Part is where something stands in a SIF; the zero value where there is no such thing.
type Part struct{ Offset, Size int64 }

// sumsIn finds the checksums of the file system.
func sumsIn(img *sif.FileImage, size int64) (Part, error) {
	named := func(d sif.Descriptor) (bool, error) { return d.Name() == nameSums, nil }
	d, err := img.GetDescriptor(sif.WithDataType(sif.DataGeneric), named)
	if errors.Is(err, sif.ErrObjectNotFound) || errors.Is(err, sif.ErrNoObjects) {
		return Part{}, nil
	}
	if err != nil {
		return Part{}, err
	}
	if d.Size() <= 0 || d.Offset() < 0 || d.Size() > size || d.Offset() > size-d.Size() {
		return Part{}, errShort
	}
	return Part{d.Offset(), d.Size()}, nil
}
