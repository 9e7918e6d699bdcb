package inside

import (
	"encoding/binary"
	"slices"
	"testing"
)

func TestNormalLocale(t *testing.T) {
	for name, want := range map[string]string{
		"de_DE.UTF-8": "de_DE.utf8", "de_DE": "de_DE", "de_DE.ISO-8859-15@euro": "de_DE.iso885915@euro", "C.UTF-8": "C.utf8", "C": "C", "": "", "ca_ES@valencia": "ca_ES@valencia",
	} {
		if got := normalLocale(name); got != want {
			t.Errorf("normalLocale(%q) = %q, want %q", name, got, want)
		}
	}
}

// An archive as localedef writes it: the header says where the names are, and how many bytes they
// take.
func TestArchiveNames(t *testing.T) {
	const names = "de_DE.utf8\x00en_US.utf8\x00"
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		var raw []byte
		for _, word := range []uint32{archiveMagic, 1, 0, 0, 0, archiveHead + 4, uint32(len(names)), 4096, 0} {
			raw = order.AppendUint32(raw, word)
		}
		raw = append(raw, names...)
		for n := range len(raw) {
			if got := archiveNames(bytesAt(raw[:n])); got != nil {
				t.Errorf("names of an archive cut to %d bytes: %q", n, got)
			}
		}
		if got := archiveNames(bytesAt(raw)); !slices.Contains(got, "de_DE.utf8") || !slices.Contains(got, "en_US.utf8") {
			t.Errorf("names are %q", got)
		}
	}
	if got := archiveNames(bytesAt(make([]byte, 64))); got != nil {
		t.Errorf("names of a file that is no archive: %q", got)
	}
}

func bytesAt(raw []byte) func([]byte, int64) bool {
	return func(p []byte, at int64) bool { return at <= int64(len(raw)) && copy(p, raw[at:]) == len(p) }
}
