package convert

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
)

// archive is a layer that Go's tar package reads. The package returns the holes of a sparse file as
// zeros, byte by byte: 256 GiB of them take half a minute. So archive keeps what the package reads
// as headers, parses the map of the file's data from it again, and reads the data directly from the
// layer. When the package skips the data later, it gets the same number of other bytes.
type archive struct {
	r       io.Reader
	headers []byte // the bytes last read as headers, perhaps with data before them
	inside  bool   // the content of an entry is being read, not headers
	skipped int64  // how many bytes of data were read without the package
}

// maxHeaders is more than the map of a sparse file may have; the package refuses longer maps.
const maxHeaders = 1<<20 + 4*blockSize

const blockSize = 512

func (a *archive) Read(p []byte) (int, error) {
	if a.skipped > 0 {
		n := int(min(int64(len(p)), a.skipped))
		for i := range p[:n] {
			p[i] = 0xff // not a header, in case the package parses it as one
		}
		a.skipped -= int64(n)
		return n, nil
	}
	n, err := a.r.Read(p)
	if !a.inside {
		a.keep(p[:n])
	}
	return n, err
}

func (a *archive) keep(b []byte) {
	if len(b) >= maxHeaders {
		b = b[len(b)-maxHeaders:]
	}
	if len(a.headers)+len(b) > 2*maxHeaders {
		a.headers = a.headers[:copy(a.headers, a.headers[len(a.headers)-maxHeaders:])]
	}
	a.headers = append(a.headers, b...)
}

// data returns the content of the entry whose header was just read.
func (a *archive) data(h *tar.Header, entry io.Reader) io.Reader {
	a.inside = true
	spans, ok := sparseMap(h, a.headers)
	a.headers = a.headers[:0]
	if !ok {
		return entry
	}
	return &sparseFile{a: a, spans: spans, size: h.Size}
}

// next must be called before a header is read.
func (a *archive) next() { a.inside = false }

// span is a part of a sparse file that the archive stores.
type span struct{ offset, size int64 }

// sparseFile reads a sparse file. It implements squashfs.Holes.
type sparseFile struct {
	a        *archive
	spans    []span // those that are left to read
	at, size int64
}

// Hole returns the distance to the next span.
func (s *sparseFile) Hole() int64 {
	for len(s.spans) > 0 && s.spans[0].size == 0 {
		s.spans = s.spans[1:]
	}
	if len(s.spans) == 0 {
		return s.size - s.at
	}
	return max(0, s.spans[0].offset-s.at)
}

// SkipHole skips n bytes of the hole.
func (s *sparseFile) SkipHole(n int64) { s.at += n }

func (s *sparseFile) Read(p []byte) (int, error) {
	if s.at == s.size {
		return 0, io.EOF
	}
	if hole := s.Hole(); hole > 0 {
		n := int(min(int64(len(p)), hole))
		clear(p[:n])
		s.at += int64(n)
		return n, nil
	}
	d := &s.spans[0]
	n, err := s.a.r.Read(p[:min(int64(len(p)), d.size)])
	d.offset, d.size = d.offset+int64(n), d.size-int64(n)
	s.at += int64(n)
	s.a.skipped += int64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// sparseMap parses the spans of a sparse file from the bytes that were read as its headers. It
// returns false if the file is not sparse, or if its map does not match the stored size: then the
// package reads the file and reports errors.
func sparseMap(h *tar.Header, headers []byte) ([]span, bool) {
	major, list := h.PAXRecords["GNU.sparse.major"], h.PAXRecords["GNU.sparse.map"]
	if h.Typeflag != tar.TypeGNUSparse && major == "" && list == "" {
		return nil, false
	}
	at := lastHeader(headers)
	if at < 0 {
		return nil, false
	}
	head, rest := headers[at:], headers[at+blockSize:]
	stored, ok := number(head[atSize:][:oldNumber])
	if size := h.PAXRecords["size"]; size != "" {
		n, err := strconv.ParseInt(size, 10, 64)
		stored, ok = n, err == nil
	}
	var spans []span
	switch {
	case !ok:
	case h.Typeflag == tar.TypeGNUSparse:
		spans, ok = oldMap(head)
	case major == "1":
		stored -= int64(len(rest))
		numbers := strings.Split(string(rest), "\n") // the number of spans, the spans, padding
		count, err := strconv.Atoi(numbers[0])
		if ok = err == nil && count >= 0 && count <= (len(numbers)-2)/2; ok {
			spans, ok = listed(numbers[1 : 1+2*count])
		}
	default:
		spans, ok = listed(strings.Split(list, ","))
	}
	return spans, ok && fits(spans, h.Size, stored)
}

// listed parses a map from a list of offsets and sizes.
func listed(numbers []string) (spans []span, ok bool) {
	for ; len(numbers) >= 2; numbers = numbers[2:] {
		offset, err := strconv.ParseInt(numbers[0], 10, 64)
		size, err2 := strconv.ParseInt(numbers[1], 10, 64)
		if errors.Join(err, err2) != nil {
			return nil, false
		}
		spans = append(spans, span{offset, size})
	}
	return spans, len(numbers) == 0
}

// fits tells whether the spans are in order, inside a file of the given size, and as long in total
// as the stored data.
func fits(spans []span, size, stored int64) bool {
	at, all := int64(0), int64(0)
	for _, s := range spans {
		if s.offset < at || s.size < 0 || s.size > size || s.offset > size-s.size {
			return false
		}
		at, all = s.offset+s.size, all+s.size
	}
	return all == stored
}

// lastHeader returns the offset of the last header in b, or -1. b ends with that header, or with
// the blocks that belong to it.
func lastHeader(b []byte) int {
	for at := len(b) - blockSize; at >= 0; at -= blockSize {
		if isHeader(b[at : at+blockSize]) {
			return at
		}
	}
	return -1
}

// Offsets and sizes in a header.
const (
	atSize                  = 124
	atSum, sumSize          = 148, 8
	atMagic                 = 257
	atOldMap, oldEntries    = 386, 4 // of GNU tar's own format
	atExtended              = 482
	moreEntries, atMore     = 21, 504 // in a block that continues the map
	oldNumber, oldEntrySize = 12, 24
)

func isHeader(b []byte) bool {
	if !bytes.HasPrefix(b[atMagic:], []byte("ustar")) {
		return false
	}
	sum := int64(sumSize * ' ')
	for i, c := range b {
		if i < atSum || i >= atSum+sumSize {
			sum += int64(c)
		}
	}
	stated, ok := number(b[atSum : atSum+sumSize])
	return ok && stated == sum
}

// oldMap parses a map in GNU tar's own format: it begins in the header b and continues in the
// blocks after it.
func oldMap(b []byte) ([]span, bool) {
	var spans []span
	list, count, more := b[atOldMap:], oldEntries, b[atExtended]
	for {
		for i := range count {
			entry := list[i*oldEntrySize:][:oldEntrySize]
			if entry[0] == 0 {
				break
			}
			offset, ok := number(entry[:oldNumber])
			length, ok2 := number(entry[oldNumber:])
			if !ok || !ok2 {
				return nil, false
			}
			spans = append(spans, span{offset, length})
		}
		if b = b[blockSize:]; more == 0 {
			return spans, len(b) == 0
		}
		if len(b) < blockSize {
			return nil, false
		}
		list, count, more = b, moreEntries, b[atMore]
	}
}

// number parses a number of a header: octal, or binary if the first bit is set.
func number(b []byte) (int64, bool) {
	if b[0]&0x80 != 0 {
		n := int64(b[0] & 0x7f)
		for _, c := range b[1:] {
			if n >= 1<<55 {
				return 0, false
			}
			n = n<<8 | int64(c)
		}
		return n, true
	}
	n, err := strconv.ParseInt(strings.Trim(string(b), " \x00"), 8, 64)
	return n, err == nil
}
