package image

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hpc3-project/hpc3/launcher/caches"
	"github.com/hpc3-project/hpc3/launcher/choose"
	"github.com/hpc3-project/hpc3/launcher/notes"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/settings"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// served is a registry with the image app:1.
type served struct {
	*httptest.Server
	image v1.Image

	mu    sync.Mutex
	asked []string                     // paths
	spoil func(path string) (bad bool) // answers with wrong bytes
}

// pictureOf is an image of two layers.
func pictureOf(t *testing.T) v1.Image {
	t.Helper()
	img, err := random.Image(2000, 2)
	if err == nil {
		img, err = mutate.ConfigFile(img, withPlatform(t, img))
	}
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func withPlatform(t *testing.T, img v1.Image) *v1.ConfigFile {
	t.Helper()
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	return config
}

func serve(t *testing.T, img v1.Image) *served {
	t.Helper()
	s := &served{image: img}
	handler := registry.New()
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, r.URL.Path)
		bad := s.spoil != nil && r.Method == http.MethodGet && s.spoil(r.URL.Path)
		s.mu.Unlock()
		if bad {
			http.Error(w, "spoilt", http.StatusNotFound)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	ref, err := name.ParseReference(s.host()+"/app:1", name.Insecure)
	if err == nil {
		err = remote.Write(ref, s.image)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.requests()
	return s
}

func (s *served) host() string { return strings.TrimPrefix(s.URL, "http://") }

// requests returns what was asked since the last call.
func (s *served) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// walk is what an image is obtained with: caches of its own, and what was told.
type walk struct {
	set  settings.Settings
	tell notes.Notes
	said []string
	mu   sync.Mutex
}

func newWalk(t *testing.T) *walk {
	t.Helper()
	w := &walk{}
	w.set.Option = option.Merge()
	w.set.Host = settings.Host{Arch: "amd64", UID: os.Getuid(), Environ: []string{
		"HPC3_CACHEDIR=" + filepath.Join(t.TempDir(), "cache"), "HOME=" + t.TempDir(),
	}}
	say := func(text string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.said = append(w.said, text)
	}
	w.tell = notes.Notes{Note: say, Say: say, Progress: new(notes.Progress)}
	return w
}

func (w *walk) has(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.said, func(said string) bool { return strings.Contains(said, text) })
}

// open opens the source of an image, with caches that know nothing of earlier ones but their files.
func (w *walk) open(t *testing.T, image string, looks bool) *Source {
	t.Helper()
	ref, err := oci.ParseReference(image)
	if err != nil {
		t.Fatal(err)
	}
	s := Open(ref, Options{
		Settings: w.set, Notes: w.tell, Caches: caches.New(&w.set, &w.tell), Version: "test", Looks: looks,
	})
	t.Cleanup(s.Close)
	return s
}

func chosen(t *testing.T, s *Source) choose.Chosen {
	t.Helper()
	node := facts.Node{OS: "linux", Arch: "amd64", CPU: facts.CPU{Target: "zen3"}}
	c, err := choose.Image(t.Context(), choose.Request{Reference: s.ref, Nodes: []facts.Node{node}}, s, s.Notes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// obtained chooses and obtains, as a start does.
func (w *walk) obtained(t *testing.T, image string) (*Source, Image) {
	t.Helper()
	s := w.open(t, image, false)
	img, err := s.Obtain(t.Context(), chosen(t, s))
	if err != nil {
		t.Fatalf("Obtain(%s) = %v; told %q", image, err, w.said)
	}
	t.Cleanup(img.Close)
	return s, img
}

// layoutOf writes an OCI layout.
func layoutOf(t *testing.T, img v1.Image) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layout")
	if _, err := layout.Write(dir, mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: img})); err != nil {
		t.Fatal(err)
	}
	return dir
}
