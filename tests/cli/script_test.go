package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hpc3-project/hpc3/tests/internal/images"
	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// TestScripts runs every script of tests/cli/script against a registry that serves good and broken
// images.
func TestScripts(t *testing.T) {
	registry := images.StartRegistry(t)
	if err := images.PushTools(registry.Host); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition: func(word string) (bool, error) {
			if word != "native" {
				return false, fmt.Errorf("no condition is called %q", word)
			}
			f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
			if err != nil { // where it must be there, the scripts fail for want of it
				return slices.Contains(strings.Split(os.Getenv("HPC3_REQUIRE"), ","), "native"), nil
			}
			return true, f.Close()
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "nothing-left": nothingLeft, "damage": damage, "aged": aged, "requests": registry.Requests, "nothing-runs": nothingRuns, "vanish": vanish, "retag": retag},
		Setup: func(env *testscript.Env) error {
			home := filepath.Join(env.WorkDir, "home")
			if err := os.Mkdir(home, 0o755); err != nil {
				return err
			}
			env.Setenv("HOME", home)
			env.Setenv("PATH", lab.Programs()+":"+os.Getenv("PATH"))
			env.Setenv("HPC3_CONFIG", filepath.Join(env.WorkDir, "site.toml"))
			env.Setenv("REGISTRY", registry.Host)
			env.Setenv("HPC3_ENGINE", "native")
			if err := images.WriteLayouts(env.WorkDir); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(env.WorkDir, "site.toml"), nil, 0o644)
		},
	})
}

// exits runs a command and holds its exit status against the number: "exits 125 hpc3-run …".
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND [ARG…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if err != nil {
		exit, ok := err.(*exec.ExitError) //nolint:errorlint // testscript returns it bare
		if !ok {
			ts.Fatalf("%v: %v", args[1:], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("%v: exit status %d, want %d", args[1:], got, want)
	}
}

// nothingRuns checks that no file server and no mount of the native engine is left of this script's
// SIFs. A server that was just started sees within moments that it has no users.
func nothingRuns(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: nothing-runs")
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		left := slices.DeleteFunc(lab.Processes("hpc3:"), func(pid int) bool {
			sif, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/4", pid))
			return err != nil || !strings.HasPrefix(sif, ts.MkAbs("."))
		})
		mounts, err := os.ReadFile("/proc/self/mountinfo")
		ts.Check(err)
		if len(left) == 0 && !strings.Contains(string(mounts), "fuse.hpc3") {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("processes %v are left, or a mount:\n%s", left, mounts)
		}
	}
}

// nothingLeft checks that a cache directory holds no half-written file: nothing in tmp, no SIF.
func nothingLeft(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: nothing-left")
	}
	for _, pattern := range []string{"tmp/*", "sif/*/*"} {
		found, err := filepath.Glob(filepath.Join(ts.MkAbs("home/.cache/hpc3"), pattern))
		ts.Check(err)
		if len(found) > 0 {
			ts.Fatalf("the cache holds %v", found)
		}
	}
}
