package launcher

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"io/fs"
	"strconv"
	"strings"
)

// machines are architectures by the header of their programs: the number of elf(5), whether they
// have 64 bits, and the byte order.
var machines = map[string]struct { //nolint:gochecknoglobals // a constant table
	number uint16
	wide   bool
	order  binary.ByteOrder
}{
	"386": {3, false, binary.LittleEndian}, "amd64": {62, true, binary.LittleEndian},
	"arm": {40, false, binary.LittleEndian}, "arm64": {183, true, binary.LittleEndian},
	"loong64": {258, true, binary.LittleEndian}, "ppc64": {21, true, binary.BigEndian},
	"ppc64le": {21, true, binary.LittleEndian}, "riscv64": {243, true, binary.LittleEndian},
	"s390x": {22, true, binary.BigEndian},
}

// emulator returns which handler of binfmt_misc the kernel starts programs for an architecture by,
// "" for none, and whether it holds the emulator open, which is not in the containers. The
// directory is the kernel's; the first that matches is as good as any other.
func emulator(dir fs.FS, arch string) (handler string, fixed bool) {
	m, known := machines[arch]
	entries, err := fs.ReadDir(dir, ".")
	if !known || err != nil {
		return "", false
	}
	header := append([]byte("\x7fELF\x01\x01\x01"), make([]byte, 13)...)
	if m.wide {
		header[4] = 2
	}
	if m.order == binary.ByteOrder(binary.BigEndian) {
		header[5] = 2
	}
	m.order.PutUint16(header[16:], 2) // an executable
	m.order.PutUint16(header[18:], m.number)
	status, err := fs.ReadFile(dir, "status")
	if err != nil || !bytes.HasPrefix(status, []byte("enabled")) {
		return "", false
	}
	for _, e := range entries {
		raw, err := fs.ReadFile(dir, e.Name())
		if err != nil || !handles(string(raw), header) {
			continue
		}
		fixed = strings.Contains(field(string(raw), "flags:"), "F")
		if handler = e.Name(); fixed {
			break
		}
	}
	return handler, fixed
}

// handles tells whether a handler, as the kernel prints it, is for programs with a header.
func handles(text string, header []byte) bool {
	magic, err := hex.DecodeString(field(text, "magic"))
	if err != nil || len(magic) == 0 || !strings.HasPrefix(text, "enabled\n") {
		return false
	}
	mask, err := hex.DecodeString(field(text, "mask"))
	offset, bad := strconv.Atoi(cmp.Or(field(text, "offset"), "0"))
	if err != nil || bad != nil || offset < 0 || offset+len(magic) > len(header) {
		return false
	}
	for i, b := range magic {
		differs := b ^ header[offset+i]
		if i < len(mask) {
			differs &= mask[i]
		}
		if differs != 0 {
			return false
		}
	}
	return true
}

// field returns what stands behind a word at the beginning of a line.
func field(text, name string) string {
	for line := range strings.SplitSeq(text, "\n") {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return value
		}
	}
	return ""
}
