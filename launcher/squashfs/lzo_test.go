package squashfs

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

// asLZO packs a block as literals only, which LZO1X allows although no compressor does it.
func asLZO(b []byte) []byte {
	var out []byte
	switch n := len(b); {
	case n == 0:
	case n <= 238:
		out = append(out, byte(17+n))
	default:
		out = append(out, 0)
		for n -= 18; n > 255; n -= 255 {
			out = append(out, 0)
		}
		out = append(out, byte(n))
	}
	return append(append(out, b...), 17, 0, 0)
}

func TestInflateLZO(t *testing.T) {
	for i, b := range blocks()[:20] {
		packed := asLZO(b)
		if got, err := inflateLZO(room(len(b)), packed, len(b)); err != nil || !bytes.Equal(got, b) {
			t.Fatalf("block %d does not inflate to itself: %v", i, err)
		}
		if _, err := inflateLZO(room(len(b)-1), packed, len(b)-1); err == nil && len(b) > 1 {
			t.Errorf("block %d of %d bytes inflates to one byte less", i, len(b))
		}
		if _, err := inflateLZO(room(len(b)), packed[:len(packed)-1], len(b)); err == nil {
			t.Errorf("block %d inflates without its end", i)
		}
		if _, err := inflateLZO(room(len(b)), append(packed, 0), len(b)); err == nil {
			t.Errorf("block %d inflates with something behind its end", i)
		}
	}
}

// Each instruction of the format, written by hand after its description.
func TestLZOInstructions(t *testing.T) {
	for _, tt := range []struct{ name, packed, want string }{
		{"a copy of what is near", "14" + "616263" + "44" + "00" + "110000", "abc" + "bcb"},
		{"a copy that reaches into itself", "15" + "61626364" + "20" + "01" + "0c00" + "110000", strings.Repeat("abcd", 10)[:4+34]},
		{"two bytes behind few literals", "13" + "6162" + "00" + "00" + "110000", "ab" + "bb"},
		{"literals behind a copy", "15" + "61626364" + "41" + "00" + "78" + "00" + "00" + "110000", "abcd" + "ddd" + "x" + "xx"},
		{"a distance before the beginning", "15" + "61626364" + "20" + "01" + "1000" + "110000", ""},
		{"no end", "15" + "61626364", ""},
		{"an end of another length", "15" + "61626364" + "120000", ""},
		{"nothing", "", ""},
	} {
		packed, err := hex.DecodeString(tt.packed)
		if err != nil {
			t.Fatal(err)
		}
		got, err := inflateLZO(room(4096), packed, 4096)
		if (err == nil) != (tt.want != "") || err == nil && string(got) != tt.want {
			t.Errorf("%s: %q, %v; want %q", tt.name, got, err, tt.want)
		}
	}
}
