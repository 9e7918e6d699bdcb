package upkeep

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/caches"

	"github.com/hpc3-project/hpc3/launcher/oci"
)

// What a process has open is found by its name below the cache, and no longer when it is closed. A
// file of the same name in another cache is another.
func TestOpenFiles(t *testing.T) {
	var files []string
	for range 2 {
		file := filepath.Join(t.TempDir(), "sif/sha256-00-amd64-v1/24-11.sif")
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("x"), 0o400); err != nil {
			t.Fatal(err)
		}
		if openFiles().has(file) {
			t.Error("a file counts as open that nobody has open")
		}
		files = append(files, file)
	}
	f, err := os.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !openFiles().has(files[0]) {
		t.Error("a file that is open is not found")
	}
	if openFiles().has(files[1]) || openFiles().has(files[0]+"/x") {
		t.Error("another file counts as open")
	}
}

// The pin of a local file is stale when the file is another one, or gone; that of a registry never
// is.
func TestStale(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "index.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	ref, err := oci.ParseReference("oci:" + dir)
	if err != nil {
		t.Fatal(err)
	}
	key, err := caches.Key(ref)
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]bool{key: false, key + "1": true, "oci:/no/such/dir size=1 mtime=1": true, "docker.io/library/debian:12": false, "docker.io/library/debian:12 tags": false} {
		if got := stale(k); got != want {
			t.Errorf("stale(%q) = %v, want %v", k, got, want)
		}
	}
}
