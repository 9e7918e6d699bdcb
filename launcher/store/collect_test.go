package store

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

var noLimit = Collection{MaxAge: -1, MaxSize: -1, MaxLayers: -1}

// stock makes a SIF of so many bytes for the manifest {"n":N}, last used so many hours ago, and
// returns its path.
func stock(t *testing.T, s *Store, n string, size, hours int) string {
	t.Helper()
	manifest := []byte(`{"n":` + n + `}`)
	digest := "sha256:" + sumOf("sha256", manifest)
	if err := s.PutBlob(digest, manifest); err != nil {
		t.Fatal(err)
	}
	path, err := s.CreateSIF(t.Context(), digest, "amd64", func(f *os.File) error {
		_, err := io.WriteString(f, strings.Repeat(n, size))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	age(t, path, hours)
	age(t, filepath.Join(s.Dir(), dirBlobs, "sha256", digest[7:]), hours)
	return path
}

func age(t *testing.T, path string, hours int) {
	t.Helper()
	when := time.Now().Add(-time.Duration(hours) * time.Hour)
	if err := os.Chtimes(path, when, when); err != nil {
		t.Fatal(err)
	}
}

// collect returns the kinds of what was removed.
func collect(t *testing.T, s *Store, opt Collection) (Collected, string) {
	t.Helper()
	got, err := s.Collect(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	var freed int64
	for _, r := range got.Removed {
		kinds = append(kinds, r.Kind)
		freed += r.Size
		if _, err := os.Lstat(r.Path); errors.Is(err, os.ErrNotExist) == opt.DryRun || r.Why == "" {
			t.Errorf("removed %+v, dry run %v: %v", r, opt.DryRun, err)
		}
	}
	if freed != got.Freed {
		t.Errorf("freed %d bytes, the files had %d", got.Freed, freed)
	}
	return got, strings.Join(kinds, " ")
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestCollectLimits(t *testing.T) {
	tests := []struct {
		name   string
		opt    Collection
		gone   []int // of the SIFs 0 to 3, of 1000 bytes each, last used 0, 24, 48, 72 hours ago
		layers bool  // the layer, of 500 bytes and 60 hours ago, is kept
	}{
		{"no limit", noLimit, nil, true},
		{"age", Collection{MaxAge: 50 * time.Hour, MaxSize: -1, MaxLayers: -1}, []int{3}, false},
		{"layers", Collection{MaxAge: -1, MaxSize: -1, MaxLayers: 499}, nil, false},
		{"size", Collection{MaxAge: -1, MaxSize: 3600, MaxLayers: -1}, []int{3}, true},
		{"smaller", Collection{MaxAge: -1, MaxSize: 3100, MaxLayers: -1}, []int{3}, false},
		{"both", Collection{MaxAge: 70 * time.Hour, MaxSize: 2100}, []int{2, 3}, false},
		{"nothing may stay", Collection{MaxAge: 0, MaxSize: 0}, []int{0, 1, 2, 3}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, t.TempDir())
			var sifs []string
			for i, n := range []string{"0", "1", "2", "3"} {
				sifs = append(sifs, stock(t, s, n, 1000, 24*i))
			}
			digest, raw := aLayer(500, "x")
			keep(t, s, digest, raw, -1)
			layer := filepath.Join(s.Dir(), dirLayers, "sha256", digest[7:])
			age(t, layer, 60)
			dry := tt.opt
			dry.DryRun = true
			planned, _ := collect(t, s, dry)
			got, _ := collect(t, s, tt.opt)
			if len(planned.Removed) != len(got.Removed) || planned.Freed != got.Freed || planned.Kept != got.Kept {
				t.Errorf("the dry run says %+v, then it is %+v", planned, got)
			}
			for i, path := range sifs {
				if exists(path) == slices.Contains(tt.gone, i) {
					t.Errorf("SIF %d is there: %v", i, exists(path))
				}
			}
			if exists(layer) != tt.layers {
				t.Errorf("the layer is there: %v", exists(layer))
			}
			if again, kinds := collect(t, s, noLimit); len(again.Removed) > 0 {
				t.Errorf("a second run removes %s", kinds)
			}
		})
	}
}

// What is open under a lock, what a process is said to have open, and what is being made: all stay,
// whatever the limits.
func TestCollectSparesWhatRuns(t *testing.T) {
	s := open(t, t.TempDir())
	served, live, busy, idle := stock(t, s, "1", 100, 50), stock(t, s, "2", 100, 50), stock(t, s, "3", 100, 50), stock(t, s, "4", 100, 50)
	f, err := os.Open(served)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	root, err := s.ready(dirLocks)
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.tryLock(root, filepath.Base(filepath.Dir(busy)))
	if err != nil || l == nil {
		t.Fatal(err)
	}
	opt := Collection{InUse: func(path string) bool { return path == live }}
	got, _ := collect(t, s, opt)
	for path, want := range map[string]bool{served: true, live: true, busy: true, idle: false} {
		if exists(path) != want {
			t.Errorf("%s is there: %v, want %v", path, exists(path), want)
		}
	}
	if got.InUse != 300 {
		t.Errorf("in use are %d bytes, want 300", got.InUse)
	}
	l.release()
	f.Close()
	if collect(t, s, Collection{}); exists(served) || exists(busy) {
		t.Error("what is no longer in use is still there")
	}
	wantClean(t, s)
}

// A start that notes its use between the choice of what to remove and the removal is seen.
func TestCollectLooksAgain(t *testing.T) {
	s := open(t, t.TempDir())
	path := stock(t, s, "1", 100, 50)
	got, _ := collect(t, s, Collection{InUse: func(string) bool { Used(path); return false }})
	if !exists(path) || len(got.Removed) > 0 {
		t.Errorf("removed %+v", got.Removed)
	}
	if _, ok, err := s.SIF("sha256:"+sumOf("sha256", []byte(`{"n":1}`)), "amd64"); !ok || err != nil {
		t.Errorf("SIF: %v, %v", ok, err)
	}
	wantClean(t, s)
}

func TestCollectGarbage(t *testing.T) {
	s := open(t, t.TempDir())
	sif := stock(t, s, "1", 100, 50)
	blob := func(text string) string {
		digest := "sha256:" + sumOf("sha256", []byte(text))
		if err := s.PutBlob(digest, []byte(text)); err != nil {
			t.Fatal(err)
		}
		age(t, filepath.Join(s.Dir(), dirBlobs, "sha256", digest[7:]), 50)
		return digest
	}
	leaf := blob("leaf")
	index := blob("links " + leaf)
	blob("nobody wants it")
	young := []byte("young")
	if err := s.PutBlob("sha256:"+sumOf("sha256", young), young); err != nil {
		t.Fatal(err)
	}
	for ref, digest := range map[string]string{"good": index, "stale": index, "dangling": otherDigest} {
		if err := s.SetPin(Pin{Reference: ref, Digest: digest}); err != nil {
			t.Fatal(err)
		}
		age(t, filepath.Join(s.Dir(), dirRefs, pinName(ref)), 50)
	}
	for _, name := range []string{dirTmp + "/x." + s.boot + ".dead", dirTmp + "/layer." + s.boot + ".dead", dirTmp + "/." + s.boot + ".odd", dirLocks + "/left.lock", dirSIF + "/" + filepath.Base(filepath.Dir(sif)) + "/24.sif"} {
		file := filepath.Join(s.Dir(), name)
		if err := os.WriteFile(file, []byte("abandoned"), 0o600); err != nil {
			t.Fatal(err)
		}
		age(t, file, 2)
	}
	opt := noLimit
	opt.Stale = func(ref string) bool { return ref == "stale" }
	opt.Links = func(raw []byte) []string { return strings.Fields(string(raw)) }
	_, kinds := collect(t, s, opt)
	if want := "blob pin pin sif temporary temporary temporary"; kinds != want {
		t.Errorf("removed %s, want %s", kinds, want)
	}
	wantClean(t, s)
	if _, ok, _ := s.Pin("good"); !ok || !exists(sif) {
		t.Error("what is good is gone")
	}
	if broken, looked := verify(t, s, false); len(broken) > 0 || looked != 5 {
		t.Errorf("left are %d files, of which are broken %q; want 5", looked, broken)
	}
}

// Pins that nobody asked for go with the SIFs that they lead to, and not before.
func TestCollectOldPins(t *testing.T) {
	s := open(t, t.TempDir())
	stock(t, s, "1", 100, 50)
	manifest := "sha256:" + sumOf("sha256", []byte(`{"n":1}`))
	if err := s.SetPin(Pin{Reference: "x", Digest: manifest, Time: time.Now().Add(-90 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	age(t, filepath.Join(s.Dir(), dirRefs, pinName("x")), 90)
	if _, kinds := collect(t, s, Collection{MaxAge: 60 * time.Hour, MaxSize: -1, MaxLayers: -1}); kinds != "" {
		t.Errorf("removed %s", kinds)
	}
	if _, kinds := collect(t, s, Collection{MaxAge: 40 * time.Hour, MaxSize: -1, MaxLayers: -1}); kinds != "blob pin sif" {
		t.Errorf("removed %s", kinds)
	}
}

func TestCollectRefuses(t *testing.T) {
	if got, err := open(t, filepath.Join(t.TempDir(), "none")).Collect(t.Context(), noLimit); err != nil || len(got.Removed) > 0 {
		t.Errorf("Collect where there is no cache = %+v, %v", got, err)
	}
	s := open(t, t.TempDir())
	path := stock(t, s, "1", 100, 50)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Collect(ctx, Collection{}); !errors.Is(err, context.Canceled) || !exists(path) {
		t.Errorf("Collect that nobody waits for: %v", err)
	}
}

func TestCollectSparesWhatContainersHave(t *testing.T) {
	s := open(t, t.TempDir())
	keep := func() (string, os.FileInfo) {
		t.Helper()
		file, err := s.KeepFile([]byte("root:x:0:0:::\n"))
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		return file, info
	}
	file, first := keep()
	if _, again := keep(); !os.SameFile(first, again) || again.Mode() != privateFile {
		t.Errorf("it was written anew, or others may read it: %v", again.Mode())
	}
	if _, removed := collect(t, s, noLimit); removed != "" || !exists(file) {
		t.Errorf("removed %q while a container may have it", removed)
	}
	age(t, file, 2) // as if keptFor was over
	if _, removed := collect(t, s, noLimit); removed != KindBlob || exists(file) {
		t.Errorf("removed %q when no container has it any more", removed)
	}
}
