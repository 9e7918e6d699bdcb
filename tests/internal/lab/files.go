package lab

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Read returns the text of a file.
func Read(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// CopyTo copies a directory, so that everybody can read it.
func CopyTo(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("chmod", "-R", "a+rX", to).CombinedOutput(); err != nil {
		t.Fatalf("chmod: %v\n%s", err, out)
	}
}

// SlurmHeaders makes a directory in dir with the headers of a suite's Slurm, without those of the
// root's C library, and returns it.
func SlurmHeaders(t *testing.T, dir, suite string) string {
	t.Helper()
	dir = filepath.Join(dir, "include-"+suite)
	root := ""
	if suite == OldSuite {
		root = Script(t, "bullseye-root")
	} else {
		root = Script(t, "slurm-root", suite)
	}
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		err = os.Symlink(root+"/usr/include/slurm", dir+"/slurm")
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	return dir
}

// OldSuite is the last of Debian whose Slurm, 20.11, has no --container of its own.
const OldSuite = "bullseye"
