// Package images makes images for tests, in directories and in registries.
package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/rogpeppe/go-internal/testscript"
)

// Registry serves what is pushed to it. A repository below "status-N/" answers with that status,
// below "flip/" with blobs that differ in one byte, below "cut/" with blobs that end early, below
// "nolist/" without a list of tags, below "private/" to alice only; requests below "counted/" are
// counted, and for a script of its own below "counted-NAME/". The images of all are those of
// "good/".
type Registry struct {
	Host  string
	Inner http.Handler // what it serves, without faults

	mu  sync.Mutex
	log map[string][]string // of a kind of repositories
}

var faulty = regexp.MustCompile(`^/v2/(status-(\d+)|flip|cut|nolist|counted[a-z-]*|private)/`)

// StartRegistry starts one that has images of several kinds.
func StartRegistry(t *testing.T) *Registry {
	t.Helper()
	r := &Registry{
		log:   map[string][]string{},
		Inner: registry.New(registry.Logger(log.New(io.Discard, "", 0))),
	}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.Host = strings.TrimPrefix(server.URL, "http://")
	index, err := variantsIndex()
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(r.Host + "/good/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, index); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(pushTags(r.Host), pushShared(r.Host), pushRequiring(r.Host)); err != nil {
		t.Fatal(err)
	}
	return r
}

// pushTags pushes images that are variants of one another by their tags. 2021.5 itself is not
// there, 2021.6 is a single image, 2021.7 an index; that of 2021.5_mpi-mpich is for arm64 only,
// which its tag does not say, and 2021.9_rack_b is an index.
func pushTags(host string) error {
	for tag, arch := range map[string]string{
		"2021.5_graviton2": "arm64", "2021.5_skylake": "amd64", "2021.5_zen3": "amd64",
		"2021.5_cluster_1": "amd64",
		"2021.5_cluster_2": "amd64", "2021.5_mpi-mpich": "arm64", "2021.5_debug": "amd64",
		"2021.50_zen3": "amd64",
		"2021.6":       "amd64", "2021.6_zen3": "amd64", "2021.6_debug": "amd64",
		"2021.7_zen4": "amd64",
		"2021.8":      "amd64",
		"1.0":         "amd64", "1.0_amd64_v2": "amd64", "1.0_arm64_v8.2": "arm64",
		"1.0_v2_zen4": "amd64",
		"1.0_v3":      "amd64", "1.0_v4": "amd64", "1.0_v7": "amd64",
		"1.0_v3-rc1": "amd64",
	} {
		img, err := Small(v1.Platform{OS: "linux", Architecture: arch}, tag+"\n")
		if err != nil {
			return err
		}
		ref, err := name.ParseReference(host + "/good/gromacs:" + tag)
		if err != nil {
			return err
		}
		if err := remote.Write(ref, img); err != nil {
			return err
		}
	}
	index, err := variantsIndex()
	if err != nil {
		return err
	}
	for _, tag := range []string{"2021.7", "2021.9_rack_b"} {
		ref, err := name.ParseReference(host + "/good/gromacs:" + tag)
		if err != nil {
			return err
		}
		if err := remote.WriteIndex(ref, index); err != nil {
			return err
		}
	}
	return nil
}

func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	kind := faulty.FindStringSubmatch(req.URL.Path)
	if kind == nil {
		r.Inner.ServeHTTP(w, req)
		return
	}
	r.mu.Lock()
	r.log[kind[1]] = append(r.log[kind[1]], req.Method+" "+req.URL.Path)
	r.mu.Unlock()
	var status int
	if _, err := fmt.Sscan(kind[2], &status); err == nil {
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(status)
		return
	}
	if kind[1] == "nolist" && strings.HasSuffix(req.URL.Path, "/tags/list") {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	if user, _, _ := req.BasicAuth(); kind[1] == "private" && user != "alice" {
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	good := req.Clone(req.Context())
	good.URL.Path = strings.Replace(req.URL.Path, "/"+kind[1]+"/", "/good/", 1)
	answer := httptest.NewRecorder()
	r.Inner.ServeHTTP(answer, good)
	body := answer.Body.Bytes()
	if strings.Contains(req.URL.Path, "/blobs/") && len(body) > 0 {
		body = spoil(kind[1], body)
	}
	for k, v := range answer.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(body) // the client may be gone
}

func spoil(kind string, body []byte) []byte {
	body = bytes.Clone(body)
	switch kind {
	case "cut":
		return body[:len(body)/2]
	case "flip":
		body[len(body)/2] ^= 1
	}
	return body
}

// Asked returns the requests below counted/ or another place since a script last asked.
func (r *Registry) Asked(place string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.log[place])
}

// Requests checks how many requests below counted/, or below another place, were answered since the
// last call: "requests 0 counted-tags". "-" only starts again. Scripts run at the same time, so
// each counts at a place of its own.
func (r *Registry) Requests(ts *testscript.TestScript, neg bool, args []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(args) != 1 && len(args) != 2 {
		ts.Fatalf("usage: requests NUMBER|- [PLACE]")
	}
	place := "counted"
	if len(args) == 2 {
		place = args[1]
	}
	log := r.log[place]
	got := fmt.Sprint(len(log))
	if args[0] != "-" && (got == args[0]) == neg {
		ts.Fatalf("the registry answered %s requests, want %s: %v", got, args[0], log)
	}
	r.log[place] = nil
}

// variantsIndex is an index with a generic entry, one for each level, one for a vendor's target and
// one for arm64.
func variantsIndex() (v1.ImageIndex, error) {
	var index v1.ImageIndex = empty.Index
	platforms := []v1.Platform{
		{OS: "linux", Architecture: "amd64"},
		{OS: "linux", Architecture: "amd64", Variant: "v2"},
		{OS: "linux", Architecture: "amd64", Variant: "v3"},
		{OS: "linux", Architecture: "amd64", Variant: "v4"},
		{OS: "linux", Architecture: "amd64", Features: []string{"zen3"}},
		{OS: "linux", Architecture: "arm64", Variant: "v8"},
	}
	for i, p := range platforms {
		img, err := Small(p, fmt.Sprintf("entry %d\n", i))
		if err != nil {
			return nil, err
		}
		index = mutate.AppendManifests(index,
			mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &p}})
	}
	return index, nil
}

// Small is an image without a program: enough for what goes wrong before one is started.
func Small(p v1.Platform, text string) (v1.Image, error) {
	layer, err := TarLayer(map[string]string{"etc/entry": text})
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	config := v1.ConfigFile{
		OS: p.OS, Architecture: p.Architecture, Variant: p.Variant,
		Created: v1.Time{Time: time.Unix(1700000000, 0)},
	}
	config.Config.Env = []string{"PATH=/usr/bin:/bin"}
	old, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config.RootFS, config.History = old.RootFS, old.History
	return mutate.ConfigFile(img, &config)
}

// TarLayer is a layer of files by name; what is in bin/ may be executed.
func TarLayer(files map[string]string) (v1.Layer, error) {
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	tw := tar.NewWriter(zw)
	for path, text := range files {
		mode := int64(0o644)
		if strings.HasPrefix(path, "bin/") {
			mode = 0o755
		}
		if err := tw.WriteHeader(
			&tar.Header{
				Name: path, Mode: mode, Size: int64(len(text)),
				ModTime: time.Unix(1700000000, 0),
			}); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(tw, text); err != nil {
			return nil, err
		}
	}
	if err := tw.Close(); err != nil {
		return nil, err
	}
	if err := zw.Close(); err != nil {
		return nil, err
	}
	raw := b.Bytes()
	return tarball.LayerFromOpener(
		func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil })
}

// WriteLayouts writes local images next to a script: the layout "layout", the archives "image.tar"
// (docker's) and "cut.tar" (half of it), "arm", a layout that holds nothing for amd64,
// "garbled", one whose image has a config that is no JSON, and "newer".
func WriteLayouts(dir string) error {
	index, err := variantsIndex()
	if err != nil {
		return err
	}
	if _, err := layout.Write(filepath.Join(dir, "layout"), index); err != nil {
		return err
	}
	img, err := Small(v1.Platform{OS: "linux", Architecture: "arm64"}, "arm\n")
	if err != nil {
		return err
	}
	arm := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{
			Add:        img,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}},
		})
	if _, err := layout.Write(filepath.Join(dir, "arm"), arm); err != nil {
		return err
	}
	if img, err = Small(v1.Platform{OS: "linux", Architecture: "amd64"},
		strings.Repeat("text\n", 1000)); err != nil {
		return err
	}
	tag, err := name.NewTag("app:1")
	if err != nil {
		return err
	}
	whole := filepath.Join(dir, "image.tar")
	if err := tarball.WriteToFile(whole, tag, img); err != nil {
		return err
	}
	raw, err := os.ReadFile(whole)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(filepath.Join(dir, "cut.tar"), raw[:len(raw)/2], 0o644),
		writeGarbled(filepath.Join(dir, "garbled")), writeEscaping(filepath.Join(dir, "escapes")),
		writeDescribed(dir), writeNewer(filepath.Join(dir, "newer")))
}

// writeEscaping writes an image whose second layer has a path that leads out of the root.
func writeEscaping(dir string) error {
	img, err := Small(v1.Platform{OS: "linux", Architecture: "amd64"},
		strings.Repeat("text\n", 100_000))
	if err != nil {
		return err
	}
	layer, err := TarLayer(map[string]string{"../../../escaped": "text"})
	if err != nil {
		return err
	}
	if img, err = mutate.AppendLayers(img, layer); err != nil {
		return err
	}
	_, err = layout.Write(dir,
		mutate.AppendManifests(empty.Index,
			mutate.IndexAddendum{
				Add: img,
				Descriptor: v1.Descriptor{Platform: &v1.Platform{
					OS:           "linux",
					Architecture: "amd64",
				}},
			}))
	return err
}

func writeGarbled(dir string) error {
	img, err := Small(v1.Platform{OS: "linux", Architecture: "amd64"}, "text\n")
	if err != nil {
		return err
	}
	out, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	config := []byte(`{"architecture":"amd64","config":{"Env":`)
	digest, size, err := v1.SHA256(bytes.NewReader(config))
	if err != nil {
		return err
	}
	manifest, err := img.Manifest()
	if err != nil {
		return err
	}
	manifest = manifest.DeepCopy()
	manifest.Config.Digest, manifest.Config.Size = digest, size
	raw, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	whole, wholeSize, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	return errors.Join(
		out.WriteBlob(digest, io.NopCloser(bytes.NewReader(config))),
		out.WriteBlob(whole, io.NopCloser(bytes.NewReader(raw))),
		out.AppendDescriptor(v1.Descriptor{
			MediaType: manifest.MediaType, Digest: whole,
			Size: wholeSize, Platform: &v1.Platform{OS: "linux", Architecture: "amd64"},
		}),
	)
}

// pushShared pushes images that have their lowest layer in common, 1 to 3.
func pushShared(host string) error {
	common, err := TarLayer(map[string]string{"etc/common": "in all\n"})
	if err != nil {
		return err
	}
	for _, tag := range []string{"1", "2", "3"} {
		own, err := TarLayer(map[string]string{"etc/own": tag + "\n"})
		if err != nil {
			return err
		}
		img, err := Small(v1.Platform{OS: "linux", Architecture: "amd64"}, "shared\n")
		if err != nil {
			return err
		}
		if img, err = mutate.AppendLayers(img, common, own); err != nil {
			return err
		}
		ref, err := name.ParseReference(host + "/good/shared:" + tag)
		if err != nil {
			return err
		}
		if err := remote.Write(ref, img); err != nil {
			return err
		}
	}
	return nil
}
