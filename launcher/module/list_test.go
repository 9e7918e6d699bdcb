package module

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

func writeFile(t *testing.T, file, text string) {
	t.Helper()
	for _, err := range []error{os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadList(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir+"/modules.toml", `# the site's
[[module]]
image = "qnib/gromacs:2021.5"

[[module]]
image = "qnib/gromacs:2022"
name = "bio/gromacs/2022"
commands = ["gmx", "gmx_mpi"]
pin = true
default = true
format = ["lua", "tcl", "lua"]
conflict = ["plumed"]
prereq = []
family = ["mpi"]
title = "GROMACS"
help = """
[[module]]
is no module here
"""
options = { engine = "native", container_mount_home = false }

  [[ module ]] # indented
image = "a"
all = true
format = "lua"
[module.options]
container_mounts = ["/data:/data", "/x"]
container_env = "A=1"
`)
	got, file, err := ReadList(context.Background(), dir)
	want := []Wanted{
		{Image: "qnib/gromacs:2021.5", Line: 2},
		{
			Image: "qnib/gromacs:2022", Name: "bio/gromacs/2022", Commands: []string{"gmx", "gmx_mpi"}, Pin: true, Default: true,
			Formats: []Format{Lua, Tcl}, Conflicts: []string{"plumed"}, Needs: []string{}, Families: []string{"mpi"}, Title: "GROMACS",
			Help: "[[module]]\nis no module here\n", Options: map[string][]string{"engine": {"native"}, "container_mount_home": {"false"}}, Line: 5,
		},
		{
			Image: "a", All: true, Formats: []Format{Lua},
			Options: map[string][]string{"container_mounts": {"/data:/data", "/x"}, "container_env": {"A=1"}}, Line: 22,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil || file != dir+"/modules.toml" {
		t.Errorf("ReadList = %q, %v (-want +got):\n%s", file, err, diff)
	}
}

func TestReadListRefuses(t *testing.T) {
	const first = "[[module]]\nimage = \"a\"\n"
	for text, want := range map[string]string{
		first + "names = \"x\"\n":                                    `:3: a list of modules has no key "module.names"`,
		"modules = 1\n":                                              `:1: a list of modules has no key "modules"`,
		first + first + "\n[module.option]\na = 1":                   `a list of modules has no key "module.option"`,
		first + "commands = \"gmx\"\n":                               ":3: the key module.commands takes another kind of value",
		first + "pin = \"yes\"\n":                                    ":3: the key module.pin takes another kind of value",
		first + "x = \n":                                             ":3: ",
		first + "\n[[module]]\nname = \"b\"":                         ":4: a module has no image",
		first + "name = \"a b/1\"":                                   `:1: the name of the module "a b/1" holds a blank`,
		first + "name = \"a$\"":                                      `:1: the name of the module "a$" holds "$"`,
		first + "name = \"../x/1\"":                                  `begins with "."`,
		first + "commands = [\"a/b\"]":                               `:1: the name of the command "a/b" holds a slash`,
		first + "commands = []":                                      ":1: commands is empty",
		first + "commands = [\"a\"]\nall = true":                     ":1: both commands and all are given",
		first + "format = \"perl\"":                                  `:1: "perl" is no format of modules: it is tcl or lua`,
		first + "format = [1.5]":                                     ":1: format takes",
		first + "format = []":                                        ":1: format takes",
		first + "conflict = [\"a;b\"]":                               `holds ";"`,
		first + "family = [\"m pi\"]":                                "letters, digits and underscores",
		first + "options = { engine = \"docker\" }":                  ":1: the option engine of a module: ",
		first + "options = { motor = 1 }":                            `:1: a module has no option "motor"`,
		first + "options = { dry_run = true }":                       `a module has no option "dry_run"`,
		first + "options = { no_container = true }":                  `a module has no option "no_container"`,
		first + "options = { container = false }":                    `a module has no option "container"`,
		first + "options = { engine = [\"native\", \"apptainer\"] }": "takes one value, and has 2",
		first + "options = { engine = [] }":                          "takes one value, and has 0",
		first + "options = { container_env = [\"A=1\\nB=2\"] }":      "holds a line break",
		first + "options = { prompt = \"\\u0000\" }":                 "a NUL byte",
		first + "options = { platform = 1.5 }":                       "it takes a text, a number, true, false",
		first + "name = \"x/1\"\n" + first + "name = \"x/1\"":        ":4: another module is called x/1",
		first + "name = \"x/1\"\ndefault = true\n" + first + "name = \"x/2\"\ndefault = true": ":5: another version of x is the default",
		"module = [{image = \"a\"}, {image = \"\"}]":                                          ": a module has no image",
		"\xff": ":1: ",
	} {
		dir := t.TempDir()
		writeFile(t, dir+"/modules.toml", text)
		_, _, err := ReadList(context.Background(), dir)
		checkSays(t, "ReadList", text, err, want)
		class := fault.Config
		if strings.HasPrefix(want, ":4: another ") || strings.HasPrefix(want, ":5: another ") {
			class = fault.Usage
		}
		if err != nil && (!strings.HasPrefix(err.Error(), dir+"/modules.toml") || fault.ClassOf(err) != class) {
			t.Errorf("ReadList(%q): class %q, %v", text, fault.ClassOf(err), err)
		}
	}
}

// TestListOf: which file is the list.
func TestListOf(t *testing.T) {
	dir := t.TempDir()
	says := func(want string) {
		t.Helper()
		_, _, err := ReadList(context.Background(), dir)
		checkSays(t, "ReadList", dir, err, want)
	}
	says("there is no list of modules in " + dir)
	writeFile(t, dir+"/site.toml", "[[module]]\nimage = \"a\"\n")
	writeFile(t, dir+"/.x.toml", "")
	if got, file, err := ReadList(context.Background(), dir); err != nil || len(got) != 1 || file != dir+"/site.toml" {
		t.Errorf("ReadList = %v, %q, %v", got, file, err)
	}
	writeFile(t, dir+"/b.toml", "")
	says("has several lists of modules: b.toml, site.toml")
	writeFile(t, dir+"/modules.toml", "# module\n")
	says(dir + "/modules.toml names no module")
	writeFile(t, dir+"/modules.toml", "[[module]]\nimage = \"a\"\n")
	says("")
	if err := os.Remove(dir + "/modules.toml"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/nonexistent", dir+"/modules.toml"); err != nil {
		t.Fatal(err)
	}
	says("reading the list of modules " + dir + "/modules.toml: no such file or directory")
	dir += "/nonexistent"
	says("looking for a list of modules in " + dir + ": no such file or directory")
}

// FuzzList: what is read can be written, as far as the list says it.
func FuzzList(f *testing.F) {
	f.Add([]byte("[[module]]\nimage = \"a\"\nname = \"a/1\"\ncommands = [\"x\"]\noptions = { engine = \"native\" }\n"))
	f.Add([]byte("module = [{image = \"a\"}]\n[[module.x]]"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		wanted, err := parseList("list", raw)
		if err != nil {
			if class := fault.ClassOf(err); class != fault.Config && class != fault.Usage {
				t.Errorf("parseList(%q): class %q", raw, fault.ClassOf(err))
			}
			return
		}
		for _, w := range wanted {
			m := Module{
				Name: "x", Version: "1", Image: w.Image, Commands: append(w.Commands, "x"), Formats: []Format{Tcl},
				Conflicts: w.Conflicts, Needs: w.Needs, Families: w.Families, Options: w.Options,
			}
			if name, version := SplitName(w.Name); version != "" {
				m.Name, m.Version = name, version
			}
			if err := m.check(); err != nil {
				t.Errorf("parseList(%q) = %+v: %v", raw, w, err)
			}
		}
	})
}
