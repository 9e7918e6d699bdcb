package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/caches"
	"github.com/hpc3-project/hpc3/launcher/choose"
	"github.com/hpc3-project/hpc3/launcher/convert"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/site"
	"github.com/hpc3-project/hpc3/launcher/store"
)

// An image is fetched once; after that its SIF is held, and read once.
func TestObtain(t *testing.T) {
	r, w := serve(t, pictureOf(t)), newWalk(t)
	_, img := w.obtained(t, r.host()+"/app:1")
	if !filepath.IsAbs(img.Path) || len(img.Contents.Config) == 0 || img.Held == nil || !w.has("fetching and converting ") {
		t.Fatalf("Obtain() = %+v; told %q", img, w.said)
	}
	if _, gone := store.Hold(img.Path); gone {
		t.Error("the SIF is gone")
	}
	r.requests()
	s, again := w.obtained(t, r.host()+"/app:1")
	if again.Path != img.Path || again.Held == nil || len(r.requests()) > 0 || !w.has("from the cache ") {
		t.Errorf("Obtain() of what is cached = %+v", again)
	}
	if a := s.Aside(again.Path); a.Name == "" || a.Mark != "" {
		t.Errorf("Aside() = %+v", a)
	}
	if a := s.Aside("/elsewhere/x.sif"); a.Mark != "" {
		t.Errorf("Aside() of a file that is not there = %+v", a)
	}
	looking := w.open(t, r.host()+"/app:1", true)
	c := chosen(t, looking)
	if config, made, err := looking.Config(c.Entry.Digest, c.Arch()); !made || err != nil || len(config) == 0 || looking.made.Held != nil {
		t.Errorf("Config() = %q, %v, %v; it holds %v", config, made, err, looking.made.Held)
	}
}

// A SIF that is removed between the choice and the start is made again.
func TestRemovedMeanwhile(t *testing.T) {
	r, w := serve(t, pictureOf(t)), newWalk(t)
	_, img := w.obtained(t, r.host()+"/app:1")
	s := w.open(t, r.host()+"/app:1", true) // which holds nothing
	c := chosen(t, s)
	if err := os.Remove(img.Path); err != nil {
		t.Fatal(err)
	}
	s.Looks = false
	s.made = Image{}
	if got, err := s.Obtain(t.Context(), c); err != nil || got.Held == nil {
		t.Errorf("Obtain() = %+v, %v", got, err)
	}
}

// A damaged SIF of a cache is set aside, and made again; who only looks leaves it.
func TestDamagedSIF(t *testing.T) {
	r, w := serve(t, pictureOf(t)), newWalk(t)
	_, img := w.obtained(t, r.host()+"/app:1")
	img.Close()
	if err := os.Chmod(img.Path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(img.Path, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt(make([]byte, 4096), 0)
	}
	if err := errors.Join(err, f.Close(), os.Chmod(img.Path, 0o555)); err != nil {
		t.Fatal(err)
	}
	looking := w.open(t, r.host()+"/app:1", true)
	c := chosen(t, looking)
	if _, made, err := looking.Config(c.Entry.Digest, c.Arch()); made || err != nil || w.has("set aside") {
		t.Errorf("Config() = %v, %v; told %q", made, err, w.said)
	}
	_, again := w.obtained(t, r.host()+"/app:1")
	if !w.has("it is set aside, and the image is made anew") || len(again.Contents.Config) == 0 {
		t.Errorf("Obtain() = %+v; told %q", again, w.said)
	}
}

// blobsOf returns the files of layers in the cache.
func blobsOf(t *testing.T, w *walk) (files []string) {
	t.Helper()
	dir := filepath.Join(w.set.Host.Getenv("HPC3_CACHEDIR"), "blobs", "layers")
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// A copy of a layer that is damaged is fetched again.
func TestDamagedCopy(t *testing.T) {
	r, w := serve(t, pictureOf(t)), newWalk(t)
	_, img := w.obtained(t, r.host()+"/app:1")
	img.Close()
	files := blobsOf(t, w)
	if len(files) != 2 {
		t.Fatalf("the cache has the layers %q, want two", files)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err == nil {
			err = errors.Join(os.Chmod(file, 0o600), os.WriteFile(file, bytes.Repeat([]byte{7}, int(info.Size())), 0o600), os.Chmod(file, info.Mode()))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(img.Path); err != nil {
		t.Fatal(err)
	}
	w.obtained(t, r.host()+"/app:1")
	if !w.has("fetching it again") {
		t.Errorf("told %q", w.said)
	}
}

// A sound copy is read instead of the registry.
func TestCopyIsRead(t *testing.T) {
	r, w := serve(t, pictureOf(t)), newWalk(t)
	_, img := w.obtained(t, r.host()+"/app:1")
	img.Close()
	if err := os.Remove(img.Path); err != nil {
		t.Fatal(err)
	}
	r.requests()
	w.obtained(t, r.host()+"/app:1")
	for _, path := range r.requests() {
		if strings.Contains(path, "/blobs/") {
			t.Errorf("it asked for %s", path)
		}
	}
	w.set.Option.LayerCache = option.LayerCache{}
	if err := os.Remove(img.Path); err != nil {
		t.Fatal(err)
	}
	w.obtained(t, r.host()+"/app:1")
	if len(r.requests()) == 0 {
		t.Error("it reads copies that it is not to keep")
	}
}

// What cannot be had is said, and nothing is asked that must not be.
func TestNever(t *testing.T) {
	r, w := serve(t, pictureOf(t)), newWalk(t)
	s := w.open(t, r.host()+"/app:1", false)
	c := chosen(t, s)
	w.set.Option.Pull = option.Never
	never := w.open(t, r.host()+"/app:1", false)
	if got, err := never.Cached(choose.Name{Reference: never.ref}); err != nil || got == nil {
		t.Errorf("Cached() = %q, %v", got, err)
	}
	if _, err := never.Obtain(t.Context(), c); !errors.Is(err, choose.ErrNotCached) {
		t.Errorf("Obtain() = %v", err)
	}
	_, _, rootErr := never.Root(t.Context(), never.ref)
	_, tagsErr := never.Tags(t.Context())
	_, blobErr := never.Blob(t.Context(), oci.Descriptor{Digest: oci.DigestOf([]byte("x"))})
	for what, err := range map[string]error{"Root": rootErr, "Tags": tagsErr, "Blob": blobErr} {
		if !errors.Is(err, choose.ErrNotCached) {
			t.Errorf("%s() = %v, want ErrNotCached", what, err)
		}
	}
	w.set.Option.Pull = option.Always
	always := w.open(t, r.host()+"/app:1", false)
	if got, err := always.Cached(choose.Name{Reference: always.ref}); err != nil || got != nil {
		t.Errorf("Cached() with --pull always = %q, %v", got, err)
	}
}

// Tags are listed, and another tag is read by the same source.
func TestOtherTag(t *testing.T) {
	r, w := serve(t, pictureOf(t)), newWalk(t)
	s := w.open(t, r.host()+"/app:2", false)
	if tags, err := s.Tags(t.Context()); err != nil || strings.Join(tags, " ") != "1" {
		t.Errorf("Tags() = %q, %v", tags, err)
	}
	other := s.ref
	other.Tag = "1"
	if raw, _, err := s.Root(t.Context(), other); err != nil || len(raw) == 0 {
		t.Errorf("Root() of another tag = %q, %v", raw, err)
	}
	if _, _, err := s.Root(t.Context(), s.ref); err == nil {
		t.Error("Root() of a tag that is not there is no error")
	}
	name := choose.Name{Reference: s.ref, Tags: true}
	if err := s.Remember(name, []byte(`{"tags":["1"]}`), oci.MediaTypeTags); err != nil {
		t.Error(err)
	}
	if got, err := s.Cached(name); err != nil || len(got) == 0 {
		t.Errorf("Cached() = %q, %v", got, err)
	}
}

// An image that everybody may read goes to the site's cache, another one to the user's.
func TestSiteCache(t *testing.T) {
	r := serve(t, pictureOf(t))
	for _, private := range []bool{false, true} {
		w := newWalk(t)
		dir := filepath.Join(t.TempDir(), "site")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		w.set.Site.Caches = []site.Cache{{Dir: dir, Write: true}}
		s := w.open(t, r.host()+"/app:1", false)
		c := chosen(t, s)
		if private {
			s.Caches.UsesPrivate()
		}
		img, err := s.Obtain(t.Context(), c)
		if err != nil || strings.HasPrefix(img.Path, dir) == private {
			t.Errorf("private is %v, and Obtain() = %s, %v; told %q", private, img.Path, err, w.said)
		}
		img.Close()
		if a := s.Aside(img.Path); (a.Mark != "") == private {
			t.Errorf("Aside(%s) = %+v", img.Path, a)
		}
	}
}

// What turns out to be private while it is converted, or does not fit, goes to the next cache.
func TestNextCache(t *testing.T) {
	w := newWalk(t)
	s := w.open(t, "127.0.0.1:1/app:1", false)
	open := func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("x")), nil }
	img := s.onlyPublic(convert.Image{Layers: []convert.Layer{{Open: open}}})
	if _, err := img.Layers[0].Open(t.Context()); err != nil {
		t.Errorf("a public layer: %v", err)
	}
	s.Caches.UsesPrivate()
	_, private := img.Layers[0].Open(t.Context())
	for _, tt := range []struct {
		name  string
		ended bool
		err   error
		want  bool
	}{
		{"private", false, private, true},
		{"no room", false, store.ErrUnusable.New("full"), true},
		{"a broken image", false, oci.ErrUnusable.New("broken"), false},
		{"a damaged copy", false, &store.DamagedError{}, false},
		{"ended", true, private, false},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		if tt.ended {
			cancel()
		}
		got := s.nextCache(ctx, caches.Tier{Cache: site.Cache{Dir: "/sw"}}, tt.err)
		if cancel(); got != tt.want {
			t.Errorf("%s: nextCache(%v) = %v", tt.name, tt.err, got)
		}
	}
}

// A SIF is written to a file, whole or not at all.
func TestSave(t *testing.T) {
	r, w := serve(t, pictureOf(t)), newWalk(t)
	s := w.open(t, r.host()+"/app:1", false)
	c := chosen(t, s)
	dir := t.TempDir()
	file := filepath.Join(dir, "app.sif")
	if written, err := s.Save(t.Context(), c, Target{File: file}); err != nil || !written {
		t.Fatal(err)
	}
	img, err := File(oci.Reference{Transport: oci.SIF, Path: file}, file)
	if err != nil || !strings.HasSuffix(img.Contents.Provenance.Reference, "/app:1") {
		t.Errorf("File() = %+v, %v", img, err)
	}
	for _, bad := range []string{dir, filepath.Join(dir, "none", "app.sif")} {
		if _, err := s.Save(t.Context(), c, Target{File: bad}); fault.ClassOf(err) != fault.Convert {
			t.Errorf("Save(%s) = %v", bad, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Save(ended, c, Target{File: filepath.Join(dir, "late.sif")}); err == nil {
		t.Error("Save() after the end is no error")
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("it leaves %v", files)
	}
	if _, err := File(oci.Reference{Transport: oci.SIF, Path: "none.sif"}, "none.sif"); fault.ClassOf(err) != fault.Reference {
		t.Errorf("File() of nothing = %v", err)
	}
}

// A layout, and an archive of one that is compressed as a whole.
func TestLocal(t *testing.T) {
	dir := layoutOf(t, pictureOf(t))
	archive := filepath.Join(t.TempDir(), "image.tar.gz")
	f, err := os.Create(archive)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	a := tar.NewWriter(z)
	if err := errors.Join(a.AddFS(os.DirFS(dir)), a.Close(), z.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	for _, image := range []string{"oci:" + dir, "oci-archive:" + archive} {
		w := newWalk(t)
		if _, img := w.obtained(t, image); img.Path == "" {
			t.Errorf("Obtain(%s) gives nothing", image)
		}
		if strings.HasPrefix(image, "oci-archive:") != w.has("which is compressed as a whole") {
			t.Errorf("told %q", w.said)
		}
	}
	w := newWalk(t)
	s := w.open(t, "oci:"+filepath.Join(t.TempDir(), "none"), false)
	if _, err := s.Cached(choose.Name{Reference: s.ref}); fault.ClassOf(err) != fault.Reference {
		t.Errorf("Cached() of no file = %v", err)
	}
	if err := s.Remember(choose.Name{Reference: s.ref}, nil, ""); err == nil {
		t.Error("Remember() of no file is no error")
	}
}

// A mirror without the layers is passed over, and one that sends others has the conversion begin
// again.
func TestMirror(t *testing.T) {
	img := pictureOf(t)
	r, mirror := serve(t, img), serve(t, img)
	mirror.spoil = func(path string) bool { return strings.Contains(path, "/blobs/") }
	w := newWalk(t)
	w.set.Site.Mirrors = []site.Mirror{{Registry: r.host(), Mirrors: []site.Endpoint{{Scheme: "http", Host: mirror.host()}}}}
	if _, got := w.obtained(t, r.host()+"/app:1"); got.Path == "" || len(mirror.requests()) == 0 {
		t.Errorf("Obtain() = %+v; the mirror was not asked", got)
	}
}

// What a second try may mend.
func TestWorthAgain(t *testing.T) {
	r, w := serve(t, pictureOf(t)), newWalk(t)
	s, _ := w.obtained(t, r.host()+"/app:1")
	if s.worthAgain(t.Context(), errors.New("anything")) {
		t.Error("anything is worth a second try")
	}
	if s.worthAgain(t.Context(), oci.ErrUnusable.New("broken")) {
		t.Error("a broken image is tried again, though no copy was read")
	}
	if !s.worthAgain(t.Context(), fmt.Errorf("writing: %w", syscall.ENOSPC)) || !w.has("of layers were removed from there") {
		t.Errorf("copies make no room; told %q", w.said)
	}
	if s.worthAgain(t.Context(), syscall.EDQUOT) || len(blobsOf(t, w)) > 0 {
		t.Errorf("there are copies yet: %q", blobsOf(t, w))
	}
	if !s.worthAgain(t.Context(), &store.DamagedError{Digest: "x"}) {
		t.Error("a damaged copy is not worth a second try")
	}
}

// Room is looked at before anything is fetched.
func TestRoom(t *testing.T) {
	w := newWalk(t)
	s := w.open(t, "127.0.0.1:1/app:1", false)
	s.lookAhead(t.TempDir(), []oci.Descriptor{{Size: 1 << 60}})
	if !w.has("are to go to ") || !s.layers.tight || !w.has("too little to keep layers beside the image") {
		t.Errorf("told %q", w.said)
	}
	s.lookAhead(t.TempDir(), []oci.Descriptor{{Size: 1}})
	if s.layers.tight {
		t.Error("there is no room for a byte")
	}
}

// A registry that loses a layer is an error, and no second try is made of it.
func TestLostLayer(t *testing.T) {
	r, w := serve(t, pictureOf(t)), newWalk(t)
	s := w.open(t, r.host()+"/app:1", false)
	c := chosen(t, s)
	layers, err := r.image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	r.spoil = func(path string) bool { return strings.HasSuffix(path, digest.String()) }
	if _, err := s.Obtain(t.Context(), c); !errors.Is(err, oci.ErrUnusable) {
		t.Errorf("Obtain() = %v", err)
	}
}
