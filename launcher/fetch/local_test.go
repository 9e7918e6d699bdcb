package fetch_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

func contextWithCancel(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithCancel(t.Context())
}

func blobName(raw []byte) string {
	return "blobs/sha256/" + strings.TrimPrefix(oci.DigestOf(raw), "sha256:")
}

// layoutFiles are those of a layout that names the image once for each name; "" is an entry without
// one.
func layoutFiles(t *testing.T, names ...string) map[string][]byte {
	t.Helper()
	var entries []map[string]any
	for _, n := range names {
		e := map[string]any{"mediaType": oci.MediaTypeManifest, "digest": oci.DigestOf(manifest), "size": len(manifest)}
		if n != "" {
			e["annotations"] = map[string]string{"org.opencontainers.image.ref.name": n}
		}
		entries = append(entries, e)
	}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": entries})
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`), "index.json": index,
		blobName(manifest): manifest, blobName(config): config, blobName(layer): layer,
	}
}

func writeDir(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layout")
	for name, raw := range files {
		write(t, filepath.Join(dir, name), string(raw), 0o600)
	}
	return dir
}

func writeTar(t *testing.T, files map[string][]byte, links map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, raw := range files {
		if err := w.WriteHeader(&tar.Header{Name: "./" + name, Size: int64(len(raw)), Mode: 0o600, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(raw); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range links {
		if err := w.WriteHeader(&tar.Header{Name: name, Linkname: target, Typeflag: tar.TypeSymlink}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "archive.tar")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// readAll reads an image to its last byte.
func readAll(t *testing.T, reference string) error {
	t.Helper()
	ref, err := oci.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	src, err := fetch.Open(t.Context(), ref, fetch.Options{})
	if err != nil {
		return err
	}
	defer src.Close()
	return readSource(t, src, reference)
}

func readSource(t *testing.T, src fetch.Source, reference string) error {
	t.Helper()
	raw, mediaType, err := src.Root(t.Context())
	if err != nil {
		return err
	}
	if oci.IsIndex(mediaType) {
		index, err := oci.ParseIndex(raw)
		if err != nil {
			return err
		}
		if raw, err = src.Blob(t.Context(), index.Entries[0].Descriptor); err != nil {
			return err
		}
	}
	m, err := oci.ParseManifest(raw)
	if err != nil {
		return err
	}
	got, err := src.Blob(t.Context(), m.Config)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, config) {
		t.Errorf("%s: the config is %q", reference, got)
	}
	for _, l := range m.Layers {
		got, err := readLayer(t, src, l)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, layer) {
			t.Errorf("%s: the layer has %d bytes", reference, len(got))
		}
	}
	return nil
}

func TestLayouts(t *testing.T) {
	tests := []struct {
		names []string
		tag   string
		text  string // of the error; "" = it works
	}{
		{[]string{""}, "", ""},
		{[]string{"one"}, "", ""},
		{[]string{"one"}, ":one", ""},
		{[]string{"one", "two"}, ":two", ""},
		{[]string{"example.org/app:two"}, ":two", ""},
		{[]string{"", ""}, "", ""}, // an image index
		{[]string{""}, "@" + oci.DigestOf(manifest), ""},
		{[]string{"one"}, ":two", "no such image"},
		{[]string{"one", "two"}, "", "several images"},
		{[]string{"one", "one"}, ":one", "names 2 images"},
		{[]string{"one"}, "@" + oci.DigestOf(config), "no such image"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.names, tt.tag), func(t *testing.T) {
			files := layoutFiles(t, tt.names...)
			for _, reference := range []string{"oci:" + writeDir(t, files) + tt.tag, "oci-archive:" + writeTar(t, files, nil) + tt.tag} {
				err := readAll(t, reference)
				if tt.text == "" {
					if err != nil {
						t.Errorf("%s: %v", reference, err)
					}
					continue
				}
				wantFault(t, err, fault.Reference, tt.text)
			}
		})
	}
}

func TestDamagedLayouts(t *testing.T) {
	flipped := bytes.Clone(layer)
	flipped[7] ^= 1
	tests := []struct {
		name   string
		change func(map[string][]byte)
		class  fault.Class
		text   string
	}{
		{"no index.json", func(f map[string][]byte) { delete(f, "index.json") }, fault.Reference, "no index.json"},
		{"no JSON", func(f map[string][]byte) { f["index.json"] = []byte("{") }, fault.Registry, ""},
		{"no layer", func(f map[string][]byte) { delete(f, blobName(layer)) }, fault.Registry, "it is not there"},
		{"a short layer", func(f map[string][]byte) { f[blobName(layer)] = layer[:9] }, fault.Registry, "9 bytes"},
		{"other bytes", func(f map[string][]byte) { f[blobName(layer)] = flipped }, fault.Registry, "its digest is"},
		{"another manifest", func(f map[string][]byte) { f[blobName(manifest)] = bytes.ToUpper(manifest) }, fault.Registry, "its digest is"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files := layoutFiles(t, "")
			tt.change(files)
			for _, reference := range []string{"oci:" + writeDir(t, files), "oci-archive:" + writeTar(t, files, nil)} {
				if err := readAll(t, reference); tt.text != "" {
					wantFault(t, err, tt.class, tt.text)
				} else if class, _, _ := fault.Of(err, ""); class != tt.class {
					t.Errorf("%s: %v of class %q", reference, err, class)
				}
			}
		})
	}
}

func dockerFiles(t *testing.T) map[string][]byte {
	t.Helper()
	saved, err := json.Marshal([]map[string]any{
		{"Config": "config.json", "RepoTags": []string{"example.org/app:1"}, "Layers": []string{"a/layer.tar"}},
		{"Config": "config.json", "RepoTags": []string{"example.org/app:2", "other:3"}, "Layers": []string{"b/layer.tar"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"manifest.json": saved, "config.json": config, "a/layer.tar": layer}
}

func TestDockerArchives(t *testing.T) {
	file := writeTar(t, dockerFiles(t), map[string]string{"b/layer.tar": "../a/layer.tar"})
	for tag, text := range map[string]string{
		":1": "", ":2": "", ":3": "", ":4": "no image with this tag", "": "several images",
		":example.org/app:1": "", ":other:3": "", ":docker.io/library/other:3": "", ":example.org/other:3": "no image with this tag",
		":@0": "", ":@1": "", ":@2": "no image with this tag", ":@01": "no image with this tag",
	} {
		err := readAll(t, "docker-archive:"+file+tag)
		if text == "" && err != nil {
			t.Errorf("%q: %v", tag, err)
		}
		if text != "" {
			wantFault(t, err, fault.Reference, text)
		}
	}
	wantFault(t, readAll(t, "docker-archive:"+writeTar(t, layoutFiles(t, ""), nil)), fault.Reference, "docker save")
	wantFault(t, readAll(t, "docker-archive:"+filepath.Join(t.TempDir(), "none.tar")), fault.Reference, "no such file")
}

// An archive that ends anywhere gives an error of one line, whatever is missing.
func TestCutArchives(t *testing.T) {
	for transport, file := range map[string]string{
		"oci-archive": writeTar(t, layoutFiles(t, ""), nil), "docker-archive": writeTar(t, dockerFiles(t), map[string]string{"b/layer.tar": "../a/layer.tar"}),
	} {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for size := 0; size < len(raw)-1024; size += 1 + len(raw)/97 {
			cut := filepath.Join(t.TempDir(), "cut.tar")
			if err := os.WriteFile(cut, raw[:size], 0o600); err != nil {
				t.Fatal(err)
			}
			err := readAll(t, transport+":"+cut+map[string]string{"docker-archive": ":2"}[transport])
			class, hints, _ := fault.Of(err, "")
			if err == nil || class != fault.Registry && class != fault.Reference || len(hints) == 0 {
				t.Fatalf("%s cut at %d of %d: %v of class %q, hints %q", transport, size, len(raw), err, class, hints)
			}
		}
	}
}

// skopeo writes names in full, whatever it was told, and users say again what they told it.
func TestNamesOfArchives(t *testing.T) {
	saved := mustJSON([]map[string]any{
		{"Config": "config.json", "RepoTags": []string{"docker.io/x/y:1"}, "Layers": []string{"a/layer.tar"}},
		{"Config": "config.json", "RepoTags": []string{"docker.io/z/y:1", "docker.io/library/debian:latest"}, "Layers": []string{"a/layer.tar"}},
	})
	file := writeTar(t, map[string][]byte{"manifest.json": saved, "config.json": config, "a/layer.tar": layer}, nil)
	for tag, text := range map[string]string{
		"x/y:1": "", "docker.io/x/y:1": "", "z/y:1": "", "debian:latest": "", "debian": "no image with this tag", "1": "it names 2 images", "y:1": "no image with this tag",
		"quay.io/x/y:1": "no image with this tag", "@1": "", "latest": "",
	} {
		err := readAll(t, "docker-archive:"+file+":"+tag)
		if text == "" && err != nil {
			t.Errorf("%q: %v", tag, err)
		}
		if text != "" {
			wantFault(t, err, fault.Reference, text)
		}
	}
	two := layoutFiles(t, "docker.io/x/y:1", "z")
	for tag, text := range map[string]string{"x/y:1": "", "z": "", "@0": "", "@1": "", "@2": "no such image"} {
		for _, name := range []string{"oci:" + writeDir(t, two), "oci-archive:" + writeTar(t, two, nil)} {
			err := readAll(t, name+":"+tag)
			if text == "" && err != nil {
				t.Errorf("%q: %v", tag, err)
			}
			if text != "" {
				wantFault(t, err, fault.Reference, text)
			}
		}
	}
}
