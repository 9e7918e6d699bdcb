package lab

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

const top = "../.." // of the sources, from a folder of tests

// Programs returns the directory of hpc3-run, hpc3 and hpc3-gpu, of version "test", as make builds
// them: the tests run what users run. They are built once for what the sources hold, for all tests,
// and every user may run them.
func Programs() string {
	dir, err := built()
	if err != nil {
		panic(fmt.Sprintf("building hpc3: %v", err))
	}
	return dir
}

//nolint:gochecknoglobals // computed once, and the same for all
var built = sync.OnceValues(func() (dir string, err error) {
	key, err := sourcesKey()
	if err != nil {
		return "", err
	}
	shelf := filepath.Join(os.TempDir(), fmt.Sprintf("hpc3-programs-%d", os.Getuid()))
	if err := ownDir(shelf); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(shelf, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close() // which unlocks it
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	dir = filepath.Join(shelf, key)
	now := time.Now()
	if err := os.Chtimes(dir, now, now); err == nil { // when it was last asked for
		return dir, nil
	}
	sweep(shelf)
	return dir, build(dir)
})

// ownDir makes a directory that only this user may write in. Its parent is one where everybody may.
func ownDir(dir string) error {
	if err := os.Mkdir(dir, 0o755); err == nil {
		return os.Chmod(dir, 0o755) // whatever the umask
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	if !info.IsDir() || int(owner) != os.Getuid() || info.Mode().Perm() != 0o755 {
		return fmt.Errorf("%s is not a directory of this user's with mode 0755", dir)
	}
	return nil
}

// sweep removes what no test asked for in a day.
func sweep(shelf string) {
	entries, _ := os.ReadDir(shelf) // what is not seen stays
	for _, e := range entries {
		if info, err := e.Info(); err == nil && e.IsDir() &&
			time.Since(info.ModTime()) > 24*time.Hour {
			_ = os.RemoveAll(filepath.Join(shelf, e.Name())) // it may stay
		}
	}
}

// build has make write the programs, all or none.
func build(dir string) error {
	made := dir + ".new"
	err := errors.Join(os.RemoveAll(made), os.Mkdir(made, 0o755), os.Chmod(made, 0o755))
	if err != nil {
		return err
	}
	cmd := exec.Command("make", "-s", "-C", top, "build", "BIN="+made, "VERSION=test")
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return os.Rename(made, dir)
}

// sourcesKey is a hash of all that the programs are made from. That this process reads it has go
// test run a test again when it changes.
func sourcesKey() (string, error) {
	sum := sha256.New()
	fmt.Fprintln(sum, runtime.Version(), runtime.GOARCH)
	for _, part := range []string{
		"Makefile", "go.mod", "go.sum", "cmd", "launcher", "probe",
		"tests/tools",
	} {
		err := filepath.WalkDir(filepath.Join(top, part),
			func(file string, e fs.DirEntry, err error) error {
				if err != nil || e.IsDir() || strings.HasSuffix(file, "_test.go") ||
					strings.Contains(file, "/testdata/") {
					return err
				}
				raw, err := os.ReadFile(file)
				fmt.Fprintln(sum, file, len(raw))
				_, _ = sum.Write(raw) // it never fails
				return err
			})
		if err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%x", sum.Sum(nil)[:8]), nil
}
