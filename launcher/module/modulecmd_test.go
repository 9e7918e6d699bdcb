package module

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestModulecmd: Environment Modules itself loads, unloads and explains modules of any text, in a
// tree of any path, and lists nothing else.
func TestModulecmd(t *testing.T) {
	modulecmd, err := exec.LookPath("modulecmd")
	if err != nil {
		t.Skip("there is no modulecmd")
	}
	paths := []string{"a b", "it's", `a"b`, "a;b&<>", "[exec touch evil]", `\`, `a\\b`, "~", "#ü", "`touch evil`", "*?"}
	for i, text := range hostile {
		if i >= len(paths) && testing.Short() { // TestTcl has them all
			break
		}
		dir := t.TempDir()
		tree, err := Open(filepath.Join(dir, paths[i%len(paths)]))
		if err != nil {
			t.Fatal(err)
		}
		m := gromacs("2021.5", Tcl)
		m.Title, m.Description, m.Help, m.URL, m.Variants = text, text, text, text, []string{text}
		m.Families, m.Conflicts = []string{"mpi"}, []string{"amber"}
		if _, err := tree.Write(m); err != nil {
			t.Fatal(err)
		}
		const script = `cd "$1" || exit
before=$PATH
for verb in help avail; do "$0" bash $verb bio/gromacs >$verb 2>&1 || echo "$verb: $?"; done
eval "$("$0" bash load bio/gromacs)"
command -v gmx
eval "$("$0" bash unload bio/gromacs)"
[ "$PATH" = "$before" ] || echo "$PATH"
`
		cmd := exec.Command("bash", "-c", script, modulecmd, dir)
		cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + dir, "LANG=C.UTF-8", "MODULEPATH=" + tree.Dir()}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if want := filepath.Join(tree.Bin(m), "gmx") + "\n"; string(out) != want || stderr.Len() > 0 || err != nil {
			t.Errorf("text %.40q: %v, %q, %s, want %q", text, err, out, stderr.Bytes(), want)
		}
		help, err := os.ReadFile(filepath.Join(dir, "help"))
		if !bytes.Contains(help, []byte("Image: "+image)) || err != nil {
			t.Errorf("text %.40q: help is %v, %s", text, err, help)
		}
		avail, err := os.ReadFile(filepath.Join(dir, "avail"))
		if got := strings.Count(string(avail), "gromacs"); got != 1 || err != nil {
			t.Errorf("text %.40q: avail is %v, %s", text, err, avail)
		}
		if _, err := os.Lstat(filepath.Join(dir, "evil")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("text %.40q was executed", text)
		}
	}
}
