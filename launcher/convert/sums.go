package convert

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/sylabs/sif/v2/pkg/sif"
)

// A SIF of hpc3 has checksums, because neither SIF nor SquashFS has any that are checked when a
// file is read. Those of the file system are an object of their own after the partition, in the
// format of package squashfs. That of each JSON object is in its descriptor, in the field for
// metadata of applications. Programs that do not know these checksums ignore them.

// crcMark begins the metadata in a descriptor. It distinguishes a checksum from the metadata of
// another application, or none.
const crcMark = "hpc3crc1"

// objectSum is the CRC32C of an object.
type objectSum struct {
	crc   uint32
	known bool
}

func sumOf(data []byte) objectSum {
	return objectSum{crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)), true}
}

// MarshalBinary returns the metadata of a descriptor.
func (s objectSum) MarshalBinary() ([]byte, error) {
	return binary.LittleEndian.AppendUint32([]byte(crcMark), s.crc), nil
}

// UnmarshalBinary reads the metadata of a descriptor, which need not be a checksum.
func (s *objectSum) UnmarshalBinary(metadata []byte) error {
	if rest, ok := bytes.CutPrefix(metadata, []byte(crcMark)); ok && len(rest) >= 4 {
		*s = objectSum{binary.LittleEndian.Uint32(rest), true}
	}
	return nil
}

var errObjectSum = errors.New("its checksum is wrong")

// checkObject compares an object with the checksum in its descriptor, if there is one.
func checkObject(d sif.Descriptor, data []byte) error {
	var stored objectSum
	if err := d.GetMetadata(&stored); err != nil {
		return err
	}
	if stored.known && stored != sumOf(data) {
		return errObjectSum
	}
	return nil
}

// lazyReader reads data that is made by the first read.
type lazyReader struct {
	data func() []byte
	r    io.Reader
}

func (l *lazyReader) Read(p []byte) (int, error) {
	if l.r == nil {
		l.r = bytes.NewReader(l.data())
	}
	return l.r.Read(p)
}

// Part is a range of bytes in a SIF. The zero value means that there is no such part.
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
