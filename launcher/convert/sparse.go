package convert

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
)

// archive is a layer that is read by Go's tar package, which gives the holes of a sparse file as zeros, one by one: 256 GiB of them take half a
// minute. So what the package reads as headers is kept, the map of a file's data is read out of it once more, and the data is read from the
// layer itself. The package is then given as many bytes in their place when it passes over the data.
type archive struct {
	r      io.Reader
	heads  []byte // the last that was read as headers, and maybe data before them
	inside bool   // an entry is being read, not headers
	passed int64  // bytes of data that were read without the package's knowing
}

// maxHeads is more than the map of a sparse file may have; the package refuses longer ones.
const maxHeads = 1<<20 + 4*blockSize

const blockSize = 512

func (a *archive) Read(p []byte) (int, error) {
	if a.passed > 0 {
		n := int(min(int64(len(p)), a.passed))
		for i := range p[:n] {
			p[i] = 0xff // no header, should it be taken for one
		}
		a.passed -= int64(n)
		return n, nil
	}
	n, err := a.r.Read(p)
	if !a.inside {
		a.keep(p[:n])
	}
	return n, err
}

func (a *archive) keep(b []byte) {
	if len(b) >= maxHeads {
		b = b[len(b)-maxHeads:]
	}
	if len(a.heads)+len(b) > 2*maxHeads {
		a.heads = a.heads[:copy(a.heads, a.heads[len(a.heads)-maxHeads:])]
	}
	a.heads = append(a.heads, b...)
}

// data returns the content of the entry whose header was just read.
func (a *archive) data(h *tar.Header, entry io.Reader) io.Reader {
	a.inside = true
	spans, ok := sparseMap(h, a.heads)
	a.heads = a.heads[:0]
	if !ok {
		return entry
	}
	return &sparseFile{a: a, spans: spans, size: h.Size}
}

// next is to be called before a header is read.
func (a *archive) next() { a.inside = false }

// span is a part of a sparse file that is in the archive.
type span struct{ offset, size int64 }

// sparseFile reads a sparse file.
type sparseFile struct {
	a        *archive
	spans    []span // that are left
	at, size int64
}

// Hole returns how far it is to what is in the archive.
func (s *sparseFile) Hole() int64 {
	for len(s.spans) > 0 && s.spans[0].size == 0 {
		s.spans = s.spans[1:]
	}
	if len(s.spans) == 0 {
		return s.size - s.at
	}
	return max(0, s.spans[0].offset-s.at)
}

// SkipHole goes over a part of the hole.
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
	s.a.passed += int64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// sparseMap returns the spans of a sparse file out of what was read as its headers; false for a file that is none, or whose map is not all
// that is in the archive: the package knows what to say of it.
func sparseMap(h *tar.Header, heads []byte) ([]span, bool) {
	major, list := h.PAXRecords["GNU.sparse.major"], h.PAXRecords["GNU.sparse.map"]
	if h.Typeflag != tar.TypeGNUSparse && major == "" && list == "" {
		return nil, false
	}
	at := lastHeader(heads)
	if at < 0 {
		return nil, false
	}
	head, behind := heads[at:], heads[at+blockSize:]
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
		stored -= int64(len(behind))
		numbers := strings.Split(string(behind), "\n") // how many spans there are, and padding behind them
		count, err := strconv.Atoi(numbers[0])
		if ok = err == nil && count >= 0 && count <= (len(numbers)-2)/2; ok {
			spans, ok = listed(numbers[1 : 1+2*count])
		}
	default:
		spans, ok = listed(strings.Split(list, ","))
	}
	return spans, ok && fits(spans, h.Size, stored)
}

// listed reads a map out of a list of offsets and sizes.
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

// fits tells whether spans follow one another in a file, and are what is stored of it.
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

// lastHeader returns where the last header begins in what ends with one, or with what belongs to it.
func lastHeader(b []byte) int {
	for at := len(b) - blockSize; at >= 0; at -= blockSize {
		if isHeader(b[at : at+blockSize]) {
			return at
		}
	}
	return -1
}

// Places in a header.
const (
	atSize                  = 124
	atSum, sumSize          = 148, 8
	atMagic                 = 257
	atOldMap, oldEntries    = 386, 4 // of GNU tar's own format
	atExtended              = 482
	moreEntries, atMore     = 21, 504 // in a block that goes on with the map
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
	said, ok := number(b[atSum : atSum+sumSize])
	return ok && said == sum
}

// oldMap reads the map of GNU tar's own format: a part is in the header, the rest in blocks behind it.
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

// number reads a number of a header: octal, or binary behind a set bit.
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
