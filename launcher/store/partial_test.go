package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// begun leaves the first bytes of a layer in a store.
func begun(t *testing.T, s *Store, digest string, raw []byte, n int64) {
	t.Helper()
	r := s.Fetch(digest, int64(len(raw)), -1).Copy(io.NopCloser(bytes.NewReader(raw)), 0)
	if _, err := io.CopyN(io.Discard, r, n); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func beginningOf(t *testing.T, p *Partial) []byte {
	t.Helper()
	r, size := p.Kept()
	raw, err := io.ReadAll(r)
	if err != nil || int64(len(raw)) != size {
		t.Fatalf("Kept gives %d bytes of %d, %v", len(raw), size, err)
	}
	return raw
}

// What has come of a layer is there for the next that fetches it, which makes it whole.
func TestPartial(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	digest, raw := aLayer(1000, "x")
	begun(t, s, digest, raw, 400)
	if has(s, digest, 1000) {
		t.Error("a part of a layer counts as one")
	}
	p := open(t, dir).Fetch(digest, 1000, -1)
	if got := beginningOf(t, p); !bytes.Equal(got, raw[:400]) {
		t.Fatalf("kept are %d bytes", len(got))
	}
	r := p.Copy(io.NopCloser(bytes.NewReader(raw)), 400) // the source gives those as well
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, raw) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := r.Close(); err != nil || !has(s, digest, 1000) || len(names(t, s, dirPartial)) > 0 {
		t.Errorf("Close = %v, the layer is there: %v, partials: %q", err, has(s, digest, 1000), names(t, s, dirPartial))
	}
}

// Of a layer that is as long as it should be the last byte is asked for all the same; a longer file
// is cut.
func TestPartialThatIsWhole(t *testing.T) {
	s := open(t, t.TempDir())
	digest, raw := aLayer(1000, "x")
	for _, size := range []int{1000, 5000} {
		if _, err := s.ready(dirPartial); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(s.Dir(), dirPartial, "sha256-"+digest[7:])
		if err := os.WriteFile(file, bytes.Repeat([]byte("x"), size), 0o600); err != nil {
			t.Fatal(err)
		}
		p := s.Fetch(digest, 1000, -1)
		if got := beginningOf(t, p); !bytes.Equal(got, raw[:999]) {
			t.Errorf("of %d bytes %d are kept", size, len(got))
		}
		p.Drop()
	}
}

// Nobody takes what another writes: where locks tell, until that one is dead, else for ten minutes.
func TestPartialOfAnother(t *testing.T) {
	digest, raw := aLayer(1000, "x")
	unlockable := func(*os.File) error { return syscall.ENOLCK }
	for _, tt := range []struct {
		name  string
		boot  string // of the writer; "" for this node's
		flock func(*os.File) error
		dead  bool
		age   time.Duration
		taken bool
	}{
		{"it lives", "", flock, false, 0, false},
		{"it lives, and nothing came for long", "", flock, false, time.Hour, false},
		{"it is dead", "", flock, true, 0, true},
		{"another node", "0123456789abcdef0123456789abcdef", flock, true, time.Minute, false},
		{"another node, long ago", "0123456789abcdef0123456789abcdef", flock, true, 11 * time.Minute, true},
		{"no locks", "", unlockable, true, time.Minute, false},
		{"no locks, long ago", "", unlockable, true, 11 * time.Minute, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			s.flock = tt.flock
			if tt.boot != "" {
				s.boot = tt.boot
			}
			p := s.Fetch(digest, 1000, -1)
			if _, err := io.CopyN(io.Discard, p.Copy(io.NopCloser(bytes.NewReader(raw)), 0), 400); err != nil {
				t.Fatal(err)
			}
			when := time.Now().Add(-tt.age)
			if err := os.Chtimes(filepath.Join(dir, p.name), when, when); err != nil {
				t.Fatal(err)
			}
			if tt.dead {
				p.f.Close()
			}
			other := open(t, dir)
			other.flock = tt.flock
			next := other.Fetch(digest, 1000, -1)
			if got := len(beginningOf(t, next)) == 400; got != tt.taken {
				t.Errorf("taken: %v, want %v", got, tt.taken)
			}
			next.Leave()
		})
	}
}

// What others could have written, or is no file, is not gone on with.
func TestPartialOfNobody(t *testing.T) {
	digest, raw := aLayer(1000, "x")
	for name, spoil := range map[string]func(file string) error{
		"others may write": func(file string) error { return os.Chmod(file, 0o666) },
		"a link": func(file string) error {
			return errors.Join(os.Rename(file, file+"-aside"), os.Symlink(file+"-aside", file))
		},
		"a directory": func(file string) error { return errors.Join(os.Remove(file), os.Mkdir(file, 0o700)) },
		"a FIFO":      func(file string) error { return errors.Join(os.Remove(file), syscall.Mkfifo(file, 0o600)) },
	} {
		s := open(t, t.TempDir())
		begun(t, s, digest, raw, 400)
		if err := spoil(filepath.Join(s.Dir(), dirPartial, "sha256-"+digest[7:])); err != nil {
			t.Fatal(err)
		}
		p := s.Fetch(digest, 1000, -1)
		if p == nil || len(beginningOf(t, p)) > 0 {
			t.Errorf("%s: it is gone on with", name)
		}
		p.Leave()
	}
}

// What is left, and what is not.
func TestPartialEnds(t *testing.T) {
	digest, raw := aLayer(1000, "x")
	gone := errors.New("the network is gone")
	for _, tt := range []struct {
		name   string
		src    io.Reader
		limit  int64
		left   int
		failed bool
	}{
		{"the network is gone", io.MultiReader(bytes.NewReader(raw[:500]), failing{gone}), -1, 1, true},
		{"nobody reads on", io.MultiReader(bytes.NewReader(raw[:500]), failing{context.Canceled}), -1, 1, false},
		{"nothing came", failing{gone}, -1, 0, true},
		{"all came, and it is another", io.MultiReader(bytes.NewReader(raw), failing{gone}), -1, 0, false},
		{"it is larger than what is kept", bytes.NewReader(raw), 999, 0, false},
		{"a part of one that is larger", io.MultiReader(bytes.NewReader(raw[:500]), failing{gone}), 999, 1, true},
	} {
		s := open(t, t.TempDir())
		p := s.Fetch(digest, 1000, tt.limit)
		r := p.Copy(io.NopCloser(tt.src), 0)
		_, _ = io.ReadAll(r) // the errors are those of the table
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if left := names(t, s, dirPartial); len(left) != tt.left || p.Failed() != tt.failed || has(s, digest, 1000) {
			t.Errorf("%s: left are %q, failed: %v, the layer is there: %v", tt.name, left, p.Failed(), has(s, digest, 1000))
		}
	}
}

// What nobody went on with for a week goes with the next SIF that is made, and by the limits of a
// collection.
func TestOldPartials(t *testing.T) {
	for _, tt := range []struct {
		name string
		age  time.Duration
		opt  Collection
		goes bool
	}{
		{"young", 6 * 24 * time.Hour, Collection{MaxAge: -1, MaxSize: -1, MaxLayers: -1}, false},
		{"old", 8 * 24 * time.Hour, Collection{MaxAge: -1, MaxSize: -1, MaxLayers: -1}, true},
		{"older than may be", 2 * 24 * time.Hour, Collection{MaxAge: 24 * time.Hour, MaxSize: -1, MaxLayers: -1}, true},
		{"too large", 2 * time.Hour, Collection{MaxAge: -1, MaxSize: 100, MaxLayers: -1}, true},
	} {
		s := open(t, t.TempDir())
		digest, raw := aLayer(1000, "x")
		begun(t, s, digest, raw, 400)
		file, when := filepath.Join(s.Dir(), dirPartial, "sha256-"+digest[7:]), time.Now().Add(-tt.age)
		if err := os.Chtimes(file, when, when); err != nil {
			t.Fatal(err)
		}
		got, err := s.Collect(t.Context(), tt.opt)
		if _, there := os.Stat(file); err != nil || (there != nil) != tt.goes || (got.Freed == 400) != tt.goes {
			t.Errorf("%s: %+v, %v, %v", tt.name, got, err, there)
		}
	}
	s := open(t, t.TempDir())
	digest, raw := aLayer(1000, "x")
	begun(t, s, digest, raw, 400)
	when := time.Now().Add(-8 * 24 * time.Hour)
	if err := os.Chtimes(filepath.Join(s.Dir(), dirPartial, "sha256-"+digest[7:]), when, when); err != nil {
		t.Fatal(err)
	}
	if _, err := create(s, content); err != nil {
		t.Fatal(err)
	}
	if count, _ := s.Partials(); count > 0 {
		t.Error("an old partial is there after a SIF was made")
	}
}
