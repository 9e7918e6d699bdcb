package module

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

func gromacs(version string, formats ...Format) Module {
	return Module{
		SchemaVersion: 1, Name: "bio/gromacs", Version: version, Image: image, Commands: []string{"gmx", "mdrun"}, Formats: formats,
		Launcher: "/usr/bin/hpc3-run",
	}
}

func openTree(t *testing.T) Tree {
	t.Helper()
	tree, err := Open(filepath.Join(t.TempDir(), "modules"))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// files returns the names in a tree, and what identifies the content of each: another inode is
// another file.
func files(t *testing.T, tree Tree) (names []string, inodes map[string]uint64) {
	t.Helper()
	inodes = map[string]uint64{}
	err := filepath.WalkDir(tree.Dir(), func(file string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(tree.Dir(), file)
		names = append(names, rel)
		inodes[rel] = info.Sys().(*syscall.Stat_t).Ino
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names, inodes
}

func write(t *testing.T, tree Tree, m Module, want bool) {
	t.Helper()
	changed, err := tree.Write(m)
	if err != nil || changed != want {
		t.Errorf("Write(%s %v) = %t, %v, want %t", m.FullName(), m.Formats, changed, err, want)
	}
	if err := tree.Verify(m); err != nil {
		t.Errorf("Verify(%s): %v", m.FullName(), err)
	}
	got, found, err := tree.Find(m.Name, m.Version)
	if diff := cmp.Diff(m, got); diff != "" || !found || err != nil {
		t.Errorf("Find(%s) = %t, %v (-want +got):\n%s", m.FullName(), found, err, diff)
	}
}

const bin21 = "__hpc3/bio/gromacs/2021/bin/"

// TestWrite: a module is written, is left alone, changes its form, and goes.
func TestWrite(t *testing.T) {
	tree := openTree(t)
	if all, err := tree.Modules(); all != nil || err != nil {
		t.Errorf("Modules of no tree = %v, %v", all, err)
	}
	if _, found, err := tree.Find("a", "1"); found || err != nil {
		t.Errorf("Find in no tree = %t, %v", found, err)
	}
	if err := tree.Remove(gromacs("1", Tcl)); err != nil {
		t.Errorf("Remove from no tree: %v", err)
	}
	m := gromacs("2021", Tcl)
	write(t, tree, m, true)
	first := []string{bin21 + ".hpc3-shims", bin21 + "gmx", bin21 + "mdrun", "__hpc3/bio/gromacs/2021/module.json", "bio/gromacs/2021"}
	names, before := files(t, tree)
	if diff := cmp.Diff(first, names); diff != "" {
		t.Errorf("the files (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{tree.Dir() + "/bio/gromacs/2021"}, tree.Files(m)); diff != "" || tree.Bin(m) != tree.Dir()+"/"+strings.TrimSuffix(bin21, "/") {
		t.Errorf("Bin = %q, Files (-want +got):\n%s", tree.Bin(m), diff)
	}
	write(t, tree, m, false)
	if _, after := files(t, tree); !cmp.Equal(before, after) {
		t.Errorf("the same module again replaces files: %s", cmp.Diff(before, after))
	}

	m.Commands, m.Formats, m.Default = []string{"gmx", "gmx_mpi"}, []Format{Tcl, Lua}, true
	write(t, tree, m, true)
	names, after := files(t, tree)
	second := []string{bin21 + ".hpc3-shims", bin21 + "gmx", bin21 + "gmx_mpi", "__hpc3/bio/gromacs/2021/module.json", "bio/gromacs/.version", "bio/gromacs/2021", "bio/gromacs/2021.lua"}
	if diff := cmp.Diff(second, names); diff != "" || before[bin21+"gmx"] != after[bin21+"gmx"] {
		t.Errorf("another form: gmx replaced: %t (-want +got):\n%s", before[bin21+"gmx"] != after[bin21+"gmx"], diff)
	}
	m.Formats, m.Default = []Format{Lua}, false
	write(t, tree, m, true)
	if names, _ := files(t, tree); slices.Contains(names, "bio/gromacs/2021") || slices.Contains(names, "bio/gromacs/.version") || len(names) != 5 {
		t.Errorf("Lua alone, no default: %q", names)
	}
	if err := tree.Remove(m); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(tree.Dir()); len(left) > 0 || err != nil {
		t.Errorf("Remove leaves %v, %v", left, err)
	}
}

// TestVersions: several versions stand beside one another, and one is the default.
func TestVersions(t *testing.T) {
	tree := openTree(t)
	old, last := gromacs("2021", Tcl), gromacs("2022", Lua)
	old.Default = true
	write(t, tree, old, true)
	last.Default = true
	write(t, tree, last, true)
	old.Default = false
	other := gromacs("1", Tcl)
	other.Name = "amber"
	write(t, tree, other, true)
	all, err := tree.Modules()
	if diff := cmp.Diff([]Module{other, old, last}, all); diff != "" || err != nil {
		t.Errorf("Modules: %v (-want +got):\n%s", err, diff)
	}
	version := filepath.Join(tree.Dir(), "bio/gromacs/.version")
	const want = "#%Module\n# the default, written by hpc3 module\nset ModulesVersion \"2022\"\n"
	if got, err := os.ReadFile(version); string(got) != want {
		t.Errorf(".version is %q, %v, want %q", got, err, want)
	}
	write(t, tree, old, false)
	if err := tree.Remove(old); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(version); err != nil {
		t.Errorf("the default version of another: %v", err)
	}
	if err := tree.Remove(last); err != nil {
		t.Error(err)
	}
	if names, _ := files(t, tree); len(names) != 5 {
		t.Errorf("beside amber there is %q", names)
	}
}

// TestForeign: what hpc3 did not write stays.
func TestForeign(t *testing.T) {
	for name, r := range map[string]struct {
		make    func(dir string) error
		m       Module
		refuses string
	}{
		"a module file": {func(dir string) error { return os.WriteFile(dir+"/2021", []byte("#%Module\nputs hello\n"), 0o644) }, gromacs("2021", Tcl), "/bio/gromacs/2021"},
		"for Lmod":      {func(dir string) error { return os.WriteFile(dir+"/2021.lua", []byte("--\n-- mine\n"), 0o644) }, gromacs("2021", Lua), "/bio/gromacs/2021.lua"},
		"empty":         {func(dir string) error { return os.WriteFile(dir+"/2021", nil, 0o644) }, gromacs("2021", Tcl), "/bio/gromacs/2021"},
		"a directory":   {func(dir string) error { return os.Mkdir(dir+"/2021", 0o755) }, gromacs("2021", Tcl), "/bio/gromacs/2021"},
		"a link":        {func(dir string) error { return os.Symlink("/etc/passwd", dir+"/2021") }, gromacs("2021", Tcl), "/bio/gromacs/2021"},
		"a dead link":   {func(dir string) error { return os.Symlink("/nonexistent", dir+"/2021") }, gromacs("2021", Tcl), "/bio/gromacs/2021"},
		"a pipe":        {func(dir string) error { return syscall.Mkfifo(dir+"/2021", 0o644) }, gromacs("2021", Tcl), "/bio/gromacs/2021"},
		"a default": {func(dir string) error {
			return os.WriteFile(dir+"/.version", []byte("#%Module\nset ModulesVersion x\n"), 0o644)
		}, Module{}, "/bio/gromacs/.version"},
		"another format": {func(dir string) error { return os.WriteFile(dir+"/2021.lua", []byte("--\n-- mine\n"), 0o644) }, gromacs("2021", Tcl), ""},
	} {
		tree := openTree(t)
		if r.m.Name == "" {
			r.m = gromacs("2021", Tcl)
			r.m.Default = true
		}
		dir := tree.Dir() + "/bio/gromacs"
		for _, err := range []error{os.MkdirAll(dir, 0o755), r.make(dir)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		before, inodes := files(t, tree)
		_, err := tree.Write(r.m)
		if r.refuses == "" {
			if err := errors.Join(err, tree.Remove(r.m)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		} else {
			checkSays(t, name+": Write", r.m.Version, err, "hpc3 did not write what is in the place of "+tree.Dir()+r.refuses)
			if class, hints, _ := fault.Of(err, ""); class != fault.Usage || len(hints) != 1 {
				t.Errorf("%s: class %s, hints %q", name, class, hints)
			}
			if err := tree.Remove(r.m); err != nil {
				t.Errorf("%s: Remove: %v", name, err)
			}
		}
		if after, now := files(t, tree); !cmp.Equal(before, after) || !cmp.Equal(inodes, now) {
			t.Errorf("%s: before %q, after %q", name, before, after)
		}
	}
}

// TestNested: no module is in the room of another.
func TestNested(t *testing.T) {
	for _, names := range [][2]string{{"a/1", "a/1/x"}, {"a/1/x", "a/1"}, {"a/1/bin", "a/1"}, {"a/1", "a/1/bin/2"}} {
		tree := openTree(t)
		for i, full := range names {
			m := gromacs("", Lua)
			m.Name, m.Version = SplitName(full)
			_, err := tree.Write(m)
			checkSays(t, "Write", full, err, []string{"", " cannot be a module: "}[i])
		}
	}
}

// TestHostileTree: links lead nowhere else, and records are checked as what a user types is.
func TestHostileTree(t *testing.T) {
	outside := t.TempDir()
	for name, r := range map[string]struct {
		link, target string
		says         string
	}{
		"the name's directory":    {"bio", outside, "a symbolic link leads out of the directory of modules"},
		"hpc3's directory":        {"__hpc3", outside, "a symbolic link leads out of the directory of modules"},
		"a module's room":         {"__hpc3/bio/gromacs/2021", "../../../../..", "a symbolic link leads out of the directory of modules"},
		"its shims":               {"__hpc3/bio/gromacs/2021/bin", outside, "a symbolic link leads out of the directory of modules"},
		"a shim":                  {bin21 + "gmx", outside + "/gmx", ""},
		"a record":                {"__hpc3/bio/gromacs/2021/module.json", outside + "/record", ""},
		"a link within the tree":  {"bio", "chemistry", ""},
		"a link around in a ring": {"bio", "bio", "too many levels of symbolic links"},
	} {
		tree := openTree(t)
		link := filepath.Join(tree.Dir(), r.link)
		for _, err := range []error{os.MkdirAll(filepath.Dir(link), 0o755), os.MkdirAll(tree.Dir()+"/chemistry", 0o755), os.Symlink(r.target, link)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		_, err := tree.Write(gromacs("2021", Tcl))
		checkSays(t, name+": Write", r.link, err, r.says)
		if r.says == "" {
			if err := tree.Verify(gromacs("2021", Tcl)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		} else if _, hints, _ := fault.Of(err, ""); len(hints) != 1 || fault.ClassOf(err) == "" {
			t.Errorf("%s: %v: hints %q, class %q", name, err, hints, fault.ClassOf(err))
		}
		_ = tree.Remove(gromacs("2021", Tcl))
		if left, err := os.ReadDir(outside); len(left) > 0 || err != nil {
			t.Fatalf("%s: outside of the tree is %v, %v", name, left, err)
		}
	}
}

// TestRecords: a record that is of no use is told, does not hide the others, and is written again.
func TestRecords(t *testing.T) {
	good := gromacs("1", Tcl)
	bad := gromacs("2021", Tcl)
	evil := bad
	evil.Commands = []string{"$(touch evil)"}
	moved := bad
	moved.Version = "2022"
	newer := string(bad.record())
	marshal := func(m Module) string {
		raw, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	for name, r := range map[string]struct{ text, says string }{
		"no JSON":           {"{", "is of no use: unexpected end of JSON input"},
		"empty":             {"", "is of no use"},
		"another type":      {`{"name": 1}`, "is of no use"},
		"of another":        {marshal(moved), `is of no use: it is that of "bio/gromacs/2022"`},
		"evil":              {marshal(evil), `is of no use: the name of the command "$(touch evil)" holds`},
		"of a newer hpc3":   {strings.Replace(newer, `"schemaVersion": 1`, `"schemaVersion": 2`, 1), "was written by a newer hpc3"},
		"hand-edited":       {strings.Replace(newer, image, image+"-2", 1), ""},
		"larger than a SIF": {strings.Repeat(" ", 5<<20), "it has more than 4194304 bytes"},
	} {
		tree := openTree(t)
		write(t, tree, good, true)
		write(t, tree, bad, true)
		file := tree.Dir() + "/__hpc3/bio/gromacs/2021/module.json"
		writeFile(t, file, r.text)
		_, found, err := tree.Find(bad.Name, bad.Version)
		checkSays(t, name+": Find", file, err, r.says)
		all, err := tree.Modules()
		checkSays(t, name+": Modules", file, err, r.says)
		if len(all) == 0 || !cmp.Equal(all[0], good) || found != (r.says == "") {
			t.Errorf("%s: found %t, others %v", name, found, all)
		}
		if err := tree.Verify(bad); err == nil && r.text != string(bad.record()) {
			t.Errorf("%s: Verify finds nothing", name)
		}
		write(t, tree, bad, true)
	}
	tree := openTree(t)
	write(t, tree, bad, true)
	file := tree.Dir() + "/__hpc3/bio/gromacs/2021/module.json"
	for _, err := range []error{os.Remove(file), syscall.Mkfifo(file, 0o644)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := tree.Modules()
	checkSays(t, "Modules", "a pipe", err, "it is a named pipe, not a regular file")
}

// TestVerify: each file counts.
func TestVerify(t *testing.T) {
	m := gromacs("2021", Tcl, Lua)
	m.Default = true
	for name, r := range map[string]struct {
		change func(file string) error
		says   string
	}{
		"missing":        {os.Remove, " is missing"},
		"changed":        {func(file string) error { return os.WriteFile(file, []byte("x"), 0o644) }, " is not as hpc3 writes it"},
		"a link":         {func(file string) error { return errors.Join(os.Remove(file), os.Symlink("/etc/passwd", file)) }, "a symbolic link"},
		"not executable": {func(file string) error { return os.Chmod(file, 0o644) }, " is not executable"},
	} {
		tree := openTree(t)
		write(t, tree, m, true)
		names, _ := files(t, tree)
		for _, file := range names {
			shim := strings.HasPrefix(file, bin21) && !strings.HasSuffix(file, marker)
			if name == "not executable" && !shim {
				continue
			}
			if err := r.change(filepath.Join(tree.Dir(), file)); err != nil {
				t.Fatal(err)
			}
			checkSays(t, name+": Verify", file, tree.Verify(m), r.says)
			if strings.HasPrefix(file, "bio/") && name != "missing" { // it could be another's now
				if err := os.Remove(filepath.Join(tree.Dir(), file)); err != nil {
					t.Fatal(err)
				}
			}
			write(t, tree, m, true)
		}
	}
	tree := openTree(t)
	write(t, tree, m, true)
	moved, err := Open(filepath.Join(filepath.Dir(tree.Dir()), "moved"))
	if err := errors.Join(err, os.Rename(tree.Dir(), moved.Dir())); err != nil {
		t.Fatal(err)
	}
	checkSays(t, "Verify", "a tree that was moved", moved.Verify(m), "is not as hpc3 writes it")
	write(t, moved, m, true)
}

// TestWriteRefuses: nothing is written of what cannot be a module.
func TestWriteRefuses(t *testing.T) {
	for name, r := range map[string]struct {
		change func(*Module)
		says   string
	}{
		"name":     {func(m *Module) { m.Name = "../x" }, "begins with"},
		"version":  {func(m *Module) { m.Version = "" }, "has no version"},
		"command":  {func(m *Module) { m.Commands = []string{"gmx", "a/b"} }, "holds a slash"},
		"commands": {func(m *Module) { m.Commands = nil }, "the module bio/gromacs/2021 has no commands"},
		"format":   {func(m *Module) { m.Formats = []Format{"perl"} }, `"perl" is no format`},
		"formats":  {func(m *Module) { m.Formats = nil }, "has no format or no image"},
		"image":    {func(m *Module) { m.Image = "" }, "has no format or no image"},
		"conflict": {func(m *Module) { m.Conflicts = []string{"a b"} }, "holds a blank"},
		"prereq":   {func(m *Module) { m.Needs = []string{"$a"} }, `holds "$"`},
		"family":   {func(m *Module) { m.Families = []string{"a-b"} }, "letters, digits and underscores"},
		"option":   {func(m *Module) { m.Options = map[string][]string{"engine": {"x"}} }, "the option engine of a module"},
	} {
		tree := openTree(t)
		m := gromacs("2021", Tcl)
		r.change(&m)
		_, err := tree.Write(m)
		checkSays(t, name+": Write", m.FullName(), err, r.says)
		if names, _ := files(t, tree); len(names) > 0 || fault.ClassOf(err) != fault.Usage {
			t.Errorf("%s: class %q, files %q", name, fault.ClassOf(err), names)
		}
	}
}

func TestOpen(t *testing.T) {
	for dir, want := range map[string]string{
		"": "is empty", "/a:b": "holds a colon or a control character", "/a\nb": "holds a colon", "/a\x1bb": "control character", "/\xff": "control character",
		"/a b/[x]/ü": "", "/a/$x": `holds "$", which Environment Modules`, "/{": `holds "{"`, "/a}": `holds "}"`,
	} {
		_, err := Open(dir)
		checkSays(t, "Open", dir, err, want)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if tree, err := Open("x/../y"); err != nil || tree.Dir() != here+"/y" {
		t.Errorf("Open(x/../y) = %q, %v", tree.Dir(), err)
	}
}

// TestWriteWhileRead: whoever reads a file meanwhile gets one form of it or the other, in full.
func TestWriteWhileRead(t *testing.T) {
	tree := openTree(t)
	one, two := gromacs("2021", Tcl), gromacs("2021", Tcl)
	two.Image += strings.Repeat("x", 5000)
	write(t, tree, one, true)
	forms := map[string][]string{}
	for _, m := range []Module{one, two} {
		for _, p := range tree.parts(m) {
			forms[p.name] = append(forms[p.name], string(p.content))
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 40 {
			if _, err := tree.Write([]Module{two, one}[i%2]); err != nil {
				t.Error(err)
			}
		}
	})
	for range 200 {
		for name, texts := range forms {
			got, err := os.ReadFile(filepath.Join(tree.Dir(), name))
			if err != nil || !slices.Contains(texts, string(got)) {
				t.Fatalf("%s meanwhile: %v, %d bytes", name, err, len(got))
			}
		}
	}
	wg.Wait()
	names, _ := files(t, tree)
	if len(names) != len(forms) {
		t.Errorf("left over: %q", names)
	}
}

// TestFileSystems: what a file system answers is said, with what to do.
func TestFileSystems(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("unshare", "-rm", "mount", "-t", "tmpfs", "none", t.TempDir()).CombinedOutput(); err != nil {
		t.Skipf("nothing can be mounted: %v, %s", err, out)
	}
	for name, r := range map[string]struct{ mount, says, hint string }{
		"full":      {"mount -t tmpfs -o size=20k,nr_inodes=30 none $1", "writing $1/__hpc3/bio/gromacs/2021/", "no space left on device|free some space or quota"},
		"read-only": {"mount -t tmpfs -o ro none $1", "making the directory of $1/__hpc3/", "read-only file system|name a directory that you can write to"},
		"a file":    {"mount --bind /etc/passwd $1/x; exec \"$2\" $1/x", "making $1/x: ", "not a directory|name another directory"},
	} {
		dir := t.TempDir()
		writeFile(t, dir+"/x", "")
		cmd := exec.Command("unshare", "-rm", "sh", "-ec", r.mount+"; exec \"$2\" \"$1\"", "-", dir, self)
		cmd.Env = append(os.Environ(), "HPC3_TEST_WRITES=1")
		out, err := cmd.CombinedOutput()
		for _, want := range append(strings.Split(r.hint, "|"), strings.ReplaceAll(r.says, "$1", dir)) {
			if err == nil || !strings.Contains(string(out), want) {
				t.Errorf("%s: %v, %s, want %q", name, err, out, want)
			}
		}
	}
}

// writeInto writes a module as a process of its own, and says what went wrong.
func writeInto(dir string) int {
	tree, err := Open(dir)
	if err == nil {
		m := gromacs("2021", Tcl)
		m.Commands = strings.Fields("a b c d e f g h i j k l m n o p q r s t u v w x y z")
		_, err = tree.Write(m)
	}
	if err != nil {
		return fault.Print(os.Stderr, "hpc3", err, "")
	}
	return 0
}
