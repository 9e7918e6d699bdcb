package gunzip_test

import (
	"bytes"
	"compress/flate"
	stdgzip "compress/gzip"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"testing/iotest"

	"github.com/hpc3-project/hpc3/launcher/gunzip"
)

// pack compresses with the standard library, an independent implementation of the format.
func pack(t testing.TB, content []byte, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := stdgzip.NewWriterLevel(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// contents exercises the kinds of blocks: empty, noise (stored), runs, few and many symbols, far
// matches, long codes.
func contents() map[string][]byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 300_000)
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	words := bytes.Buffer{}
	for words.Len() < 700_000 {
		words.WriteString([]string{"alpha", "beta ", "gamma\n", "delta", "\x00\x00\x00", "epsilon, "}[rnd.IntN(6)])
		words.Write(noise[rnd.IntN(1000):][:rnd.IntN(4)])
	}
	skewed := make([]byte, 400_000) // Fibonacci-like frequencies make long codes
	for i := range skewed {
		for skewed[i] < 40 && rnd.IntN(3) > 0 {
			skewed[i]++
		}
	}
	far := append(append(append([]byte{}, noise[:20000]...), make([]byte, 12768)...), noise[:20000]...)
	return map[string][]byte{
		"empty": {}, "a byte": {7}, "noise": noise, "zeros": make([]byte, 1_000_000), "words": words.Bytes(), "skewed": skewed,
		"far match": bytes.Repeat(far, 9), "short periods": append(bytes.Repeat([]byte("ab"), 5000), bytes.Repeat([]byte("abcdefg"), 50000)...),
	}
}

// readAll reads with a buffer of the given size; step decides how the source returns its bytes.
func readAll(packed []byte, size int, step func(io.Reader) io.Reader) ([]byte, error) {
	z, err := gunzip.NewReader(step(bytes.NewReader(packed)))
	if err != nil {
		return nil, err
	}
	var all []byte
	for buf := make([]byte, size); ; {
		n, err := z.Read(buf)
		all = append(all, buf[:n]...)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}

func whole(r io.Reader) io.Reader { return r }

func TestContentComesBack(t *testing.T) {
	for name, want := range contents() {
		for level := flate.HuffmanOnly; level <= flate.BestCompression; level++ {
			packed := pack(t, want, level)
			for _, size := range []int{1 << 18, 70_000, 600, 277, 1} {
				if size == 1 && level != flate.BestSpeed {
					continue
				}
				got, err := readAll(packed, size, whole)
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%s at level %d in reads of %d: %d bytes, %v; want %d", name, level, size, len(got), err, len(want))
				}
			}
		}
	}
}

func TestSlowSourcesAndMembers(t *testing.T) {
	content := contents()
	var packed, want []byte
	for _, name := range []string{"words", "empty", "noise", "a byte", "short periods"} {
		packed = append(packed, pack(t, content[name], flate.BestSpeed)...)
		want = append(want, content[name]...)
	}
	for name, step := range map[string]func(io.Reader) io.Reader{"whole": whole, "a byte": iotest.OneByteReader, "half": iotest.HalfReader, "data with EOF": iotest.DataErrReader} {
		got, err := readAll(packed, 1<<18, step)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v; want %d", name, len(got), err, len(want))
		}
	}
}

func TestErrorOfTheSource(t *testing.T) {
	broken := errors.New("broken")
	packed := pack(t, contents()["words"], flate.BestSpeed)
	got, err := readAll(packed, 1<<18, func(io.Reader) io.Reader {
		return io.MultiReader(bytes.NewReader(packed[:len(packed)/2]), iotest.ErrReader(broken))
	})
	if !errors.Is(err, broken) || !bytes.HasPrefix(contents()["words"], got) {
		t.Errorf("%d bytes, %v; want %v after a part of the content", len(got), err, broken)
	}
}

// Wherever a stream is cut, the content before the cut is right and an error reports the cut.
func TestCutShort(t *testing.T) {
	want := contents()["words"][:3000]
	packed := pack(t, want, flate.BestCompression)
	for cut := range len(packed) {
		got, err := readAll(packed[:cut], 1<<18, whole)
		if !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.HasPrefix(want, got) {
			t.Fatalf("cut after %d of %d bytes: %d bytes, %v", cut, len(packed), len(got), err)
		}
	}
}

func TestHeader(t *testing.T) {
	content := []byte("content")
	var b bytes.Buffer
	w := stdgzip.NewWriter(&b)
	w.Name, w.Comment, w.Extra = "name", "comment", bytes.Repeat([]byte{1}, 60000)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	plain := pack(t, content, flate.BestSpeed)
	summed := append([]byte{}, plain[:10]...)
	summed[3] = 2 // FHCRC
	sum := crc32.ChecksumIEEE(summed)
	good := append(append(append([]byte{}, summed...), byte(sum), byte(sum>>8)), plain[10:]...)
	bad := append(append(append([]byte{}, summed...), byte(sum)+1, byte(sum>>8)), plain[10:]...)
	endless := append(append([]byte{0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 0}, bytes.Repeat([]byte("x"), 600)...), plain[10:]...)
	for _, c := range []struct {
		name   string
		packed []byte
		want   error
	}{
		{"all fields", b.Bytes(), nil},
		{"header checksum", good, nil},
		{"wrong header checksum", bad, gunzip.ErrCorrupt},
		{"endless name", endless, gunzip.ErrCorrupt},
		{"no gzip", []byte("no gzip at all"), gunzip.ErrCorrupt},
		{"garbage behind", append(append([]byte{}, plain...), "garbage behind"...), gunzip.ErrCorrupt},
		{"wrong checksum", append(append([]byte{}, plain[:len(plain)-8]...), 1, 2, 3, 4, 7, 0, 0, 0), gunzip.ErrCorrupt},
		{"nothing", nil, io.ErrUnexpectedEOF},
	} {
		got, err := readAll(c.packed, 100, whole)
		if !errors.Is(err, c.want) || c.want == nil && !bytes.Equal(got, content) {
			t.Errorf("%s: %q, %v; want %v", c.name, got, err, c.want)
		}
	}
}

// FuzzRead compares the reader with compress/gzip: the same bytes, and an error for the same input.
func FuzzRead(f *testing.F) {
	for _, content := range contents() {
		content = content[:min(len(content), 3000)] // the fuzzer is slow with long ones
		for _, level := range []int{flate.HuffmanOnly, flate.NoCompression, flate.BestSpeed, flate.BestCompression} {
			f.Add(pack(f, content, level), uint16(1000))
		}
	}
	f.Add(append(pack(f, []byte("one"), 1), pack(f, []byte("two"), 9)...), uint16(1))
	f.Fuzz(func(t *testing.T, packed []byte, size uint16) {
		const limit = 1 << 20
		var want []byte
		std, wantErr := stdgzip.NewReader(bytes.NewReader(packed))
		if wantErr == nil {
			want, wantErr = io.ReadAll(io.LimitReader(std, limit))
		}
		z, err := gunzip.NewReader(bytes.NewReader(packed))
		var got []byte
		if err == nil {
			got, err = io.ReadAll(&sizedReader{io.LimitReader(z, limit), max(1, int(size))})
		}
		if (err == nil) != (wantErr == nil) || err == nil && !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, %v; compress/gzip reads %d bytes, %v", len(got), err, len(want), wantErr)
		}
		if n := min(len(got), len(want)); !bytes.Equal(got[:n], want[:n]) {
			t.Fatalf("the content before the error differs from compress/gzip's")
		}
	})
}

// sizedReader reads at most size bytes of r at a time.
type sizedReader struct {
	r    io.Reader
	size int
}

func (s *sizedReader) Read(p []byte) (int, error) {
	buf := make([]byte, s.size)
	n, err := s.r.Read(buf[:min(len(p), s.size)])
	copy(p, buf[:n])
	return n, err
}

// BenchmarkRead reads the file named by HPC3_BENCH_GZIP, also with compress/gzip.
func BenchmarkRead(b *testing.B) {
	packed := pack(b, contents()["words"], flate.BestSpeed)
	if file := os.Getenv("HPC3_BENCH_GZIP"); file != "" {
		var err error
		if packed, err = os.ReadFile(file); err != nil {
			b.Fatal(err)
		}
	}
	for name, open := range map[string]func(io.Reader) (io.Reader, error){
		"gunzip":        func(r io.Reader) (io.Reader, error) { return gunzip.NewReader(r) },
		"compress/gzip": func(r io.Reader) (io.Reader, error) { return stdgzip.NewReader(r) },
	} {
		b.Run(name, func(b *testing.B) {
			buf := make([]byte, 256<<10)
			for b.Loop() {
				z, err := open(bytes.NewReader(packed))
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{z}, buf)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(n)
			}
		})
	}
}
