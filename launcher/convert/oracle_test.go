package convert_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/convert"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// needOracles skips a test, with a reason, if it cannot run. If HPC3_REQUIRE contains "squashfs",
// the test fails instead.
func needOracles(t *testing.T) {
	t.Helper()
	for _, name := range []string{"umoci", "unsquashfs", "tar"} {
		if _, err := exec.LookPath(name); err != nil {
			if strings.Contains(os.Getenv("HPC3_REQUIRE"), "squashfs") {
				t.Fatalf("%s is not installed", name)
			}
			t.Skipf("%s is not installed", name)
		}
	}
	if os.Getuid() != 0 {
		t.Skip("devices and owners need root")
	}
}

// scratch returns a directory for a tree. A tree of many files is unpacked three times faster in
// memory; a small one may have attributes that not every tmpfs supports, so it goes where other
// tests have their files.
func scratch(t *testing.T, size int64) string {
	t.Helper()
	var st unix.Statfs_t
	if size < 1<<20 || unix.Statfs("/dev/shm", &st) != nil || int64(st.Bavail)*st.Bsize < 20*size {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp("/dev/shm", "hpc3-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// umociUnpack unpacks an image with umoci and returns the root of its tree.
func umociUnpack(t *testing.T, img convert.Image) string {
	t.Helper()
	root, err := umociMay(t, img)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// umociMay is umociUnpack for an image that umoci may refuse.
func umociMay(t *testing.T, img convert.Image) (string, error) {
	t.Helper()
	size := int64(0)
	for _, l := range img.Layers {
		size += l.Size
	}
	dir := scratch(t, size)
	blobs := filepath.Join(dir, "layout/blobs/sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		t.Fatal(err)
	}
	put := func(raw []byte, mediaType string) map[string]any {
		if err := os.WriteFile(filepath.Join(blobs, strings.TrimPrefix(digest(raw), "sha256:")), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		return map[string]any{"digest": digest(raw), "size": len(raw), "mediaType": mediaType}
	}
	document := func(v any) []byte {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	var layers []any
	for _, l := range img.Layers {
		r, err := l.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(r)
		if err = errors.Join(err, r.Close()); err != nil {
			t.Fatal(err)
		}
		layers = append(layers, put(raw, l.MediaType))
	}
	manifest := put(document(map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeManifest, "config": put(img.Config, oci.MediaTypeConfig), "layers": layers}), oci.MediaTypeManifest)
	manifest["annotations"] = map[string]string{"org.opencontainers.image.ref.name": "t"}
	for name, raw := range map[string][]byte{
		"index.json": document(map[string]any{"schemaVersion": 2, "manifests": []any{manifest}}), "oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`),
	} {
		if err := os.WriteFile(filepath.Join(dir, "layout", name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("umoci", "unpack", "--image", dir+"/layout:t", dir+"/bundle").CombinedOutput(); err != nil {
		return "", fmt.Errorf("umoci unpack: %w\n%s", err, out)
	}
	return dir + "/bundle/rootfs", nil
}

// labImage returns the first image of a layout of the lab. The image of the demonstration takes
// long to make: it is used only if it exists.
func labImage(t *testing.T, name string) convert.Image {
	t.Helper()
	if testing.Short() {
		t.Skip("the lab is not used by a short run")
	}
	layout := labLayout(t, name)
	read := func(path string) []byte {
		raw, err := os.ReadFile(filepath.Join(layout, path))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	at := func(digest string) string { return "blobs/" + strings.Replace(digest, ":", "/", 1) }
	index, err := oci.ParseIndex(read("index.json"))
	if err != nil {
		t.Fatal(err)
	}
	for index.Entries[0].IsIndex() {
		if index, err = oci.ParseIndex(read(at(index.Entries[0].Digest))); err != nil {
			t.Fatal(err)
		}
	}
	img := convert.Image{Reference: name, ManifestDigest: index.Entries[0].Digest, Manifest: read(at(index.Entries[0].Digest))}
	manifest, err := oci.ParseManifest(img.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	img.Config = read(at(manifest.Config.Digest))
	for _, d := range manifest.Layers {
		img.Layers = append(img.Layers, convert.Layer{Descriptor: d, Open: func(context.Context) (io.ReadCloser, error) { return os.Open(filepath.Join(layout, at(d.Digest))) }})
	}
	return img
}

func labLayout(t *testing.T, name string) string {
	t.Helper()
	if name == "login-image" {
		cmd := exec.Command("../../tests/lab/login-image")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("login-image: %v\n%s", err, stderr.String())
		}
		return string(bytes.TrimSpace(out))
	}
	lab := os.Getenv("HPC3_LAB")
	if lab == "" {
		lab = "/var/cache/hpc3-lab"
	}
	layouts, _ := filepath.Glob(filepath.Join(lab, name+"-????????????/index.json"))
	if len(layouts) == 0 {
		t.Skipf("%s has not been made", name)
	}
	return filepath.Dir(layouts[0])
}
