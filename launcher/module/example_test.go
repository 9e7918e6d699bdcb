package module

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestExample: the shim that a site copies does what those do that hpc3 writes.
func TestExample(t *testing.T) {
	const launcher = "/usr/local/bin/hpc3-run"
	if _, err := os.Stat(launcher); err == nil {
		t.Skipf("there is a %s, which the example prefers", launcher)
	}
	gmx, err := filepath.Abs("../../etc/modulefiles/__hpc3/gromacs/2021.5/bin/gmx")
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Dir(newShims(t, nil).launcher)
	real := command(t, t.TempDir()+"/gmx", "real", 0o755)
	copied := copyFile(t, gmx, t.TempDir()+"/gmx")
	plain := []string{"PATH=/usr/bin:/bin:" + bin, "A=b", "EMPTY=", "name=x", "image=y", "HPC3_ENGINE=native"}
	for shell, words := range shells(t) {
		call := append(slices.Clone(words), gmx, "a b", "", "*", "\xff", "--")
		out, errs, state := output(plain, "/", nil, call...)
		if state.ExitCode() != 0 || len(errs) > 0 {
			t.Errorf("%s: %v, %s", shell, state, errs)
			continue
		}
		got := parse(t, out)
		if diff := cmp.Diff([]string{image, "gmx", "a b", "", "*", "\xff", "--"}, got.args); diff != "" {
			t.Errorf("%s: words (-want +got):\n%s", shell, diff)
		}
		if diff := cmp.Diff(of(shell, append(plain, "HPC3_SHIM=gromacs/2021.5")), of(shell, got.env)); diff != "" {
			t.Errorf("%s: variables (-want +got):\n%s", shell, diff)
		}
		for name, r := range map[string]struct {
			path   string
			env    []string
			status int
			out    string
			says   string
		}{
			"in its image":       {real, []string{"HPC3_IMAGE_REF=" + image}, 7, "real\na", ""},
			"called by hpc3-run": {real + ":" + bin, []string{"HPC3_SHIM=gromacs/2021.5"}, 125, "", "hpc3-run itself has called gmx of the module gromacs/2021.5"},
			"copies":             {copied, []string{"HPC3_IMAGE_REF=" + image}, 127, "", "hpc3-run"},
			"no hpc3-run":        {"/nonexistent", nil, 127, "", "hpc3-run"},
		} {
			env := append(r.env, "PATH="+r.path+":/usr/bin:/bin")
			out, errs, state := output(env, "/", nil, append(slices.Clone(words), gmx, "a")...)
			if state.ExitCode() != r.status || !strings.HasPrefix(string(out), r.out) || !strings.Contains(string(errs), r.says) {
				t.Errorf("%s: %s: %v, %q, %s; want %d, %q, %q", shell, name, state, out, errs, r.status, r.out, r.says)
			}
		}
	}
}
