package store

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// shelf is a store with two images, which have a layer in common, an index of the first, and a part
// of a layer that it has as well.
type shelf struct {
	*Store

	digests map[string]string
	sifs    map[string]string
}

func (s shelf) want(names ...string) func(string) bool {
	return func(digest string) bool {
		for _, n := range names {
			if s.digests[n] == digest {
				return true
			}
		}
		return false
	}
}

// there lists what is left, by name.
func (s shelf) there(t *testing.T) string {
	t.Helper()
	var left []string
	for _, n := range []string{"index", "a", "b", "common", "own"} {
		at := filepath.Join(dirBlobs, "sha256")
		if n == "common" || n == "own" {
			at = filepath.Join(dirLayers, "sha256")
		}
		if exists(filepath.Join(s.Dir(), at, s.digests[n][7:])) {
			left = append(left, n)
		}
	}
	if len(names(t, s.Store, dirPartial)) > 0 {
		left = append(left, "part")
	}
	for _, n := range []string{"a", "b"} {
		if exists(s.sifs[n]) {
			left = append(left, n+".sif")
		}
	}
	pins, err := s.Pins()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"app:1", "app:2"} {
		for _, p := range pins {
			if p.Reference == n {
				left = append(left, n)
			}
		}
	}
	return strings.Join(left, " ")
}

func words(raw []byte) []string {
	list := strings.Fields(string(raw))
	if len(list) == 0 || list[0] != "links" {
		return nil
	}
	return list[1:]
}

func fill(t *testing.T) shelf {
	t.Helper()
	s := shelf{open(t, t.TempDir()), map[string]string{}, map[string]string{}}
	for n, text := range map[string]string{"common": "c", "own": "o"} {
		digest, raw := aLayer(500, text)
		keep(t, s.Store, digest, raw, -1)
		s.digests[n] = digest
	}
	put := func(n, text string) {
		s.digests[n] = "sha256:" + sumOf("sha256", []byte(text))
		if err := s.PutBlob(s.digests[n], []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	digest, raw := aLayer(500, "p")
	begun(t, s.Store, digest, raw, 300)
	s.digests["part"] = digest
	put("a", "links "+s.digests["common"]+" "+s.digests["own"]+" "+digest)
	put("b", "links "+s.digests["common"])
	put("index", "links "+s.digests["a"])
	for _, n := range []string{"a", "b"} {
		file, err := s.CreateSIF(t.Context(), s.digests[n], "amd64", func(f *os.File) error {
			_, err := io.WriteString(f, "the image "+n)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		s.sifs[n] = file
	}
	for ref, n := range map[string]string{"app:1": "index", "app:2": "b"} {
		if err := s.SetPin(Pin{Reference: ref, Digest: s.digests[n]}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// All of it is young: what is not in use goes at once.
func TestRemove(t *testing.T) {
	const all = "index a b common own part a.sif b.sif app:1 app:2"
	tests := []struct {
		name string
		want []string // digests
		hold string   // the SIF that is in use
		left string
	}{
		{"an image and what leads to it", []string{"index", "a", "common", "own", "part"}, "", "b common b.sif app:2"},
		{"an image of an index that stays", []string{"a", "common", "own", "part"}, "", "index a b common b.sif app:1 app:2"},
		{"what another image needs not", []string{"b", "common"}, "", "index a common own part a.sif app:1"},
		{"all", []string{"index", "a", "b", "common", "own", "part"}, "", ""},
		{"what runs", []string{"index", "a", "common", "own", "part"}, "a", all},
		{"all but what runs", []string{"index", "a", "b", "common", "own", "part"}, "a", "index a common own part a.sif app:1"},
		{"nothing", nil, "", all},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := fill(t)
			if tt.hold != "" {
				f, gone := Hold(s.sifs[tt.hold])
				if gone {
					t.Fatal("it is gone")
				}
				defer f.Close()
			}
			opt := Collection{Links: words, DryRun: true}
			planned, err := s.Remove(t.Context(), opt, s.want(tt.want...))
			if left := s.there(t); err != nil || left != all {
				t.Errorf("the dry run leaves %s: %v", left, err)
			}
			opt.DryRun = false
			got, err := s.Remove(t.Context(), opt, s.want(tt.want...))
			if left := s.there(t); err != nil || left != tt.left {
				t.Errorf("left are %s: %v; want %s", left, err, tt.left)
			}
			if len(planned.Removed) != len(got.Removed) || planned.Freed != got.Freed {
				t.Errorf("the dry run says %+v, then it is %+v", planned, got)
			}
			if spared := len(got.Spared) > 0; spared != (tt.hold != "") || spared && !strings.Contains(got.Spared[0].Why, "in use") {
				t.Errorf("spared are %+v", got.Spared)
			}
			wantClean(t, s.Store)
		})
	}
}

// Of a start and a removal one is first: the start has the file and it stays, or it finds none.
func TestHold(t *testing.T) {
	s := open(t, t.TempDir())
	path := stock(t, s, "1", 100, 50)
	if f, gone := Hold(path + "x"); f != nil || !gone {
		t.Errorf("Hold of a file that is not there = %v, %v", f, gone)
	}
	f, gone := Hold(path)
	if f == nil || gone {
		t.Fatalf("Hold = %v, %v", f, gone)
	}
	if collect(t, s, Collection{}); !exists(path) {
		t.Fatal("what is held was removed")
	}
	f.Close()
	lock, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	lost := make(chan bool)
	go func() {
		_, gone := Hold(path)
		lost <- gone
	}()
	if err := os.Rename(path, path+".aside"); err != nil {
		t.Fatal(err)
	}
	lock.Close()
	if !<-lost {
		t.Error("Hold has a file that was taken away")
	}
}

// Where other nodes may have a file open, the hour after its last use is waited for.
func TestRemoveWaitsForOtherNodes(t *testing.T) {
	s := open(t, t.TempDir())
	young, old := stock(t, s, "1", 100, 0), stock(t, s, "2", 100, 2)
	c, err := s.collector(Collection{})
	if err != nil {
		t.Fatal(err)
	}
	c.alone = false
	if err := c.gather(); err != nil {
		t.Fatal(err)
	}
	for _, k := range c.kept {
		c.remove(k, "test")
	}
	if !exists(young) || exists(old) {
		t.Errorf("the young is there: %v, the old: %v", exists(young), exists(old))
	}
	if len(c.done.Spared) != 1 || !strings.Contains(c.done.Spared[0].Why, "another node") {
		t.Errorf("spared are %+v", c.done.Spared)
	}
}
