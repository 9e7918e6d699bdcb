package convert_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	siflib "github.com/sylabs/sif/v2/pkg/sif"
	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/convert"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// layerTar makes a layer of short forms: "dir/" is a directory, "file=content" a file,
// "link->target" a symlink, "hard=>path" a hard link; a whiteout is a file by its name.
func layerTar(t testing.TB, entries ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Mode: 0o644, Format: tar.FormatPAX}
		var data string
		switch {
		case strings.Contains(e, "=>"):
			h.Name, h.Linkname, _ = strings.Cut(e, "=>")
			h.Typeflag = tar.TypeLink
		case strings.Contains(e, "->"):
			h.Name, h.Linkname, _ = strings.Cut(e, "->")
			h.Typeflag, h.Mode = tar.TypeSymlink, 0o777
		case strings.HasSuffix(e, "/"):
			h.Name, h.Typeflag, h.Mode = e, tar.TypeDir, 0o755
		default:
			h.Name, data, _ = strings.Cut(e, "=")
			h.Typeflag, h.Size = tar.TypeReg, int64(len(data))
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(t testing.TB, raw []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func digest(raw []byte) string {
	sum := sha256.Sum256(raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// image makes an image of uncompressed layers, the lowest first.
func image(t testing.TB, config map[string]any, layers ...[]byte) convert.Image {
	t.Helper()
	img := convert.Image{Reference: "test", ManifestDigest: digest([]byte("test")), Manifest: []byte(`{}`)}
	var diffIDs []string
	for _, raw := range layers {
		blob := gzipped(t, raw)
		diffIDs = append(diffIDs, digest(raw))
		img.Layers = append(img.Layers, convert.Layer{
			Descriptor: oci.Descriptor{MediaType: oci.MediaTypeLayerGzip, Digest: digest(blob), Size: int64(len(blob))},
			Open:       func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(blob)), nil },
		})
	}
	all := map[string]any{"os": "linux", "architecture": "amd64", "created": "2023-11-14T22:13:20Z", "rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs}, "config": config}
	raw, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	img.Config = raw
	return img
}

func sif(t testing.TB, img convert.Image, opt convert.Options) (string, error) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "image.sif"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return f.Name(), convert.SIF(t.Context(), f, img, opt)
}

// tree lists the files of a SIF, except those that every SIF has: "path mode content".
func tree(t testing.TB, path string) []string {
	t.Helper()
	c, err := convert.Inspect(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fsys, err := squashfs.Open(io.NewSectionReader(f, c.Offset, math.MaxInt64-c.Offset))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	seen := map[uint32]string{}
	var walk func(ref squashfs.Ref, path string)
	walk = func(ref squashfs.Ref, path string) {
		a, err := fsys.Stat(ref)
		if err != nil {
			t.Fatal(err)
		}
		switch a.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			if path != "" {
				lines = append(lines, path+"/")
			}
			entries, err := fsys.ReadDir(ref)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				walk(e.Ref, strings.TrimPrefix(path+"/"+e.Name, "/"))
			}
		case unix.S_IFLNK:
			target, err := fsys.Readlink(ref)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, path+"->"+target)
		default:
			if first, ok := seen[a.Inode]; ok {
				lines = append(lines, path+"=>"+first)
				return
			}
			seen[a.Inode] = path
			data := make([]byte, a.Size)
			if _, err := fsys.ReadAt(ref, data, 0); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			lines = append(lines, path+"="+string(data))
		}
	}
	walk(fsys.Root(), "")
	return lines
}

// inEverySIF tells whether a line of tree is about a path that every SIF has.
func inEverySIF(line string) bool {
	path, _, _ := strings.Cut(strings.Replace(line, "->", "=", 1), "=")
	path = strings.TrimSuffix(path, "/")
	return added(path) || lacked(path)
}

func theirs(lines []string) []string {
	kept := []string{}
	for _, l := range lines {
		if !inEverySIF(l) {
			kept = append(kept, l)
		}
	}
	sort.Strings(kept)
	return kept
}

func TestFlatten(t *testing.T) {
	tests := []struct {
		name   string
		layers [][]string // the lowest first
		want   []string
	}{
		{"one layer", [][]string{{"a/", "a/b=1", "c->a/b", "d=>a/b"}}, []string{"a/", "a/b=1", "c->a/b", "d=>a/b"}},
		{"a file is replaced", [][]string{{"a=1"}, {"a=2"}}, []string{"a=2"}},
		{"directories merge", [][]string{{"a/", "a/b=1"}, {"a/", "a/c=2"}}, []string{"a/", "a/b=1", "a/c=2"}},
		{"a missing parent", [][]string{{"a/b/c=1"}}, []string{"a/", "a/b/", "a/b/c=1"}},
		{"a whiteout", [][]string{{"a/", "a/b=1", "a/c=2"}, {"a/.wh.b="}}, []string{"a/", "a/c=2"}},
		{"a whiteout of a directory", [][]string{{"a/", "a/b=1"}, {".wh.a="}}, []string{}},
		{"a whiteout of a directory that comes again", [][]string{{"a/", "a/b=1"}, {".wh.a="}, {"a/", "a/c=2"}}, []string{"a/", "a/c=2"}},
		{"a whiteout in the layer that brings the file", [][]string{{"a=1"}, {".wh.a=", "a=2"}}, []string{"a=2"}},
		{"the same, the other way round", [][]string{{"a=1"}, {"a=2", ".wh.a="}}, []string{"a=2"}},
		{"a whiteout behind the directory that comes again", [][]string{{"a/", "a/x=1"}, {"a/", "a/y=2", ".wh.a="}}, []string{"a/", "a/y=2"}},
		{"a whiteout of nothing", [][]string{{"a=1"}, {".wh.b=", "x/.wh.y="}}, []string{"a=1"}},
		{"a whiteout hides only lower layers", [][]string{{"a=1"}, {".wh.a="}, {"a=3"}}, []string{"a=3"}},
		{"an opaque directory", [][]string{{"a/", "a/b=1", "a/d/", "a/d/e=1"}, {"a/", "a/.wh..wh..opq=", "a/c=2"}}, []string{"a/", "a/c=2"}},
		{"an opaque mark behind the files", [][]string{{"a/", "a/b=1"}, {"a/", "a/c=2", "a/.wh..wh..opq="}}, []string{"a/", "a/c=2"}},
		{"an opaque root", [][]string{{"a=1"}, {".wh..wh..opq=", "b=2"}}, []string{"b=2"}},
		{"a file over a directory", [][]string{{"a/", "a/b=1"}, {"a=2"}}, []string{"a=2"}},
		{"a directory over a file", [][]string{{"a=1"}, {"a/", "a/b=2"}}, []string{"a/", "a/b=2"}},
		{"a directory over a file over a directory", [][]string{{"a/", "a/x=0"}, {"a=1"}, {"a/", "a/b=2"}}, []string{"a/", "a/b=2"}},
		{"a symlink over a directory", [][]string{{"a/", "a/b=1"}, {"a->c"}}, []string{"a->c"}},
		{"through a symlink of a lower layer", [][]string{{"usr/", "usr/lib/", "lib->usr/lib"}, {"lib/x=1"}}, []string{"lib->usr/lib", "usr/", "usr/lib/", "usr/lib/x=1"}},
		{"through an absolute symlink", [][]string{{"usr/lib/y=0", "lib->/usr/lib"}, {"lib/x/z=1"}}, []string{"lib->/usr/lib", "usr/", "usr/lib/", "usr/lib/x/", "usr/lib/x/z=1", "usr/lib/y=0"}},
		{"through a symlink, replacing", [][]string{{"usr/lib/x=0", "lib->usr/lib"}, {"lib/x=1"}}, []string{"lib->usr/lib", "usr/", "usr/lib/", "usr/lib/x=1"}},
		{"a directory over a symlink", [][]string{{"usr/lib/x=0", "lib->usr/lib"}, {"lib/", "lib/y=1"}}, []string{"lib/", "lib/y=1", "usr/", "usr/lib/", "usr/lib/x=0"}},
		{"absolute paths, and dots that stay inside", [][]string{{"/b=2", "./c/../d=3", "//e/", "f=>/b"}}, []string{"b=2", "d=3", "e/", "f=>b"}},
		{"twice in one layer", [][]string{{"a=1", "a=2"}}, []string{"a=2"}},
		{"a directory, then a file, in one layer", [][]string{{"a/", "a/b=1", "a=2"}}, []string{"a=2"}},
		{"a directory, then a symlink, in one layer", [][]string{{"c/", "a/", "a/b=1", "a->c"}}, []string{"a->c", "c/"}},
		{"a file, then a directory, in one layer", [][]string{{"a=2", "a/", "a/b=1"}}, []string{"a/", "a/b=1"}},
		{"a file under a mark of a higher layer", [][]string{{"a=1"}, {"a/.wh.b="}}, []string{"a=1"}},
		{"a whiteout through a symlink", [][]string{{"usr/lib/x=0", "usr/lib/y=1", "lib->usr/lib"}, {"lib/.wh.x="}}, []string{"lib->usr/lib", "usr/", "usr/lib/", "usr/lib/y=1"}},
		{"an opaque mark through a symlink", [][]string{{"usr/lib/x=0", "lib->usr/lib"}, {"lib/.wh..wh..opq=", "lib/y=1"}}, []string{"lib->usr/lib", "usr/", "usr/lib/", "usr/lib/y=1"}},
		{"a whiteout through a symlink to nothing", [][]string{{"lib->usr/lib", "loop->loop"}, {"lib/.wh.x=", "loop/.wh.x="}}, []string{"lib->usr/lib", "loop->loop"}},
		{"through two symlinks", [][]string{{"usr/lib/64->32", "usr/lib/32/a=0", "lib->usr/lib"}, {"lib/64/b=1"}}, []string{"lib->usr/lib", "usr/", "usr/lib/", "usr/lib/32/", "usr/lib/32/a=0", "usr/lib/32/b=1", "usr/lib/64->32"}},
		{"a hard link through a symlink", [][]string{{"usr/lib/x=0", "lib->usr/lib"}, {"y=>lib/x"}}, []string{"lib->usr/lib", "usr/", "usr/lib/", "usr/lib/x=0", "y=>usr/lib/x"}},
		{"a hard link to what was put through a symlink", [][]string{{"usr/lib/z=0", "lib->usr/lib"}, {"lib/x=1", "y=>usr/lib/x"}}, []string{"lib->usr/lib", "usr/", "usr/lib/", "usr/lib/x=1", "usr/lib/z=0", "y=>usr/lib/x"}},
		{"a symlink, then a file, in one layer", [][]string{{"a->b", "a=2"}}, []string{"a=2"}},
		{"a hard link to a lower layer", [][]string{{"a=1"}, {"b=>a"}}, []string{"a=1", "b=>a"}},
		{"a hard link to a file that a higher layer replaces", [][]string{{"a=1", "b=>a"}, {"a=2"}}, []string{"a=2", "b=1"}},
		{"a hard link to a file that a higher layer removes", [][]string{{"a=1", "b=>a", "c=>b"}, {".wh.a="}}, []string{"b=1", "c=>b"}},
		{"a hard link to a link", [][]string{{"a=1"}, {"b=>a"}, {"c=>b"}}, []string{"a=1", "b=>a", "c=>a"}},
		{"through a symlink and by the real path, in one layer", [][]string{{"usr/", "usr/lib/", "lib->usr/lib"}, {"lib/x=1", "usr/lib/x=2"}}, []string{"lib->usr/lib", "usr/", "usr/lib/", "usr/lib/x=2"}},
		{"the same, the other way round", [][]string{{"usr/", "usr/lib/", "lib->usr/lib"}, {"usr/lib/x=2", "lib/x=1"}}, []string{"lib->usr/lib", "usr/", "usr/lib/", "usr/lib/x=1"}},
		{"a whiteout through a symlink behind the real file", [][]string{{"usr/lib/x=0", "lib->usr/lib"}, {"usr/lib/x=1", "lib/.wh.x="}}, []string{"lib->usr/lib", "usr/", "usr/lib/", "usr/lib/x=1"}},
		{"through a symlink that a higher layer replaces by a directory", [][]string{{"usr/lib/a=0", "lib->usr/lib"}, {"lib/x=1"}, {"lib/", "lib/x=2"}}, []string{"lib/", "lib/x=2", "usr/", "usr/lib/", "usr/lib/a=0", "usr/lib/x=1"}},
		{"through a symlink that a higher layer leads elsewhere", [][]string{{"p/a=0", "q/a=0", "lib->p"}, {"lib/x=1"}, {"lib->q"}, {"lib/y=3"}}, []string{"lib->q", "p/", "p/a=0", "p/x=1", "q/", "q/a=0", "q/y=3"}},
		{"through a symlink that a higher layer takes away", [][]string{{"p/a=0", "lib->p"}, {"lib/x=1"}, {".wh.lib="}}, []string{"p/", "p/a=0", "p/x=1"}},
		{"through a symlink whose target a higher layer replaces", [][]string{{"p/a=0", "lib->p"}, {"lib/x=1"}, {"p=2"}}, []string{"lib->p", "p=2"}},
		{"through a symlink, the last part of which is one", [][]string{{"p/a=0", "p/s->a", "lib->p"}, {"lib/s=1"}}, []string{"lib->p", "p/", "p/a=0", "p/s=1"}},
		{"a hard link to a file that the same layer then replaces", [][]string{{"a=1"}, {"b=>a", "a=2"}}, []string{"a=2", "b=1"}},
		{"a hard link to a file that the same layer then takes away", [][]string{{"a=1"}, {"b=>a", ".wh.a="}}, []string{"b=1"}},
		{"a hard link to a file that the same layer has replaced", [][]string{{"a=1"}, {"a=2", "b=>a"}}, []string{"a=2", "b=>a"}},
		{"a hard link that replaces a link of the same file", [][]string{{"a=1", "b=>a"}, {"a=2", "b=>a"}}, []string{"a=2", "b=>a"}},
		{"a hard link before its file", [][]string{{"b=>a", "c=>b", "a=1"}}, []string{"a=1", "b=>a", "c=>a"}},
		{"a hard link before its file, of which a lower layer has another", [][]string{{"a=1"}, {"b=>a", "a=2", "c=>a"}}, []string{"a=2", "b=1", "c=>a"}},
		{"a hard link to a symlink", [][]string{{"a=1", "s->a"}, {"b=>s", "s->c"}}, []string{"a=1", "b->a", "s->c"}},
		{"hard links into a directory that a higher layer removes", [][]string{{"c/", "c/a=1", "c/b=2", "x=>c/a", "y=>c/b"}, {".wh.c="}}, []string{"x=1", "y=2"}},
		{"a hard link over a directory", [][]string{{"a=1", "d/", "d/x=1"}, {"d=>a"}}, []string{"a=1", "d=>a"}},
		{"a whiteout and a directory that comes again below it", [][]string{{"a/", "a/b/", "a/b/c=1", "a/d=1"}, {"a/b/", "a/b/e=2", ".wh.a="}}, []string{"a/", "a/b/", "a/b/e=2"}},
		{"an empty directory that a whiteout leaves", [][]string{{"a/b/c=1"}, {"a/b/.wh.c="}}, []string{"a/", "a/b/"}},
		{"aufs marks", [][]string{{".wh..wh.plnk/", ".wh..wh.aufs=", "a=1"}}, []string{"a=1"}},
		{"odd names", [][]string{{"with blank=1", "ü=2", "new\nline=3"}}, []string{"new\nline=3", "with blank=1", "ü=2"}},
		{"an empty layer", [][]string{{"a=1"}, {}}, []string{"a=1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var layers [][]byte
			for _, l := range tt.layers {
				layers = append(layers, layerTar(t, l...))
			}
			path, err := sif(t, image(t, nil, layers...), convert.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, theirs(tree(t, path))); diff != "" {
				t.Errorf("layers %q differ (-want +got):\n%s", tt.layers, diff)
			}
		})
	}
}

// A character device 0:0 is a whiteout to overlay: it would be listed, but could not be opened.
func TestDeviceThatIsAWhiteoutToOverlay(t *testing.T) {
	raw := archive(t, tar.Header{Name: "none", Typeflag: tar.TypeChar, Mode: 0o640, Uid: 5}, tar.Header{Name: "block", Typeflag: tar.TypeBlock}, tar.Header{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3},
		tar.Header{Name: "link", Typeflag: tar.TypeLink, Linkname: "none"})
	path, err := sif(t, image(t, nil, raw), convert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := convert.Inspect(path)
	if err != nil {
		t.Fatal(err)
	}
	got := inSIF(t, path, c)
	for name, want := range map[string]uint32{"none": unix.S_IFREG | 0o640, "block": unix.S_IFBLK, "null": unix.S_IFCHR} {
		if got[name].Mode != want {
			t.Errorf("%s has the mode %o, want %o", name, got[name].Mode, want)
		}
	}
	if got["none"].UID != 5 || got["none"].Size != 0 || got["none"].Link != "link" {
		t.Errorf("the device 0:0 became %+v", got["none"])
	}
}

func TestFaults(t *testing.T) {
	good := layerTar(t, "a=1", "b/", "b/c=2")
	tests := []struct {
		name   string
		change func(img *convert.Image)
		class  fault.Class
		want   string
	}{
		{"a wrong diff id", func(img *convert.Image) {
			img.Config = bytes.Replace(img.Config, []byte(digest(good)), []byte(digest(nil)), 1)
		}, fault.Registry, "the image's config says"},
		{"garbage behind gzip's first bytes", replace([]byte("\x1f\x8bgarbage")), fault.Registry, "inflating"},
		{"gzip cut short", replace(gzipped(t, good)[:40]), fault.Registry, "inflating"},
		{"a tar cut short", replace(good[:300]), fault.Registry, "cut short"},
		{"no tar", replace(bytes.Repeat([]byte("x"), 2000)), fault.Registry, "no tar archive"},
		{"bzip2", replace([]byte("BZh91AY&SY")), fault.Registry, "bzip2"},
		{"a broken link", replace(layerTar(t, "a=>nothing")), fault.Registry, "no layer holds that file"},
		{"a layer that cannot be read", func(img *convert.Image) {
			img.Layers[0].Open = func(context.Context) (io.ReadCloser, error) { return nil, fault.New(fault.Network, "gone") }
		}, fault.Network, "gone"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			img := image(t, nil, good)
			tt.change(&img)
			if tt.name != "a wrong diff id" {
				img.Config = bytes.Replace(img.Config, []byte(`"`+digest(good)+`"`), nil, 1)
			}
			_, err := sif(t, img, convert.Options{})
			class, _, _ := fault.Of(err, "")
			if err == nil || class != tt.class || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("SIF = %v of class %q; want %q of class %q", err, class, tt.want, tt.class)
			}
		})
	}
}

func replace(blob []byte) func(*convert.Image) {
	return func(img *convert.Image) {
		img.Layers[0].Open = func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(blob)), nil }
	}
}

func TestCancelledConversionEnds(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("interrupted")
	img := image(t, nil, layerTar(t, "a=1"))
	img.Layers[0].Open = func(context.Context) (io.ReadCloser, error) {
		cancel(why)
		return io.NopCloser(endless{}), nil
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "image.sif"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := convert.SIF(ctx, f, img, convert.Options{}); !errors.Is(err, why) {
		t.Errorf("SIF = %v, want that it was interrupted", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// The same manifest gives the same bytes, whatever the machine, the image's name and the clock.
func TestSameBytes(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var entries []string
	for i := range 200 {
		entries = append(entries, fmt.Sprintf("d%d/f%d=%s", i%7, i, strings.Repeat(fmt.Sprint(rng.Uint64()), rng.IntN(20000))))
	}
	entries = append(entries, "usr/lib/x=1", "lib->usr/lib", "hard=>d1/f1")
	img := image(t, map[string]any{"Labels": map[string]string{"b": "1", "a": "2"}}, layerTar(t, entries[:100]...), layerTar(t, entries[50:]...), layerTar(t, "lib/y=1", "new=>lib/x"))
	bytesOf := func(img convert.Image, workers int) []byte {
		path, err := sif(t, img, convert.Options{Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	first := bytesOf(img, 1)
	named := img
	named.Reference = "another.example/name@" + img.ManifestDigest
	for name, again := range map[string]func() []byte{
		"one worker":      func() []byte { return bytesOf(img, 1) },
		"two workers":     func() []byte { return bytesOf(img, 2) },
		"five workers":    func() []byte { return bytesOf(img, 5) },
		"one per CPU":     func() []byte { return bytesOf(img, 0) },
		"another name":    func() []byte { return bytesOf(named, 2) },
		"another umask":   func() []byte { defer unix.Umask(unix.Umask(0o077)); return bytesOf(img, 2) },
		"an epoch is set": func() []byte { t.Setenv("SOURCE_DATE_EPOCH", "1"); return bytesOf(img, 2) },
	} {
		if !bytes.Equal(first, again()) {
			t.Errorf("%s: other bytes", name)
		}
	}
	named.Origin = convert.Provenance{Reference: "app:1", IndexDigest: digest([]byte("index")), Variant: "linux/amd64:zen4", Why: "because"}
	if travels := bytesOf(named, 1); !bytes.Equal(travels, bytesOf(named, 2)) || bytes.Equal(first, travels) {
		t.Error("the same origin gives other bytes, or is not written")
	}
}

func TestZstdAndPlainLayers(t *testing.T) {
	raw := layerTar(t, "a=1")
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, blob := range [][]byte{raw, enc.EncodeAll(raw, nil)} {
		img := image(t, nil, raw)
		replace(blob)(&img)
		path, err := sif(t, img, convert.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"a=1"}, theirs(tree(t, path))); diff != "" {
			t.Errorf("differs (-want +got):\n%s", diff)
		}
	}
}

// windowed compresses with zstd and states a window of that many bytes, a power of two.
func windowed(t testing.TB, raw []byte, window int) []byte {
	t.Helper()
	var b bytes.Buffer
	enc, err := zstd.NewWriter(&b, zstd.WithWindowSize(1<<10), zstd.WithEncoderConcurrency(1))
	if err == nil {
		_, err = enc.Write(raw)
	}
	if err = errors.Join(err, enc.Flush(), enc.Close()); err != nil {
		t.Fatal(err)
	}
	blob := b.Bytes()
	if blob[4]&0x20 != 0 || blob[5] != 0 {
		t.Fatalf("a frame that begins with %x has no window", blob[:6])
	}
	blob[5] = byte(bits.TrailingZeros(uint(window))-10) << 3
	return blob
}

// zstd has frames without content, and windows that take memory.
func TestZstdFrames(t *testing.T) {
	raw := layerTar(t, "a=1", "b="+strings.Repeat("2", 5000))
	plain := windowed(t, raw, 1<<20)
	skip := func(size int) []byte {
		return append([]byte{0x5e, 0x2a, 0x4d, 0x18, byte(size), byte(size >> 8), 0, 0}, make([]byte, size)...)
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	huge := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 20 << 3, 1, 0, 0}                   // an empty frame with a window of 1 GiB
	sole := []byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0} // one segment of 4 GiB
	tests := []struct {
		name string
		blob []byte
		want string // of the error
	}{
		{"a skippable frame first", join(skip(4), plain), ""},
		{"an empty one, and a long one", join(skip(0), skip(60_000), plain), ""},
		{"between frames and at the end", join(windowed(t, raw[:700], 1<<20), skip(12), windowed(t, raw[700:], 1<<20), skip(12)), ""},
		{"a window of 256 MiB", windowed(t, raw, 256<<20), ""},
		{"a window of 512 MiB", windowed(t, raw, 512<<20), ""},
		{"a window of 1 GiB", huge, "a zstd window of 1024 MiB, the limit is 512 MiB"},
		{"a segment of 4 GiB", sole, "a zstd window of 4096 MiB, the limit is 512 MiB"},
		{"a window of 1 GiB in a later frame", join(plain, huge), "inflating: window size exceeded"},
		{"a skippable frame that is cut short", skip(60_000)[:100], "a skippable frame of 60000 bytes"},
		{"a skippable frame in front of garbage", join(skip(4), []byte("garbage")), "no tar archive"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			img := image(t, nil, raw, layerTar(t, "c=1"), raw) // beside others of its kind
			for _, i := range []int{0, 2} {
				img.Layers[i].Open = func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(tt.blob)), nil }
			}
			path, err := sif(t, img, convert.Options{})
			if tt.want != "" {
				class, hints, _ := fault.Of(err, "")
				if err == nil || class != fault.Registry || !strings.Contains(err.Error(), tt.want) || strings.Contains(tt.want, "window") && !strings.Contains(fmt.Sprint(hints), "--long=29") {
					t.Errorf("SIF = %v of class %q with hints %q, want %q of class registry", err, class, hints, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"a=1", "b=" + strings.Repeat("2", 5000), "c=1"}, theirs(tree(t, path))); diff != "" {
				t.Errorf("differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestInspect(t *testing.T) {
	img := image(t, map[string]any{"Env": []string{"A=b"}}, layerTar(t, "a=1"))
	want := convert.Provenance{Reference: "test", IndexDigest: digest([]byte("index")), Variant: "linux/amd64:zen4", Why: "because"}
	img.Origin = want
	path, err := sif(t, img, convert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := convert.Inspect(path)
	if err != nil {
		t.Fatal(err)
	}
	want.SchemaVersion, want.ManifestDigest = 1, img.ManifestDigest
	if c.Arch != "amd64" || !bytes.Equal(c.Config, img.Config) || c.Provenance != want || c.Offset%4096 != 0 {
		t.Errorf("Inspect = %+v, want %+v and the config", c, want)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 10, 100, 5000, len(raw) / 2, len(raw) - 1} {
		cut := filepath.Join(t.TempDir(), "cut.sif")
		if err := os.WriteFile(cut, raw[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := convert.Inspect(cut); err == nil {
			t.Errorf("Inspect of %d bytes of %d gave no error", size, len(raw))
		}
	}
}

// Other programs add objects to a SIF, such as apptainer sign, and remove some, so that descriptors
// before the last used one are unused.
func TestInspectChanged(t *testing.T) {
	path, err := sif(t, image(t, nil, layerTar(t, "a=1")), convert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want, err := convert.Inspect(path)
	if err != nil {
		t.Fatal(err)
	}
	change := func(what string, with func(*siflib.FileImage) error) {
		t.Helper()
		img, err := siflib.LoadContainerFromPath(path)
		if err == nil {
			err = errors.Join(with(img), img.UnloadContainer())
		}
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		got, err := convert.Inspect(path)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", what, err, diff)
		}
	}
	for i := range 30 {
		change(fmt.Sprintf("with %d objects more", i+1), func(img *siflib.FileImage) error {
			more, err := siflib.NewDescriptorInput(siflib.DataGeneric, strings.NewReader("more"))
			return errors.Join(err, img.AddObject(more))
		})
	}
	change("without the manifest", func(img *siflib.FileImage) error { return img.DeleteObject(2) })
	change("without another", func(img *siflib.FileImage) error { return img.DeleteObject(20) })
}

// The scripts pass every argument and variable exactly as the image has it.
func TestScriptsAreExact(t *testing.T) {
	odd := []string{"", "a b", "'", `"`, `\`, "$HOME", "`id`", "*", "new\nline", "$(id)", "-n", "ü"}
	var env []string
	for i, v := range odd {
		env = append(env, fmt.Sprintf("V%d=%s", i, v))
	}
	img := image(t, map[string]any{
		"Env": append(env, "bad-name=1"), "Entrypoint": append([]string{"printf", "[%s]"}, odd...), "Cmd": []string{"x y", "'"},
	}, layerTar(t, "a=1"))
	path, err := sif(t, img, convert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, line := range tree(t, path) {
		name, text, _ := strings.Cut(line, "=")
		if strings.HasPrefix(name, ".singularity.d/") && strings.HasPrefix(text, "#!") {
			if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), []byte(text), 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	out, err := exec.Command("sh", filepath.Join(dir, "runscript")).Output()
	if want := "[" + strings.Join(append(odd, "x y", "'"), "][") + "]"; err != nil || string(out) != want {
		t.Errorf("the runscript printed %q, %v; want %q", out, err, want)
	}
	out, err = exec.Command("sh", filepath.Join(dir, "runscript"), "one", "").Output()
	if want := "[" + strings.Join(append(odd, "one", ""), "][") + "]"; err != nil || string(out) != want {
		t.Errorf("the runscript with arguments printed %q, %v; want %q", out, err, want)
	}
	for i, want := range odd {
		cmd := exec.Command("sh", "-c", `. "$1"; printf %s "$2" | sed 's/.*//' ; eval "printf %s \"\$$2\""`, "sh", filepath.Join(dir, "10-docker2singularity.sh"), fmt.Sprintf("V%d", i))
		cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
		if out, err := cmd.Output(); err != nil || string(out) != want {
			t.Errorf("the environment script set V%d to %q, %v; want %q", i, out, err, want)
		}
	}
}

// For any layers, the tree is the one that umoci unpacks.
func TestSameTreeAsUmoci(t *testing.T) {
	needOracles(t)
	for seed := range uint64(25) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 99))
			var layers [][]byte
			have := map[string]bool{}
			for range 2 + rng.IntN(3) {
				layers = append(layers, layerTar(t, randomLayer(rng, have)...))
			}
			img := image(t, nil, layers...)
			path, err := sif(t, img, convert.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(umociTree(t, img), theirs(tree(t, path))); diff != "" {
				t.Errorf("differs from umoci's (-umoci +ours):\n%s", diff)
			}
		})
	}
}

// randomLayer makes a layer that a build could have made: parents come first, no path leads through
// a file.
func randomLayer(rng *rand.Rand, have map[string]bool) []string {
	var entries []string
	mine := map[string]bool{}
	for range 1 + rng.IntN(8) {
		dir := []string{"", "p/", "p/q/", "r/"}[rng.IntN(4)]
		name := dir + string(rune('a'+rng.IntN(4)))
		if mine[name] {
			continue
		}
		mine[name] = true
		for _, parent := range []string{"p/", "p/q/", "r/"} {
			if strings.HasPrefix(dir, parent) && !mine[parent] {
				mine[parent] = true
				entries = append(entries, parent)
			}
		}
		switch rng.IntN(5) {
		case 0:
			if have[name] {
				entries = append(entries, dir+".wh."+strings.TrimPrefix(name, dir)+"=")
			}
		case 1:
			entries = append(entries, name+"->../x")
		case 2:
			if dir != "" && !mine[dir+"opq"] && have[dir] {
				mine[dir+"opq"] = true
				entries = append(entries, dir+".wh..wh..opq=")
			}
		default:
			entries = append(entries, fmt.Sprintf("%s=%d", name, rng.IntN(1000)))
		}
	}
	for name := range mine {
		have[name] = true
	}
	return entries
}

// Layers may use symlinks, hard links and replacements in any way: the tree is umoci's whenever
// umoci can unpack them.
func TestSameTreeAsUmociThroughLinks(t *testing.T) {
	needOracles(t)
	compared := 0
	for seed := range uint64(120) {
		rng := rand.New(rand.NewPCG(seed, 7))
		layers := [][]byte{layerTar(t, "a/", "a/b/", "a/b/c=base", "b/", "b/c=base", "c->a", "d->/a/b", "e=base", "f=>e", "a/e=>e")}
		var said [][]string
		for range 1 + rng.IntN(4) {
			entries := wildLayer(rng)
			said, layers = append(said, entries), append(layers, layerTar(t, entries...))
		}
		img := image(t, nil, layers...)
		root, err := umociMay(t, img)
		if err != nil {
			continue // a path below a file, or a link to nothing
		}
		compared++
		path, err := sif(t, img, convert.Options{})
		if err != nil {
			t.Errorf("%d: layers %q: %v", seed, said, err)
			continue
		}
		if diff := cmp.Diff(listTree(t, root), theirs(tree(t, path))); diff != "" {
			t.Errorf("%d: layers %q differ from umoci's (-umoci +ours):\n%s", seed, said, diff)
		}
	}
	if compared < 40 {
		t.Errorf("umoci unpacked %d images only", compared)
	}
}

// wildLayer makes a layer of entries of any kind at few paths.
func wildLayer(rng *rand.Rand) []string {
	dirs := []string{"", "a/", "a/b/", "b/", "c/", "d/", "c/b/", "d/../", "g/", "a/g/"}
	path := func() string { return dirs[rng.IntN(len(dirs))] + string(rune('a'+rng.IntN(7))) }
	files := []string{"e", "f", "a/e", "a/b/c", "b/c", "c/e", "d/c"}
	split := func(p string) (dir, name string) {
		return p[:strings.LastIndex(p, "/")+1], p[strings.LastIndex(p, "/")+1:]
	}
	var entries []string
	for range 1 + rng.IntN(4) {
		p := path()
		dir, name := split(p)
		switch rng.IntN(8) {
		case 0:
			entries = append(entries, dir+".wh."+name+"=")
		case 1:
			entries = append(entries, dir+".wh..wh..opq=")
		case 2:
			entries = append(entries, p+"/")
		case 3:
			entries = append(entries, p+"->"+[]string{"/", "", "../"}[rng.IntN(3)]+path())
		case 4, 5:
			entries = append(entries, p+"=>"+files[rng.IntN(len(files))])
		default:
			entries = append(entries, fmt.Sprintf("%s=%d", p, rng.IntN(1000)))
		}
	}
	return entries
}

// umociTree unpacks an image with umoci and lists it in the way of theirs.
func umociTree(t *testing.T, img convert.Image) []string {
	t.Helper()
	return listTree(t, umociUnpack(t, img))
}

func listTree(t *testing.T, root string) []string {
	t.Helper()
	lines := []string{}
	first := map[uint64]string{}
	err := filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err != nil || path == root {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		switch {
		case info.IsDir():
			rel += "/"
		case info.Mode()&os.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			rel += "->" + target
		default:
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			at := info.Sys().(*syscall.Stat_t).Ino
			if first[at] == "" {
				first[at] = rel
				rel += "=" + string(raw)
			} else {
				rel += "=>" + first[at]
			}
		}
		lines = append(lines, rel)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return theirs(lines)
}
