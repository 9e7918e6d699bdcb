package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	mkdir := func(name string, mode os.FileMode) error {
		return errors.Join(os.Mkdir(in(name), 0o700), os.Chmod(in(name), mode))
	}
	tests := []struct {
		name, want string
		root       bool
		make       func() error
	}{
		{"", "no directory is known", false, nil},
		{"world", "others may write", false, func() error { return mkdir("world", 0o777) }},
		{"sticky", "others may write", false, func() error { return mkdir("sticky", 0o777|os.ModeSticky) }},
		{"group", "others may write", false, func() error { return mkdir("group", 0o770) }},
		{"file", "not a directory", false, func() error { return os.WriteFile(in("file"), nil, 0o600) }},
		{"fifo", "not a directory", false, func() error { return syscall.Mkfifo(in("fifo"), 0o600) }},
		{"loop", "too many levels of symbolic links", false, func() error { return os.Symlink("loop", in("loop")) }},
		{"theirs", "it belongs to uid 12345", true, func() error { return errors.Join(mkdir("theirs", 0o700), os.Chown(in("theirs"), 12345, -1)) }},
		{"link", "symbolic link of another user", true, func() error {
			return errors.Join(mkdir("mine", 0o700), os.Symlink("mine", in("link")), os.Lchown(in("link"), 12345, -1))
		}},
		{"to-theirs", "it belongs to uid", false, func() error {
			if os.Geteuid() == 0 {
				return os.Symlink("theirs", in("to-theirs"))
			}
			return os.Symlink("/usr", in("to-theirs"))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.root {
				needRoot(t)
			}
			path := ""
			if tt.name != "" {
				path = in(tt.name)
				if err := tt.make(); err != nil {
					t.Fatal(err)
				}
			}
			_, err := Open(path)
			wantFault(t, err, tt.want)
		})
	}
}

func TestOpenAccepts(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "real"), 0o755), os.Symlink("real", link)); err != nil {
		t.Fatal(err)
	}
	mustCreate(t, open(t, link))
	deep := filepath.Join(dir, "a", "b")
	s := open(t, deep)
	if _, err := os.Lstat(filepath.Join(dir, "a")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open makes directories: %v", err)
	}
	mustCreate(t, s)
	if info, err := os.Stat(deep); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the directory: %v, %v", info.Mode(), err)
	}
}

// The directory is swapped after it was opened: what was checked is used.
func TestSwapped(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hpc3")
	s := open(t, dir)
	mustCreate(t, s)
	if err := errors.Join(os.Rename(dir, dir+".old"), os.Mkdir(dir, 0o777)); err != nil {
		t.Fatal(err)
	}
	if err := s.SetPin(Pin{Reference: "x", Digest: testDigest}); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("written into the new directory: %v", left)
	}
}

func TestFullFileSystem(t *testing.T) {
	s := open(t, filepath.Join(mountTmpfs(t, "size=64k"), "hpc3"))
	_, err := create(s, strings.Repeat("x", 1<<20))
	wantFault(t, err, "no space left on device")
	wantClean(t, s)
	mustCreate(t, s)
	if _, err := create(open(t, filepath.Join(mountTmpfs(t, "nr_inodes=1"), "hpc3")), content); err == nil {
		t.Error("no error without a free inode")
	} else {
		wantFault(t, err, "no space left on device")
	}
}

func TestReadOnly(t *testing.T) {
	var dir string
	want := "permission denied"
	if os.Geteuid() == 0 {
		dir, want = mountTmpfs(t, "size=64k"), "read-only file system"
	} else {
		dir = t.TempDir()
	}
	full, empty := filepath.Join(dir, "full"), filepath.Join(dir, "empty")
	path := mustCreate(t, open(t, full))
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
	} else {
		for _, d := range []string{dir, full, empty} {
			if err := os.Chmod(d, 0o500); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Chmod(d, 0o700) })
		}
	}
	if again := mustCreate(t, open(t, full)); again != path {
		t.Errorf("CreateSIF of what is there = %q, want %q", again, path)
	}
	for _, d := range []string{empty, filepath.Join(dir, "absent")} {
		_, err := create(open(t, d), content)
		wantFault(t, err, want)
		wantFault(t, open(t, d).PutBlob(testDigest, []byte("{}")), want)
		wantFault(t, open(t, d).SetPin(Pin{Reference: "x", Digest: testDigest}), want)
	}
}

func TestFaultOfWriter(t *testing.T) {
	for _, number := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT} {
		s := open(t, t.TempDir())
		_, err := s.CreateSIF(t.Context(), testDigest, "amd64", func(f *os.File) error {
			return fmt.Errorf("writing block 3: %w", &os.PathError{Op: "write", Path: f.Name(), Err: number})
		})
		wantFault(t, err, number.Error())
	}
}

func TestBlob(t *testing.T) {
	s := open(t, t.TempDir())
	if raw, ok, err := s.Blob(testDigest); ok || err != nil {
		t.Errorf("Blob of an empty store = %q, %v, %v", raw, ok, err)
	}
	if err := s.PutBlob(testDigest, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if raw, ok, err := s.Blob(testDigest); string(raw) != "{}" || !ok || err != nil {
		t.Errorf("Blob = %q, %v, %v", raw, ok, err)
	}
	if err := s.PutBlob(otherDigest, []byte("{}")); err == nil {
		t.Error("a blob with another's digest is kept")
	}
	if err := s.PutBlob(otherDigest, nil); err != nil {
		t.Errorf("the empty blob: %v", err)
	}
	path := filepath.Join(s.Dir(), dirBlobs, "sha256", testDigest[7:])
	for _, damaged := range []string{"{|", "", "{} ", strings.Repeat("x", maxBlob+1)} {
		if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, []byte(damaged), 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := s.Blob(testDigest); ok || err != nil {
			t.Errorf("a damaged blob is returned: %v, %v", ok, err)
		}
		if err := s.PutBlob(testDigest, []byte("{}")); err != nil {
			t.Error(err)
		}
		if _, ok, err := s.Blob(testDigest); !ok || err != nil {
			t.Errorf("a blob put over a damaged one: %v, %v", ok, err)
		}
	}
	if err := s.PutBlob(testDigest, make([]byte, maxBlob+1)); err == nil {
		t.Error("a huge blob is kept")
	}
	wantClean(t, s)
}

func TestPin(t *testing.T) {
	s := open(t, t.TempDir())
	p := Pin{Reference: "docker.io/library/debian:12", Digest: testDigest, MediaType: "application/vnd.oci.image.index.v1+json", Time: time.Unix(1700000000, 0).UTC()}
	if _, ok, err := s.Pin(p.Reference); ok || err != nil {
		t.Errorf("Pin of an empty store: %v, %v", ok, err)
	}
	for _, digest := range []string{otherDigest, testDigest} {
		p.Digest = digest
		if err := s.SetPin(p); err != nil {
			t.Fatal(err)
		}
		got, ok, err := s.Pin(p.Reference)
		if diff := cmp.Diff(p, got); diff != "" || !ok || err != nil {
			t.Errorf("Pin: %v, %v (-want +got):\n%s", ok, err, diff)
		}
	}
	if err := s.SetPin(Pin{Reference: "x", Digest: "latest"}); err == nil {
		t.Error("a pin without a digest is kept")
	}
	if err := s.SetPin(Pin{Reference: strings.Repeat("x", maxPin), Digest: testDigest}); err == nil {
		t.Error("a pin that cannot be read again is kept")
	}
	wantClean(t, s)
}

// Whatever the file of a pin holds, what is returned is a pin of this reference, and can be set
// again.
func FuzzPin(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":1,"reference":"x","digest":"` + testDigest + `","mediaType":"m","time":"2024-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"schemaVersion":2,"reference":"x"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, ok := parsePin(raw, "x")
		if !ok {
			return
		}
		again, err := p.marshal()
		if err != nil {
			t.Fatalf("marshal(%+v): %v", p, err)
		}
		if q, ok := parsePin(again, "x"); !ok || !q.Time.Equal(p.Time) || q.Digest != p.Digest || q.MediaType != p.MediaType {
			t.Errorf("%q reads as %+v, and written again as %+v, %v", raw, p, q, ok)
		}
	})
}
