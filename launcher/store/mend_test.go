package store

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a pull has put into a directory that nobody else could read is for others afterwards, where
// anyone may have it.
func TestMend(t *testing.T) {
	above := t.TempDir()
	dir := filepath.Join(above, "made", "hpc3")
	public := true
	s, err := OpenWith(dir, Options{Public: func() bool { return public }})
	if err != nil {
		t.Fatal(err)
	}
	put := func(text string, anyone bool) string {
		public = anyone
		digest := "sha256:" + sumOf("sha256", []byte(text))
		if err := s.PutBlob(digest, []byte(text)); err != nil {
			t.Fatal(err)
		}
		return digest
	}
	config, secret := put("config", true), put("secret", false)
	layer, raw := aLayer(500, "x")
	public = false
	keep(t, s, layer, raw, -1)
	sifs := map[string]string{}
	for name, digest := range map[string]string{
		"public": put("links "+config, true), "linked": put("links "+config+" ", true), "private": put("links  "+config, false),
		"private config": put("links "+secret, true), "private layer": put("links "+config+" "+layer, true), "no config": put("links", true),
	} {
		sifs[name], err = s.CreateSIF(t.Context(), digest, "amd64", func(f *os.File) error { _, err := io.WriteString(f, name); return err })
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(sifs["linked"], filepath.Join(above, "other")); err != nil {
		t.Fatal(err)
	}
	shared, err := OpenWith(dir, Options{Shared: true})
	if err != nil {
		t.Fatal(err)
	}
	mended, err := shared.Mend(words)
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range sifs {
		info, err := os.Stat(file)
		if err != nil || (info.Mode().Perm() == publicFile) != (name == "public") {
			t.Errorf("the SIF that is %s has mode %04o, %v", name, info.Mode().Perm(), err)
		}
	}
	for _, room := range []string{"..", ".", dirSIF, dirBlobs, dirLayers, dirRefs, filepath.Dir(strings.TrimPrefix(sifs["private"], dir))} {
		if info, err := os.Stat(filepath.Join(dir, room)); err == nil && info.Mode().Perm() != publicDir {
			t.Errorf("%s has mode %04o", room, info.Mode().Perm())
		}
	}
	if info, err := os.Stat(filepath.Join(dir, dirTmp)); err != nil || info.Mode().Perm() != privateDir {
		t.Errorf("%s is for others as well: %v", dirTmp, err)
	}
	if again, err := shared.Mend(words); err != nil || len(again) > 0 || len(mended) < 10 {
		t.Errorf("first %d were mended, then %q, %v", len(mended), again, err)
	}
}
