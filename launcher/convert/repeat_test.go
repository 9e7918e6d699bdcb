package convert_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/convert"
	"github.com/hpc3-project/hpc3/launcher/fault"
)

// counting counts how often layers are opened.
func counting(img convert.Image) *atomic.Int32 {
	opened := new(atomic.Int32)
	for i, l := range img.Layers {
		img.Layers[i].Open = func(ctx context.Context) (io.ReadCloser, error) {
			opened.Add(1)
			return l.Open(ctx)
		}
	}
	return opened
}

// apart gives equal layers different digests: it adds a different empty gzip member to each blob.
func apart(t *testing.T, img convert.Image) convert.Image {
	t.Helper()
	for i, l := range img.Layers {
		r, err := l.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		blob, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		blob = append(blob, bytes.Repeat(gzipped(t, nil), i)...)
		img.Layers[i].Digest, img.Layers[i].Size = digest(blob), int64(len(blob))
		img.Layers[i].Open = func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(blob)), nil }
	}
	return img
}

// contents replaces hard links by their targets. A link to a file of a repeated layer remains a
// link after the layer is applied again, where a different layer of the same content would have put
// a new file.
func contents(lines []string) []string {
	of := map[string]string{}
	for _, l := range lines {
		if path, content, ok := strings.Cut(l, "="); ok && !strings.HasPrefix(content, ">") {
			of[path] = content
		}
	}
	for i, l := range lines {
		if path, to, ok := strings.Cut(l, "=>"); ok {
			lines[i] = path + "=" + of[to]
		}
	}
	return lines
}

// A layer that an image has several times is read once, and each time has the same effect as a
// different layer of the same content.
func TestRepeatedLayers(t *testing.T) {
	a := layerTar(t, "d/", "d/one=1", "d/two=2", "hard=>d/one", "link->d", "link/three=3", "gone=x")
	b := layerTar(t, "d->elsewhere", "elsewhere/", ".wh.gone", "elsewhere/two=other", "again=>hard")
	c := layerTar(t, ".wh.d", "d/", "d/.wh..wh..opq", "link=file", "gone/", "gone/below=y")
	for name, layers := range map[string][][]byte{
		"twice in a row": {a, a}, "with another between": {a, b, a}, "by turns": {a, b, a, b, c, a, b}, "below what hides it": {a, c, a, c, b},
		"with what a higher layer hides and links": {a, b, layerTar(t, ".wh.d", "kept=>again"), a, layerTar(t, ".wh.hard")},
	} {
		img := image(t, nil, layers...)
		opened := counting(img)
		path, err := sif(t, img, convert.Options{})
		other, err2 := sif(t, apart(t, image(t, nil, layers...)), convert.Options{})
		if err != nil || err2 != nil {
			t.Errorf("%s: %v; read apart %v", name, err, err2)
			continue
		}
		if diff := cmp.Diff(contents(tree(t, other)), contents(tree(t, path))); diff != "" {
			t.Errorf("%s: (-read apart +read once):\n%s", name, diff)
		}
		distinct := map[string]bool{}
		for _, l := range img.Layers {
			distinct[l.Digest] = true
		}
		if n := int(opened.Load()); n > 2*len(distinct) { // once, and once more for what was passed over
			t.Errorf("%s: %d layers were read, and %d are distinct", name, n, len(distinct))
		}
	}
}

// The maximum number of layers, all equal, costs as much as one layer; more are refused.
func TestManyRepeatedLayers(t *testing.T) {
	layer := layerTar(t, "file="+strings.Repeat("content ", 100_000))
	layers := make([][]byte, 1000)
	for i := range layers {
		layers[i] = layer
	}
	img := image(t, nil, layers...)
	opened := counting(img)
	if _, err := sif(t, img, convert.Options{}); err != nil || opened.Load() != 1 {
		t.Errorf("1000 times one layer: %v, read %d times", err, opened.Load())
	}
	_, err := sif(t, image(t, nil, append(layers, layer)...), convert.Options{})
	if class, _, _ := fault.Of(err, ""); err == nil || !strings.Contains(err.Error(), "the image has 1001 layers, the limit is 1000") {
		t.Errorf("1001 layers: %v (%s)", err, class)
	}
}

// A config with two digests for the content of one layer is refused.
func TestRepeatedLayerOfTwoContents(t *testing.T) {
	layer := layerTar(t, "file=x")
	img := image(t, nil, layer, layer)
	img.Config = bytes.Replace(img.Config, []byte(digest(layer)), []byte("sha256:"+strings.Repeat("0", 64)), 1)
	if _, err := sif(t, img, convert.Options{}); err == nil || !strings.Contains(err.Error(), "two digests for the content of one layer") {
		t.Errorf("SIF() = %v", err)
	}
}
