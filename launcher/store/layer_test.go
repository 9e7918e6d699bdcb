package store

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// aLayer is a layer of so many bytes, and its digest.
func aLayer(size int, fill string) (digest string, raw []byte) {
	raw = bytes.Repeat([]byte(fill), size)
	return "sha256:" + sumOf("sha256", raw), raw
}

// keep lets a layer pass through the store.
func keep(t *testing.T, s *Store, digest string, raw []byte, limit int64) {
	t.Helper()
	r := s.Fetch(digest, int64(len(raw)), limit).Copy(io.NopCloser(bytes.NewReader(raw)), 0)
	got, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, raw) {
		t.Fatalf("reading through a copy: %d bytes, %v; want %d", len(got), err, len(raw))
	}
}

func has(s *Store, digest string, size int) bool {
	r, _, ok := s.Layer(digest, int64(size))
	if ok {
		r.Close()
	}
	return ok
}

func TestLayer(t *testing.T) {
	s := open(t, t.TempDir())
	digest, raw := aLayer(300_000, "x")
	keep(t, s, digest, raw, -1)
	r, public, ok := s.Layer(digest, int64(len(raw)))
	if !ok || public {
		t.Fatalf("Layer = public %v, %v", public, ok)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, raw) {
		t.Errorf("the copy has %d bytes, %v", len(got), err)
	}
	if has(s, digest, len(raw)-1) {
		t.Error("a layer of another size is found")
	}
	wantClean(t, s)
}

// A copy of a layer that did not come to its end, or of a broken one, is never seen.
func TestHalfLayer(t *testing.T) {
	s := open(t, t.TempDir())
	digest, raw := aLayer(1000, "x")
	broken := errors.New("the network is gone")
	for name, src := range map[string]io.Reader{
		"closed early": bytes.NewReader(raw), "cut": io.MultiReader(bytes.NewReader(raw[:500]), failing{broken}), "wrong at the end": io.MultiReader(bytes.NewReader(raw), failing{broken}),
	} {
		r := s.Fetch(digest, 1000, -1).Copy(io.NopCloser(src), 0)
		if name == "closed early" {
			if _, err := io.CopyN(io.Discard, r, 10); err != nil {
				t.Fatal(err)
			}
		} else if _, err := io.ReadAll(r); !errors.Is(err, broken) {
			t.Errorf("%s: %v", name, err)
		}
		if has(s, digest, 1000) {
			t.Errorf("%s: the layer is there before Close", name)
		}
		r.Close()
		if has(s, digest, 1000) {
			t.Errorf("%s: the layer is there", name)
		}
		wantClean(t, s)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// A damaged copy is found out at its end at the latest, and removed.
func TestDamagedLayer(t *testing.T) {
	s := open(t, t.TempDir())
	digest, raw := aLayer(1000, "x")
	keep(t, s, digest, raw, -1)
	file := filepath.Join(s.Dir(), dirLayers, "sha256", digest[7:])
	if err := errors.Join(os.Chmod(file, 0o600), os.WriteFile(file, bytes.Repeat([]byte("y"), 1000), 0o600)); err != nil {
		t.Fatal(err)
	}
	r, _, ok := s.Layer(digest, 1000)
	if !ok {
		t.Fatal("no layer")
	}
	defer r.Close()
	_, err := io.Copy(io.Discard, r)
	var damaged *DamagedError
	if !errors.As(err, &damaged) || damaged.Digest != digest {
		t.Errorf("reading a damaged layer: %v", err)
	}
	wantFault(t, err, "its content has another digest")
	if has(s, digest, 1000) {
		t.Error("the damaged layer is still there")
	}
}

func TestLayersAreEvicted(t *testing.T) {
	s := open(t, t.TempDir())
	var digests []string
	for i, fill := range []string{"a", "b", "c"} {
		digest, raw := aLayer(1000, fill)
		digests = append(digests, digest)
		keep(t, s, digest, raw, 2500)
		when := time.Now().Add(time.Duration(i-10) * time.Hour)
		if err := os.Chtimes(filepath.Join(s.Dir(), dirLayers, "sha256", digest[7:]), when, when); err != nil {
			t.Fatal(err)
		}
		if i == 1 && !has(s, digests[0], 1000) { // used, hence not the oldest any more
			t.Fatal("the first layer is gone")
		}
	}
	for i, want := range []bool{true, false, true} {
		if got := has(s, digests[i], 1000); got != want {
			t.Errorf("layer %d is there: %v, want %v", i, got, want)
		}
	}
	digest, raw := aLayer(3000, "d")
	keep(t, s, digest, raw, 2500)
	if has(s, digest, 3000) {
		t.Error("a layer larger than the limit is kept")
	}
	if !has(s, digests[0], 1000) {
		t.Error("a layer that is too large has driven out another")
	}
}

// A full file system loses the copy, and not what was read.
func TestLayerOnFullFileSystem(t *testing.T) {
	s := open(t, filepath.Join(mountTmpfs(t, "size=64k"), "hpc3"))
	digest, raw := aLayer(1<<20, "x")
	keep(t, s, digest, raw, -1)
	if has(s, digest, len(raw)) {
		t.Error("a layer is there that did not fit")
	}
	wantClean(t, s)
}
