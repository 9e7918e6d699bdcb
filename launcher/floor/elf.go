package floor

import (
	"debug/buildinfo"
	"encoding/binary"
	"io"
	"strings"
)

// program is what an ELF file says of itself.
type program struct {
	loader  string // "" for a static program
	level   int    // of x86-64, by its GNU property note; 0 if that says nothing
	goLevel int    // of x86-64, by Go's build information; 0 for another language's
}

// Numbers of ELF: the gABI, and the psABI of x86-64.
const (
	headerSize  = 64
	programSize = 56
	maxPrograms = 256     // a program has about a dozen
	maxNotes    = 1 << 16 // bytes of one segment
	maxLoader   = 4096    // PATH_MAX

	class64, littleEndian = 2, 1
	machineX86            = 62

	segmentLoader   = 3
	segmentNote     = 4
	segmentProperty = 0x6474e553

	noteProperty = 5          // NT_GNU_PROPERTY_TYPE_0
	noteGoBuild  = 4          // Go's build ID
	propertyISA  = 0xc0008002 // GNU_PROPERTY_X86_ISA_1_NEEDED
)

// readProgram reads the headers and notes of an ELF file for amd64; ok tells whether it is one.
func readProgram(r *io.SectionReader) (p program, ok bool) {
	var head [headerSize]byte
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return program{}, false
	}
	if string(head[:4]) != "\x7fELF" || head[4] != class64 || head[5] != littleEndian ||
		binary.LittleEndian.Uint16(head[18:]) != machineX86 {
		return program{}, false
	}
	at := binary.LittleEndian.Uint64(head[32:])
	each, count := binary.LittleEndian.Uint16(head[54:]), binary.LittleEndian.Uint16(head[56:])
	if each != programSize || count > maxPrograms || at > uint64(r.Size()) {
		return program{}, true
	}
	table := make([]byte, int(count)*programSize)
	if _, err := r.ReadAt(table, int64(at)); err != nil {
		return program{}, true
	}
	byGo := false
	for ; len(table) > 0; table = table[programSize:] {
		switch binary.LittleEndian.Uint32(table) {
		case segmentLoader:
			raw := segment(r, table, maxLoader)
			p.loader, _, _ = strings.Cut(string(raw), "\x00")
		case segmentNote, segmentProperty:
			notes := segment(r, table, maxNotes)
			level, isGo := readNotes(notes, binary.LittleEndian.Uint64(table[48:]))
			p.level, byGo = max(p.level, level), byGo || isGo
		}
	}
	if byGo {
		p.goLevel = goLevel(r)
	}
	return p, true
}

// segment reads the content of a segment from the file; nil if it is larger than limit.
func segment(r *io.SectionReader, header []byte, limit uint64) []byte {
	at, size := binary.LittleEndian.Uint64(header[8:]), binary.LittleEndian.Uint64(header[32:])
	if size > limit || at > uint64(r.Size()) {
		return nil
	}
	raw := make([]byte, size)
	if _, err := r.ReadAt(raw, int64(at)); err != nil {
		return nil
	}
	return raw
}

// readNotes returns the level that the notes of a segment name, and whether one of them is Go's.
func readNotes(raw []byte, alignment uint64) (level int, isGo bool) {
	if alignment != 8 {
		alignment = 4
	}
	for len(raw) >= 12 {
		nameSize, size := binary.LittleEndian.Uint32(raw), binary.LittleEndian.Uint32(raw[4:])
		kind := binary.LittleEndian.Uint32(raw[8:])
		begin := padded(12+uint64(nameSize), alignment)
		end := begin + uint64(size)
		if end > uint64(len(raw)) {
			return level, isGo
		}
		owner := strings.TrimRight(string(raw[12:12+nameSize]), "\x00")
		switch {
		case owner == "GNU" && kind == noteProperty:
			level = max(level, levelOf(raw[begin:end]))
		case owner == "Go" && kind == noteGoBuild:
			isGo = true
		}
		raw = raw[min(padded(end, alignment), uint64(len(raw))):]
	}
	return level, isGo
}

func padded(n, to uint64) uint64 { return (n + to - 1) / to * to }

// levelOf returns the level of a GNU property note. Its bits are not cumulative: ld -z x86-64-v3
// sets those of the baseline and of v3. The baseline says nothing: it comes from crt1.o, whatever
// the program is compiled for.
func levelOf(properties []byte) (level int) {
	for len(properties) >= 8 {
		kind := binary.LittleEndian.Uint32(properties)
		size := binary.LittleEndian.Uint32(properties[4:])
		if uint64(size) > uint64(len(properties)-8) {
			return level
		}
		if kind == propertyISA && size == 4 {
			bits := binary.LittleEndian.Uint32(properties[8:])
			for l := 2; l <= 4; l++ {
				if bits&(1<<(l-1)) != 0 {
					level = l
				}
			}
		}
		properties = properties[min(padded(8+uint64(size), 8), uint64(len(properties))):]
	}
	return level
}

// goLevel returns the GOAMD64 that a program was built with; 0 if it does not say.
func goLevel(r io.ReaderAt) int {
	info, err := buildinfo.Read(r)
	if err != nil {
		return 0
	}
	for _, s := range info.Settings {
		if s.Key == "GOAMD64" && len(s.Value) == 2 && s.Value[0] == 'v' {
			return int(s.Value[1] - '0')
		}
	}
	return 0
}
