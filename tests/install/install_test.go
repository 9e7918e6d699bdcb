package install

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// tree is a copy of the sources, without what Git and make know of them, and where it is installed.
type tree struct {
	dir, dest string
}

func newTree(t *testing.T) *tree {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} { // other users build too
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tr := &tree{dir: filepath.Join(dir, "tree"), dest: filepath.Join(dir, "dest")}
	copied := exec.Command("sh", "-ec", `mkdir "$1"; cd ../..; git -c safe.directory="$PWD" ls-files -co --exclude-standard | while read -r f; do [ ! -f "$f" ] || echo "$f"; done | tar -c -T - | tar -x -C "$1"`, "sh", tr.dir)
	if out, err := copied.CombinedOutput(); err != nil {
		t.Fatalf("copying the sources: %v\n%s", err, out)
	}
	return tr
}

// make calls make for a prefix below dest, and returns what it said on standard error. It must
// succeed, or fail if fails is a pattern of that.
func (tr *tree) make(t *testing.T, fails string, args ...string) string {
	t.Helper()
	return tr.sh(t, fails, `exec make -s "DESTDIR=$DEST" PREFIX=/opt/h SYSCONFDIR=/etc "$@"`, args...)
}

func (tr *tree) sh(t *testing.T, fails, text string, args ...string) string {
	t.Helper()
	cmd := exec.Command("sh", append([]string{"-c", text, "sh"}, args...)...)
	cmd.Dir = tr.dir
	cmd.Env = append(os.Environ(), "DEST="+tr.dest, "MAKEFLAGS=", "MAKELEVEL=", "GOENV=off", "GOFLAGS=")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if (err != nil) != (fails != "") || !regexp.MustCompile("(?s)"+fails).MatchString(stderr.String()) {
		t.Fatalf("%s %q: %v, want an error: %t, %q\n%s%s", text, args, err, fails != "", fails, out, stderr.String())
	}
	return stderr.String()
}

// installed lists the files below dest.
func (tr *tree) installed(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(tr.dest, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, strings.TrimPrefix(path, tr.dest))
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return files
}

func (tr *tree) version(t *testing.T, program string) string {
	t.Helper()
	out, err := exec.Command(program, "--version").Output()
	if err != nil {
		t.Fatalf("%s --version: %v", program, err)
	}
	return strings.TrimSpace(string(out))
}

// brings lists what make install brings, with more if more is built.
func brings(t *testing.T, more ...string) []string {
	t.Helper()
	pages, err := filepath.Glob("../../etc/man/*.[1-8]")
	if err != nil || len(pages) < 4 {
		t.Fatalf("the manual has %q, %v", pages, err)
	}
	all := append(more, always...)
	for _, page := range pages {
		all = append(all, "/opt/h/share/man/man"+page[len(page)-1:]+"/"+filepath.Base(page))
	}
	slices.Sort(all)
	return all
}

var always = []string{
	"/etc/hpc3/hpc3.toml", "/opt/h/bin/hpc3", "/opt/h/bin/hpc3-run", "/opt/h/libexec/hpc3/hpc3-gpu",
	"/opt/h/share/doc/hpc3/ARCHITECTURE.md", "/opt/h/share/doc/hpc3/CHANGELOG.md", "/opt/h/share/doc/hpc3/LICENSE", "/opt/h/share/doc/hpc3/README.md",
	"/opt/h/share/doc/hpc3/etc/hpc3.toml", "/opt/h/share/doc/hpc3/etc/slurm/oci.conf", "/opt/h/share/doc/hpc3/etc/slurm/plugstack.conf",
	"/opt/h/share/doc/hpc3/spank/README.md", "/opt/h/share/hpc3/modulefiles/hpc3", "/opt/h/share/hpc3/modulefiles/gromacs/2021.5",
	"/opt/h/share/hpc3/modulefiles/__hpc3/gromacs/2021.5/bin/.hpc3-shims", "/opt/h/share/hpc3/modulefiles/__hpc3/gromacs/2021.5/bin/gmx",
}

// TestInstall installs a tree as an admin does: from nothing, over an older one, with and without a
// plugin; and takes it away again.
func TestInstall(t *testing.T) {
	lab.Needs(t, "native", !testing.Short(), "it builds")
	t.Parallel()
	tr := newTree(t)
	said := tr.make(t, "", "install")
	if diff := cmp.Diff(brings(t), tr.installed(t)); diff != "" {
		t.Errorf("make install (-want +got):\n%s", diff)
	}
	if !strings.Contains(said, "there is no plugin for Slurm") || !strings.Contains(said, "libslurm-dev") {
		t.Errorf("make install without a plugin says %q", said)
	}
	if got := tr.version(t, tr.dest+"/opt/h/bin/hpc3-run"); !regexp.MustCompile(`^hpc3-run unreleased-[0-9a-f]{12}$`).MatchString(got) {
		t.Errorf("--version of a tree without Git is %q", got)
	}
	t.Run("examples", tr.examples)
	t.Run("without Go", tr.withoutGo)
	tr.make(t, "there is a .*/hpc3-gpu, and none is built to replace it", "build", "install", "CC=none")
	tr.make(t, "", "build")
	t.Run("settings", tr.settings)
	t.Run("in use", tr.inUse)
	tr.make(t, "", "uninstall")
	if _, err := os.Stat(filepath.Join(tr.dest, "opt/h")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("make uninstall leaves %q", tr.installed(t))
	}
}

// examples: what is installed says where it is, and a module of it can be loaded.
func (tr *tree) examples(t *testing.T) {
	docs := tr.dest + "/opt/h/share/doc/hpc3/etc/slurm/"
	for file, want := range map[string]string{
		docs + "plugstack.conf": "\nrequired /opt/h/lib/hpc3/spank_hpc3.so launcher=/opt/h/bin/hpc3-run\n",
		docs + "oci.conf":       "\nRunTimeRun=\"/opt/h/bin/hpc3-run oci ",
	} {
		if text := lab.Read(t, file); !strings.Contains(text, want) {
			t.Errorf("%s lacks %q:\n%s", file, want, text)
		}
	}
	modulecmd, err := exec.LookPath("modulecmd")
	lab.Needs(t, "native", err == nil, "there is no modulecmd")
	load := exec.Command(modulecmd, "bash", "load", "hpc3")
	load.Env = []string{"PATH=/usr/bin:/bin", "HOME=/", "MODULEPATH=" + tr.dest + "/opt/h/share/hpc3/modulefiles"}
	if out, err := load.CombinedOutput(); err != nil || !strings.Contains(string(out), "PATH=/opt/h/bin:/usr/bin:/bin;") {
		t.Errorf("loading the module: %v\n%s", err, out)
	}
	tr.gromacs(t, modulecmd, tr.dest+"/opt/h/share/hpc3/modulefiles", "/opt/h/bin/hpc3-run")
	tr.gromacs(t, modulecmd, tr.dir+"/etc/modulefiles", "/usr/local/bin/hpc3-run")
}

// gromacs loads the example of a module of commands, and calls its command, with an hpc3-run of its
// own. The example prefers that of its installation.
func (tr *tree) gromacs(t *testing.T, modulecmd, modules, launcher string) {
	shim := modules + "/__hpc3/gromacs/2021.5/bin/gmx"
	if text := lab.Read(t, shim); !strings.Contains(text, "|| exec "+launcher+" \"$@\"\n") {
		t.Errorf("%s does not name %s:\n%s", shim, launcher, text)
	}
	if _, err := os.Stat(launcher); err == nil {
		return
	}
	bin := t.TempDir()
	if err := os.WriteFile(bin+"/hpc3-run", []byte("#!/bin/sh\necho $HPC3_SHIM \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	call := exec.Command("bash", "-c", `eval "$("$0" bash load gromacs)" && gmx mdrun && eval "$("$0" bash unload gromacs)" && echo "$PATH" && ! gmx mdrun`, modulecmd)
	call.Env = []string{"PATH=" + bin + ":/usr/bin:/bin", "HOME=/", "MODULEPATH=" + modules}
	want := "gromacs/2021.5 docker.io/qnib/gromacs:2021.5 gmx mdrun\n" + bin + ":/usr/bin:/bin\n"
	if out, err := call.Output(); err != nil || string(out) != want {
		t.Errorf("the command of a module in %s: %v, %q, want %q", modules, err, out, want)
	}
}

// withoutGo: a user without Go installs what another has built, and is told what to do if that is
// old.
func (tr *tree) withoutGo(t *testing.T) {
	lab.Needs(t, "native", os.Getuid() == 0, "hiding Go needs root")
	const hidden = `exec unshare -m sh -c 'mount -t tmpfs none /usr/local; export PATH=/usr/bin:/bin HOME=/nonexistent; ! command -v go >/dev/null || exit 77; exec make -s "DESTDIR=$DEST" PREFIX=/opt/h SYSCONFDIR=/etc install'`
	tr.sh(t, "", hidden)
	later := filepath.Join(tr.dir, "cmd/hpc3-run/later.go")
	if err := os.WriteFile(later, []byte("package main\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	tr.sh(t, "go: hpc3 is built by Go .* as the owner of this directory: make; .*INSTALL_PACKAGES=yes", hidden)
	if err := os.Remove(later); err != nil {
		t.Fatal(err)
	}
}

// settings: hpc3.toml follows the version until somebody changes it.
func (tr *tree) settings(t *testing.T) {
	file, shipped := tr.dest+"/etc/hpc3/hpc3.toml", tr.dest+"/opt/h/share/doc/hpc3/etc/hpc3.toml"
	for _, name := range []string{file, shipped} { // as an older version had it
		if err := os.WriteFile(name, []byte("# old\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if said := tr.make(t, "", "install"); lab.Read(t, file) != lab.Read(t, "../../etc/hpc3.toml") || strings.Contains(said, "hpc3.toml") {
		t.Errorf("an unchanged hpc3.toml is not replaced: %s", said)
	}
	if err := os.WriteFile(file, []byte("engine = \"native\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if said := tr.make(t, "", "install"); lab.Read(t, file) != "engine = \"native\"\n" || !strings.Contains(said, file+" is yours, and stays") {
		t.Errorf("a changed hpc3.toml is replaced, or nothing is said: %s", said)
	}
	if said := tr.make(t, "", "uninstall"); !strings.Contains(said, file+" was changed, and stays") {
		t.Errorf("make uninstall says %q", said)
	}
	if diff := cmp.Diff([]string{"/etc/hpc3/hpc3.toml"}, tr.installed(t)); diff != "" {
		t.Errorf("make uninstall leaves (-want +got):\n%s", diff)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	tr.make(t, "", "install")
}

// inUse: what Slurm is told to load is not taken away.
func (tr *tree) inUse(t *testing.T) {
	conf := tr.dest + "/etc/slurm/plugstack.conf"
	if err := os.MkdirAll(filepath.Dir(conf), 0o755); err != nil {
		t.Fatal(err)
	}
	for line, used := range map[string]bool{
		"required /opt/h/lib/hpc3/spank_hpc3.so": true, "optional\t/opt/h/lib/hpc3/spank_hpc3.so a=b": true,
		"# required /opt/h/lib/hpc3/spank_hpc3.so": false, "required /usr/lib/hpc3/spank_hpc3.so": false,
	} {
		if err := os.WriteFile(conf, []byte("# x\n"+line+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		fails := ""
		if used {
			fails = "nothing is removed: Slurm uses hpc3 by"
		}
		tr.make(t, fails, "uninstall")
		if there := slices.Contains(tr.installed(t), "/opt/h/bin/hpc3-run"); there != used {
			t.Errorf("with %q in plugstack.conf: hpc3-run is there: %t", line, there)
		}
		tr.make(t, "", "install")
	}
	if err := os.Remove(conf); err != nil {
		t.Fatal(err)
	}
}

// TestInstallPlugin: no plugin is installed or stays next to an hpc3-run of another version.
func TestInstallPlugin(t *testing.T) {
	lab.Needs(t, "slurm", os.Getuid() == 0, "the lab needs root")
	lab.Needs(t, "slurm", !testing.Short(), "the lab is not built by a short run")
	t.Parallel()
	tr := newTree(t)
	include := "SLURM_INCLUDE=" + lab.SlurmHeaders(t, t.TempDir(), "bookworm")
	tr.make(t, "", "build", "plugin", "VERSION=v1", include)
	tr.make(t, "", "install", "VERSION=v1")
	if diff := cmp.Diff(brings(t, "/opt/h/lib/hpc3/libhpc3spank.so", "/opt/h/lib/hpc3/spank_hpc3.so"), tr.installed(t)); diff != "" {
		t.Fatalf("make install with a plugin (-want +got):\n%s", diff)
	}
	still := func(why string) {
		t.Helper()
		if got := tr.version(t, tr.dest+"/opt/h/bin/hpc3-run"); got != "hpc3-run v1" {
			t.Errorf("%s: %s was installed", why, got)
		}
	}
	tr.make(t, `bin/spank_hpc3.so, is of version v1, and the sources are of v2.*make plugin `+regexp.QuoteMeta(include), "install", "VERSION=v2")
	still("a plugin of v1")
	if err := os.Rename(tr.dir+"/bin/spank_hpc3.so", tr.dir+"/bin/old.so"); err != nil {
		t.Fatal(err)
	}
	tr.make(t, "", "plugin", "VERSION=v2", include)
	if err := os.Rename(tr.dir+"/bin/old.so", tr.dir+"/bin/spank_hpc3.so"); err != nil {
		t.Fatal(err)
	}
	tr.make(t, `bin/spank_hpc3.so, is not what was built`, "install", "VERSION=v2")
	still("an old file over the plugin of v2")
	tr.sh(t, "", "rm bin/*.so")
	tr.make(t, `there is a Slurm plugin in .*/opt/h/lib/hpc3, and none is built to replace it.*libslurm-dev`, "install", "VERSION=v2")
	still("no plugin")
	tr.make(t, "", "plugin", "VERSION=v2", include)
	tr.make(t, "", "install", "VERSION=v2")
	if got := tr.version(t, tr.dest+"/opt/h/bin/hpc3-run"); got != "hpc3-run v2" {
		t.Errorf("after make plugin: %s is installed", got)
	}
	tr.make(t, "", "uninstall")
	if left := tr.installed(t); left != nil {
		t.Errorf("make uninstall leaves %q", left)
	}
}

// TestInstallOthers: root builds in a user's tree, and a user installs without root.
func TestInstallOthers(t *testing.T) {
	lab.Needs(t, "native", os.Getuid() == 0, "being several users needs root")
	lab.Needs(t, "native", !testing.Short(), "it builds")
	t.Parallel()
	tr := newTree(t)
	tr.sh(t, "", `git init -q . && git add -A && git -c user.name=x -c user.email=x@x commit -qm x && mkdir -m 0755 "$DEST" && chown -R 4242:4242 . "$DEST"`)
	tr.sh(t, "dubious ownership", "git describe --always") // or this tests nothing
	tr.make(t, "", "build")
	tr.sh(t, "", `test "$(bin/hpc3-run --version)" = "hpc3-run $(git -c safe.directory="$PWD" rev-parse --short HEAD)"`)
	tr.sh(t, "", `test -z "$(find . -user 0)" || { find . -user 0 >&2; exit 1; }`)
	tr.sh(t, "", `exec setpriv --reuid 4242 --regid 4242 --clear-groups env -i PATH=/usr/bin:/bin HOME="$DEST" make -s install PREFIX="$DEST/.local"`)
	if got := tr.version(t, tr.dest+"/.local/bin/hpc3-run"); got == "" {
		t.Error("hpc3-run has no version")
	}
	for _, file := range []string{"/.config/hpc3/hpc3.toml", "/.local/share/man/man1/hpc3-run.1"} {
		if !slices.Contains(tr.installed(t), file) {
			t.Errorf("a user's installation lacks %s", file)
		}
	}
	tr.sh(t, `be root, or make install PREFIX=\$HOME/.local`, `exec setpriv --reuid 4242 --regid 4242 --clear-groups env -i PATH=/usr/bin:/bin HOME="$DEST" make -s install PREFIX=/usr/lib/no`)
}
