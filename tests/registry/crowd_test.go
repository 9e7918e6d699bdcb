package registry

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hpc3-project/hpc3/tests/internal/images"
	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// TestCrowd lets 64 processes ask for the same image at once: it is fetched and converted once, and
// all have it.
func TestCrowd(t *testing.T) {
	const processes = 64
	registry := images.StartRegistry(t)
	layers := layersOf(t, registry.Host+"/counted/app:1")
	started := make(chan struct{}) // no layer is sent before all have been
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if layers[path.Base(req.URL.Path)] {
			<-started
		}
		registry.ServeHTTP(w, req)
	}))
	defer server.Close()
	image := strings.TrimPrefix(server.URL, "http://") + "/counted/app:1"
	home := t.TempDir()
	env := append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME=", "HPC3_CACHEDIR=", "HPC3_CONFIG="+filepath.Join(home, "none.toml"), "HPC3_ENGINE=native")
	if err := os.WriteFile(filepath.Join(home, "none.toml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var crowd []*exec.Cmd
	for range processes {
		cmd := exec.Command(filepath.Join(lab.Programs(), "hpc3"), "pull", "-q", "--platform", "linux/amd64", image)
		cmd.Env, cmd.Stderr = env, new(bytes.Buffer)
		if err := cmd.Start(); err != nil {
			t.Error(err)
			continue
		}
		crowd = append(crowd, cmd)
	}
	close(started)
	for _, cmd := range crowd {
		if err := cmd.Wait(); err != nil {
			t.Errorf("hpc3 pull: %v\n%s", err, cmd.Stderr)
		}
	}
	fetched := map[string]int{}
	for _, request := range registry.Asked("counted") {
		if digest := path.Base(request); strings.HasPrefix(request, "GET ") && layers[digest] {
			fetched[digest]++
		}
	}
	if len(fetched) == 0 {
		t.Error("no layer was fetched")
	}
	for digest, n := range fetched {
		if n != 1 {
			t.Errorf("the layer %s was fetched %d times by %d processes", digest, n, processes)
		}
	}
	if sifs, err := filepath.Glob(filepath.Join(home, ".cache/hpc3/sif/*/*")); err != nil || len(sifs) != 1 {
		t.Errorf("the cache holds %q, %v; want one SIF", sifs, err)
	}
}

// layersOf returns the digests of the layers of all entries.
func layersOf(t *testing.T, image string) map[string]bool {
	t.Helper()
	ref, err := name.ParseReference(image)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(ref)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	layers := map[string]bool{}
	for _, e := range entries.Manifests {
		var manifest v1.Manifest
		d, err := remote.Get(ref.Context().Digest(e.Digest.String()))
		if err == nil {
			err = json.Unmarshal(d.Manifest, &manifest)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range manifest.Layers {
			layers[l.Digest.String()] = true
		}
	}
	return layers
}
