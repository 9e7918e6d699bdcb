package fetch_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// tarred returns a tar file of small files.
func tarred(t *testing.T, names ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, n := range names {
		if err := w.WriteHeader(&tar.Header{Name: n, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestIdentify(t *testing.T) {
	layout, saved := tarred(t, "./oci-layout", "./blobs/sha256/a"), tarred(t, "manifest.json", "a.json")
	for _, tt := range []struct {
		name, text string
		image      bool
		as         oci.Transport
	}{
		{"layout.tar", layout, true, oci.LayoutArchive},
		{"layout.tgz", zipped(t, layout), true, oci.LayoutArchive},
		{"saved.tar", saved, true, oci.DockerArchive},
		{"saved", zipped(t, saved), true, oci.DockerArchive},
		{"other.tar", tarred(t, "config", "layer.tar.gz", "manifest.json"), true, oci.DockerArchive},
		{"root.tar", tarred(t, "bin/sh"), true, ""},
		{"none.tar", tarred(t), false, ""},
		{"cut.tar", layout[:600], true, oci.LayoutArchive},
		{"cut.tgz", zipped(t, layout)[:12], false, ""},
		{"text.gz", zipped(t, "text"), false, ""},
		{"containerfile", "ARG A\nFROM x\n", true, ""},
		{"any", "# syntax=docker/dockerfile:1\n\nFROM x\n", true, ""},
		{"any", "BootStrap: docker\n", true, ""},
		{"any", "\x7fELF", false, ""},
		{"any", "", false, ""},
	} {
		file := filepath.Join(t.TempDir(), tt.name)
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := fetch.Identify(file); got.What == "" || got.Dir || got.Image != tt.image || got.As != tt.as {
			t.Errorf("Look of %s = %+v, want image %v, %q", tt.name, got, tt.image, tt.as)
		}
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := fetch.Identify(pipe); got.What == "" || got.Image {
		t.Errorf("Look of a pipe = %+v", got)
	}
	if got := fetch.Identify(pipe + "/none"); got.What != "" {
		t.Errorf("Look of nothing = %+v", got)
	}
}

func FuzzLook(f *testing.F) {
	f.Add([]byte("\x1f\x8b"))
	f.Add([]byte("hsqs"))
	f.Add(append(make([]byte, 257), "ustar"...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		file := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(file, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := fetch.Identify(file); got.What == "" {
			t.Errorf("Identify(%q) says nothing", raw)
		}
	})
}
