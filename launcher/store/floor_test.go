package store

import (
	"os"
	"path/filepath"
	"testing"
)

// What an image needs is kept with it, as readable as it is, and goes with it.
func TestFloor(t *testing.T) {
	public := true
	s, err := OpenWith(filepath.Join(t.TempDir(), "cache"), Options{Shared: true, Public: func() bool { return public }})
	if err != nil {
		t.Fatal(err)
	}
	digest := func(n string) string { return "sha256:" + sumOf("sha256", []byte(`{"n":`+n+`}`)) }
	file := func(n string) string { return filepath.Join(s.Dir(), dirFloors, "sha256-"+digest(n)[7:]+".json") }
	keep := func(n string, mode os.FileMode) {
		t.Helper()
		if err := s.KeepFloor(digest(n), []byte("needs "+n)); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(file(n)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v; want mode %#o", n, info, err, mode)
		}
	}
	stock(t, s, "1", 10, 2)
	stock(t, s, "2", 10, 2)
	keep("1", publicFile)
	public = false
	keep("1", publicFile) // it says the same
	keep("2", privateFile)
	keep("3", privateFile) // nothing else of it is there
	if got := string(s.Floor(digest("1"))); got != "needs 1" {
		t.Errorf("Floor() = %q", got)
	}
	if got := s.Floor(digest("4")); got != nil || s.Floor("x") != nil {
		t.Errorf("Floor() of another = %q", got)
	}
	if err := s.KeepFloor(digest("1"), make([]byte, maxFloor+1)); err == nil {
		t.Error("a document of any size is kept")
	}
	collect(t, s, noLimit)
	if !exists(file("3")) {
		t.Error("what was just learned is gone")
	}
	for _, n := range []string{"1", "2", "3"} {
		age(t, file(n), 2)
	}
	if _, err := s.Collect(t.Context(), Collection{MaxAge: -1, MaxSize: -1, MaxLayers: -1, DryRun: true}); err != nil || !exists(file("3")) {
		t.Errorf("a dry run: %v", err)
	}
	collect(t, s, noLimit)
	if exists(file("3")) || !exists(file("1")) || !exists(file("2")) {
		t.Error("what leads to nothing is kept, or what leads to an image is gone")
	}
	if _, err := s.Remove(t.Context(), noLimit, func(d string) bool { return d == digest("1") }); err != nil {
		t.Fatal(err)
	}
	if exists(file("1")) || !exists(file("2")) {
		t.Error("the removed image's stays, or another's is gone")
	}
	if err := os.Chmod(file("2"), 0o666); err != nil {
		t.Fatal(err)
	}
	if got := s.Floor(digest("2")); got != nil {
		t.Errorf("what others may write counts: %q", got)
	}
}
