package squashfs

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/ulikunitz/xz"
)

// blocks returns pieces of text-like content, of many sizes.
func blocks() [][]byte {
	rng := rand.New(rand.NewPCG(3, 4))
	words := make([][]byte, 500)
	for i := range words {
		words[i] = make([]byte, 1+rng.IntN(12))
		for j := range words[i] {
			words[i][j] = byte('a' + rng.IntN(26))
		}
	}
	var all [][]byte
	for range 50 {
		var b []byte
		for size := 1 + rng.IntN(128<<10); len(b) < size; {
			b = append(b, words[rng.IntN(1+rng.IntN(len(words)))]...)
		}
		all = append(all, b[:min(len(b), 128<<10)])
	}
	return all
}

// The result for a block does not depend on the blocks that the compressor had before. Otherwise
// the bytes of a file system would depend on which worker gets which block, and equal files would
// not be found.
func TestCompressorsForget(t *testing.T) {
	for _, opt := range []Options{
		{Compression: Zstd}, {Compression: Zstd, Level: 3}, {Compression: Zstd, Level: 9}, {Compression: Zstd, Level: 19}, {Compression: Gzip}, {Compression: Gzip, Level: 9}, {Compression: LZ4},
	} {
		t.Run(fmt.Sprint(opt.Compression, opt.Level), func(t *testing.T) {
			opt.BlockSize = 128 << 10
			used, err := newCompressor(opt)
			if err != nil {
				t.Fatal(err)
			}
			inflate, err := newInflater(opt.Compression)
			if err != nil {
				t.Fatal(err)
			}
			for i, b := range blocks() {
				fresh, err := newCompressor(opt)
				if err != nil {
					t.Fatal(err)
				}
				want := fresh.compress(nil, b)
				got := used.compress(make([]byte, 0, len(b)), b)
				if !bytes.Equal(got, want) {
					t.Fatalf("block %d of %d bytes becomes %d bytes in a compressor that was used, %d in a new one", i, len(b), len(got), len(want))
				}
				if want == nil {
					continue // it is stored
				}
				if back, err := inflate(room(len(b)), got, len(b)); err != nil || !bytes.Equal(back, b) {
					t.Fatalf("block %d does not inflate to itself: %v", i, err)
				}
				if _, err := inflate(room(len(b)-1), got, len(b)-1); err == nil {
					t.Fatalf("block %d of %d bytes inflates to one byte less", i, len(b))
				}
			}
		})
	}
}

// asXZ compresses a block like mksquashfs -comp xz.
func asXZ(t testing.TB, b []byte, dictionary int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := xz.WriterConfig{DictCap: dictionary, CheckSum: xz.CRC32}.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestInflateXZ(t *testing.T) {
	for i, b := range blocks()[:20] {
		packed := asXZ(t, b, 1<<17)
		if got, err := inflateXZ(room(len(b)), packed, len(b)); err != nil || !bytes.Equal(got, b) {
			t.Fatalf("block %d does not inflate to itself: %v", i, err)
		}
		if _, err := inflateXZ(room(len(b)-1), packed, len(b)-1); err == nil && len(b) > 1 {
			t.Errorf("block %d of %d bytes inflates to one byte less", i, len(b))
		}
		damaged := bytes.Clone(packed)
		damaged[len(damaged)/2] ^= 4
		if got, err := inflateXZ(room(len(b)), damaged, len(b)); err == nil && !bytes.Equal(got, b) {
			t.Errorf("block %d inflates to something else when it is damaged", i)
		}
	}
}

// A header that asks for a dictionary of 4 GiB gets none.
func TestXZDictionaryIsBounded(t *testing.T) {
	packed := asXZ(t, []byte("hello"), 4096)
	packed[16] = 40 // of the block's header: the size of the dictionary
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := inflateXZ(room(8192), packed, 8192); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
		t.Errorf("inflating 5 bytes takes %d bytes", n)
	}
}

// Whatever the input, an inflater returns an error or at most its limit of bytes.
func FuzzInflate(f *testing.F) {
	text := bytes.Repeat([]byte("squash "), 100)
	for _, c := range []Compression{Zstd, Gzip, LZ4} {
		w, err := newCompressor(Options{Compression: c, BlockSize: 4096})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint16(c), w.compress(nil, text))
	}
	f.Add(uint16(XZ), asXZ(f, text, 4096))
	f.Add(uint16(LZO), asLZO(text))
	f.Fuzz(func(t *testing.T, c uint16, src []byte) {
		inflate, err := newInflater(Compression(c))
		if err != nil {
			return
		}
		for _, limit := range []int{metadataSize, 128 << 10} {
			if out, err := inflate(room(limit), src, limit); err == nil && len(out) > limit {
				t.Errorf("%d bytes inflate to %d, beyond the limit of %d", len(src), len(out), limit)
			}
		}
	})
}

func room(limit int) []byte { return make([]byte, 0, limit+inflateSpare) }
