package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Of what is in a directory of others, what its owners wrote counts, and nothing else.
func TestTrust(t *testing.T) {
	needRoot(t)
	const siteUID, strangerUID = 12345, 54321
	tests := []struct {
		name   string
		change func(dir, sif string) error
		open   string // why it is refused
		found  bool
	}{
		{"the owner's", func(dir, sif string) error { return nil }, "", true},
		{"the caller's own file", func(dir, sif string) error { return os.Chown(sif, 0, 0) }, "", true},
		{"a stranger's file", func(dir, sif string) error { return os.Chown(sif, strangerUID, 0) }, "", false},
		{"a file that the group can write", func(dir, sif string) error { return os.Chmod(sif, 0o464) }, "", false},
		{"a SIF's directory that others can write", func(dir, sif string) error { return os.Chmod(filepath.Dir(sif), 0o777) }, "", false},
		{"a SIF's directory of a stranger", func(dir, sif string) error { return os.Chown(filepath.Dir(sif), strangerUID, 0) }, "", false},
		{"a link to a file of the owner", func(dir, sif string) error {
			return errors.Join(os.Rename(sif, dir+"/x"), os.Symlink("../../x", sif))
		}, "", false},
		{"a room of a stranger", func(dir, sif string) error { return os.Chown(dir+"/sif", strangerUID, 0) }, "its sif belongs to uid 54321, which is not one of its owners", false},
		{"pins that others can write", func(dir, sif string) error { return os.Chmod(dir+"/refs", 0o775) }, "others may write to its refs", false},
		{"a directory of a stranger", func(dir, sif string) error { return os.Chown(dir, strangerUID, 0) }, "it belongs to uid 54321", false},
		{"a directory that others can write", func(dir, sif string) error { return os.Chmod(dir, 0o775) }, "others may write to it (mode 0775)", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "hpc3")
			mine, err := OpenWith(dir, Options{Shared: true, Public: func() bool { return true }})
			if err != nil {
				t.Fatal(err)
			}
			sif := mustCreate(t, mine)
			if err := mine.SetPin(Pin{Reference: "x", Digest: testDigest}); err != nil {
				t.Fatal(err)
			}
			err = filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
				return errors.Join(err, os.Lchown(path, siteUID, siteUID))
			})
			if err := errors.Join(err, tt.change(dir, sif)); err != nil {
				t.Fatal(err)
			}
			s, err := OpenWith(dir, Options{Owners: []uint32{siteUID}, Shared: true})
			if tt.open != "" {
				wantFault(t, err, tt.open)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if path, ok, err := s.SIF(testDigest, "amd64"); ok != tt.found || err != nil {
				t.Errorf("SIF = %q, %v, %v; want %v", path, ok, err, tt.found)
			}
			images, err := s.Images()
			if err != nil || len(images) != 1 || (images[0].Why == "") != tt.found || images[0].Digest != testDigest {
				t.Errorf("Images = %+v, %v; want one that counts: %v", images, err, tt.found)
			}
		})
	}
}

// What anyone may read can be read where others look, whatever the umask; what is private cannot,
// and neither can what lies in a directory of the caller's own.
func TestModes(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	tests := []struct {
		name                  string
		shared, public        bool
		dir, sif, blob, outer os.FileMode
	}{
		{"shared and public", true, true, 0o755, 0o444, 0o444, 0o755},
		{"shared and private", true, false, 0o755, 0o400, 0o400, 0o755},
		{"own and public", false, true, 0o700, 0o400, 0o444, 0o700},
		{"own and private", false, false, 0o700, 0o400, 0o400, 0o700},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := OpenWith(filepath.Join(t.TempDir(), "hpc3"), Options{Shared: tt.shared, Public: func() bool { return tt.public }})
			if err != nil {
				t.Fatal(err)
			}
			sif := mustCreate(t, s)
			if err := s.PutBlob(testDigest, []byte("{}")); err != nil {
				t.Fatal(err)
			}
			blob := filepath.Join(s.Dir(), dirBlobs, "sha256", testDigest[7:])
			for path, want := range map[string]os.FileMode{
				s.Dir(): tt.outer, filepath.Dir(sif): tt.dir, filepath.Dir(filepath.Dir(sif)): tt.dir, sif: tt.sif, filepath.Dir(blob): tt.dir, blob: tt.blob,
				filepath.Join(s.Dir(), dirTmp): 0o700, filepath.Join(s.Dir(), dirLocks): 0o700,
			} {
				if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
					t.Errorf("%s has mode %v, %v; want %v", strings.TrimPrefix(path, s.Dir()), info.Mode(), err, want)
				}
			}
			if got := s.PublicBlob(testDigest); got != tt.public {
				t.Errorf("PublicBlob = %v, want %v", got, tt.public)
			}
		})
	}
}
