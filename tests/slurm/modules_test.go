package slurm

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/hpc3-project/hpc3/tests/internal/images"
	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// toolCommands are commands of the image that modules are made of, by name, besides some that it
// has anyway.
var toolCommands = map[string]string{
	"args":  `s=$#:; for a; do s="$s<$a>"; done; printf '%s\n' "$s"`, // by one call, as others may print
	"leave": `exit "$1"`,
	"space": `readlink /proc/self/ns/mnt`,
	"where": `echo "$KIND ${SLURMD_NODENAME-nowhere}"`,
}

// toolLabel names the commands of modules, in the image's label.
const toolLabel = "args, cat, hello, leave, perl, printenv,sha256sum, sleep, space, where"

// toolImages pushes the images that modules are made of: "tool", an index whose second entry is for
// nodes that Slurm calls wide; "liar", whose label names a command that it lacks; and "gone", of
// which the registry loses the manifest once a module is made of it.
func (c *cluster) toolImages(t *testing.T) (lose func()) {
	t.Helper()
	base, content := images.First(t, lab.Script(t, "login-image")), toolLayer(t)
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
	if err != nil {
		t.Fatal(err)
	}
	if base, err = mutate.AppendLayers(base, layer); err != nil {
		t.Fatal(err)
	}
	platform := v1.Platform{OS: "linux", Architecture: runtime.GOARCH}
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: labelled(t, base, "plain", toolLabel), Descriptor: v1.Descriptor{Platform: &platform}},
		mutate.IndexAddendum{Add: labelled(t, base, "wide", toolLabel), Descriptor: v1.Descriptor{
			Platform: &platform, Annotations: map[string]string{"org.supercontainers.hpc3.features": "wide"},
		}})
	if err := remote.WriteIndex(c.tag(t, "tool"), index); err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(c.tag(t, "liar"), labelled(t, base, "liar", "hello,nosuch")); err != nil {
		t.Fatal(err)
	}
	gone := labelled(t, base, "gone", "hello")
	if err := remote.Write(c.tag(t, "gone"), gone); err != nil {
		t.Fatal(err)
	}
	return func() {
		digest, err := gone.Digest()
		if err == nil {
			err = remote.Delete(c.tag(t, "gone").Context().Digest(digest.String()))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// tag is a name in the cluster's registry.
func (c *cluster) tag(t *testing.T, tag string) name.Tag {
	t.Helper()
	ref, err := name.NewTag(c.image[:strings.LastIndex(c.image, "/")] + "/tool:" + tag)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// toolLayer is a layer with toolCommands, where the login shell finds them.
func toolLayer(t *testing.T) []byte {
	t.Helper()
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for command, text := range toolCommands {
		text = "#!/bin/sh\n" + text + "\n"
		err := w.WriteHeader(&tar.Header{Name: "opt/app/bin/" + command, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(text))})
		if err == nil {
			_, err = io.WriteString(w, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return layer.Bytes()
}

// labelled gives an image the label of commands, and a variable that tells it from others.
func labelled(t *testing.T, img v1.Image, kind, commands string) v1.Image {
	t.Helper()
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.Config.Env = append(config.Config.Env, "KIND="+kind)
	config.Config.Labels["org.supercontainers.hpc3.commands"] = commands
	config.Config.Labels["org.opencontainers.image.title"] = `Prints [what] it "gets"; $5 {or less}`
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

// moduleList is what a site keeps a tree by. The versions of tool are of one image: which is which
// their places tell.
const moduleList = `# kept by the site
[[module]]
image = "$TOOL:tool"
name = "tool/2021.5"
format = ["tcl", "lua"]
[[module]]
image = "$TOOL:tool"
name = "tool/2021.10"
[[module]]
image = "$TOOL:tool"
name = "tool/2022"
[[module]]
image = "$TOOL:tool"
name = "pick/1"
commands = ["hello"]
default = true
[[module]]
image = "$TOOL:tool"
name = "pick/2"
commands = ["hello"]
[[module]]
image = "$TOOL:tool"
name = "bio/deep/gro/1"
[[module]]
image = "$TOOL:tool"
name = "luaonly/1"
format = "lua"
[[module]]
image = "$TOOL:tool"
name = "hmpi/1"
family = ["mpi"]
[[module]]
image = "$TOOL:tool"
name = "impi/1"
family = ["mpi"]
[[module]]
image = "$TOOL:tool"
name = "base/1"
[[module]]
image = "$TOOL:tool"
name = "onbase/1"
prereq = ["base"]
[[module]]
image = "$TOOL:tool"
name = "rival/1"
conflict = ["tool"]
[[module]]
image = "$TOOL:tool"
name = "bound/1"
options = { container_mounts = ["/lab/log:/given"], container_env = ["SITE=1"] }
[[module]]
image = "$TOOL:liar"
name = "liar/1"
[[module]]
image = "$TOOL:gone"
name = "gone/1"
`

// inTree names the tree and the images in scripts.
const inTree = `TOOL=${IMAGE%/*}/tool T=$HOME/mods; hpc3() { /lab/bin/hpc3 "$@"; }
`

// modules makes a tree of modules and loads them with both module tools in every shell; the
// commands of a module are put to many uses.
func (c *cluster) modules(t *testing.T) {
	lose := c.toolImages(t)
	got := c.run(t, inTree+`mkdir -p $T; echo "$LIST" | sed "s|\$TOOL|$TOOL|" >$T/modules.toml; hpc3 module --update $T &&
hpc3 module -q --name odd/1 --tcl --lua -o 'm x; mods' $TOOL:tool`, "LIST="+moduleList)
	if got.status != 0 {
		t.Fatalf("hpc3 module --update ended with %d\n%s%s", got.status, got.stdout, got.stderr)
	}
	lose()
	t.Run("check", func(t *testing.T) {
		c.check(t, slurmRow{text: inTree + `hpc3 module check $T`, status: 1, stdout: `1 of 15 modules does not resolve\ngone/1: .*no such image.*`})
	})
	if c.engine == "apptainer" {
		c.rows(t, slices.DeleteFunc(slices.Clone(shimRows), func(r slurmRow) bool { return !slices.Contains(throughApptainer, r.name) }))
		return // sid has no module tool
	}
	t.Run("commands", func(t *testing.T) { c.rows(t, shimRows) })
	t.Run("ranks", c.mpiModule)
	for _, tool := range []string{"modules", "lmod"} {
		t.Run(tool+" starts nothing", func(t *testing.T) { c.loadsAlone(t, tool) })
		for _, shell := range []string{"bash", "dash", "zsh", "tcsh"} {
			t.Run(tool+" in "+shell, func(t *testing.T) { c.loads(t, tool, shell) })
		}
	}
}

// moduleRow is something typed in a shell that knows a module tool, and a pattern of all that is
// printed, for each tool; "" if the tool has no such thing.
type moduleRow struct{ name, text, modules, lmod string }

// which tells where a command comes from, in any shell, if its variables are exported.
const which = "sh -c 'command -v hello || echo none'\n"

// kept writes the environment to a file, without the records of the module tools and what shells
// count.
func kept(file string) string {
	return `env -0 | sort -z | grep -azvE '^(_|LOADEDMODULES|_LMFILES_|__MODULES_.*|_ModuleTable.*|__LMOD_.*)=' >` + file + "\n"
}

// moduleRows are for every shell: they have no variables, no functions and no redirection but >.
var moduleRows = []moduleRow{
	{"avail sorts versions as numbers", "module -t avail tool\n", `/home/tester/mods:\ntool/2021\.5\ntool/2021\.10\ntool/2022`, `/home/tester/mods:\n(?:tool/\n)?tool/2021\.5\ntool/2021\.10\ntool/2022`},
	{
		"avail lists modules alone", "module -t avail\n", `/home/tester/mods:\nbase/1\nbio/deep/gro/1\nbound/1\ngone/1\nhmpi/1\nimpi/1\nliar/1\nonbase/1\npick/1\(default\)\npick/2\n(?:ranks/1\n)?rival/1\ntool/2021\.5\ntool/2021\.10\ntool/2022(?:\n\n(?s).*)?`,
		`/home/tester/mods:\n(?:base/\n)?base/1\n(?:bio/deep/gro/\n)?bio/deep/gro/1\n(?:bound/\n)?bound/1\n(?:gone/\n)?gone/1\n(?:hmpi/\n)?hmpi/1\n(?:impi/\n)?impi/1\n(?:liar/\n)?liar/1\n(?:luaonly/\n)?luaonly/1\n(?:onbase/\n)?onbase/1\n(?:pick/\n)?pick/1\npick/2\n(?:(?:ranks/\n)?ranks/1\n)?(?:rival/\n)?rival/1\n(?:tool/\n)?tool/2021\.5\ntool/2021\.10\ntool/2022`,
	},
	{"the highest version", "module load tool\n" + which + "hello\nargs 'a b' '*'\n", `/home/tester/mods/__hpc3/tool/2022/bin/hello\nhello from /opt/app\n2:<a b><\*>`, ""},
	{"the highest version of Tcl and Lua", "module load tool\n" + which + "hello\nargs 'a b' '*'\n", "", `/home/tester/mods/__hpc3/tool/2022/bin/hello\nhello from /opt/app\n2:<a b><\*>`},
	{"unload restores", kept("before") + "module load tool/2021.10 pick\n" + kept("between") + "cmp -s before between\necho $?\nmodule unload pick tool\n" + kept("after") + "cmp before after\necho $?\n", `1\n0`, `1\n0`},
	{"a second version", "module load tool/2022\nmodule load tool/2021.5\necho $?\n" + which, `(?s).*ERROR: Module cannot be loaded due to a conflict.*\n1\n/home/tester/mods/__hpc3/tool/2022/bin/hello`, `(?s)\s*The following have been reloaded with a version change:\n  1\) tool/2022 => tool/2021\.5\s*\n0\n/home/tester/mods/__hpc3/tool/2021\.5/bin/hello`},
	{"switch", kept("before") + "module load tool/2022\nmodule switch tool/2022 tool/2021.10\n" + which + "module swap tool tool/2021.5\n" + which + "module unload tool/2021.5\n" + kept("after") + "cmp before after\necho $?\n", `\S*/2021\.10/bin/hello\n\S*/2021\.5/bin/hello\n0`, `(?s)\s*The following .*tool/2022 => tool/2021\.10\s+\S*/2021\.10/bin/hello\s+The following .*tool/2021\.10 => tool/2021\.5\s+\S*/2021\.5/bin/hello\n0`},
	{"ml", "ml tool/2021.5 base\n" + which + "ml -base\n" + which + "ml -tool\n" + which, `\S*/base/1/bin/hello\n\S*/tool/2021\.5/bin/hello\nnone`, `\S*/base/1/bin/hello\n\S*/tool/2021\.5/bin/hello\nnone`},
	{"the default version", "module load pick\n" + which, `\S*/pick/1/bin/hello`, `\S*/pick/1/bin/hello`},
	{"a name with slashes", "module load bio/deep/gro\n" + which, `\S*/bio/deep/gro/1/bin/hello`, `\S*/bio/deep/gro/1/bin/hello`},
	{"a collection", "module load tool/2021.10 base\nmodule save mine@\nmodule purge\n" + which + "module restore mine@\n" + which + "module -t list\n", `none\n(?:Loading .*\n)*\S*/base/1/bin/hello\nCurrently Loaded Modulefiles:\ntool/2021\.10\nbase/1`, `(?s)Saved current collection of modules to: "mine\w+"\s+none\nRestoring modules from user's mine\w+\n\S*/base/1/bin/hello\ntool/2021\.10\nbase/1`},
	{"whatis", "module whatis tool/2021.10\n", `(?s).*tool/2021\.10: Name: tool\n\s*tool/2021\.10: Version: 2021\.10\n\s*tool/2021\.10: Description: .*Prints \[what\] it "gets"; \$5 \{or less\}.*/tool:tool.*the variant is chosen on the node that runs it.*`, `(?s)tool/2021\.10 +: Name: tool\ntool/2021\.10 +: Version: 2021\.10\ntool/2021\.10 +: Description: .*Prints \[what\] it "gets"; \$5 \{or less\}.*/tool:tool.*the variant is chosen on the node that runs it.*`},
	{"help", "module help tool/2021.10\n", `(?s).*Prints \[what\] it "gets"; \$5 \{or less\}.*args.*where.*linux/amd64.*wide.*/tool:tool.*HPC3_.*`, `(?s).*Prints \[what\] it "gets"; \$5 \{or less\}.*args.*where.*linux/amd64.*wide.*/tool:tool.*HPC3_.*`},
	{"a conflict", "module load tool/2021.5\nmodule load rival\necho $?\n" + which, `(?s).*ERROR: (?:Conflicting tool is loaded|Module cannot be loaded due to a conflict\.)\n.*1\n\S*/tool/2021\.5/bin/hello`, `(?s).*Cannot load module "rival/1" because\s+these module\(s\) are loaded:\s+tool.*\n1\n\S*/tool/2021\.5/bin/hello`},
	{"a family", "module load hmpi\nmodule load impi\necho $?\n" + which, `(?s).*ERROR: Module cannot be loaded due to a conflict.*\n1\n\S*/hmpi/1/bin/hello`, `(?s)\s*Lmod is automatically replacing "hmpi/1" with "impi/1"\.\s+0\n\S*/impi/1/bin/hello`},
	// Debian's Environment Modules loads what a module needs; Lmod refuses.
	{"a module that needs another", "module load onbase\necho $?\n" + which, `(?s)Loading onbase/1\n  Loading requirement: base/1\n0\n\S*/onbase/1/bin/hello`, `(?s).*Cannot load module "onbase/1"\..*must be loaded:\s+base.*\n1\nnone`},
	{"a module that needs another, which is there", "module load base onbase\necho $?\n" + which, `0\n\S*/onbase/1/bin/hello`, `0\n\S*/onbase/1/bin/hello`},
	{"spider", "module -t spider tool\nmodule spider tool/2021.5\n", "", `(?s)tool/2021\.5\ntool/2021\.10\ntool/2022\n.*tool: tool/2021\.5.*Prints \[what\] it "gets"; \$5 \{or less\}.*linux/amd64.*`},
	{"Lua", "module load luaonly\n" + which + "hello\n", "", `\S*/luaonly/1/bin/hello\nhello from /opt/app`},
	{"an odd place", kept("before") + "module use '/home/tester/m x; mods'\nmodule load odd\n" + which + "hello\nmodule unload odd\nmodule unuse '/home/tester/m x; mods'\n" + kept("after") + "cmp before after\necho $?\n", `/home/tester/m x; mods/__hpc3/odd/1/bin/hello\nhello from /opt/app\n0`, `/home/tester/m x; mods/__hpc3/odd/1/bin/hello\nhello from /opt/app\n0`},
	{"a shell below", "module load tool\nbash -c hello\nsh -c 'exec hello'\n", `hello from /opt/app\nhello from /opt/app`, `hello from /opt/app\nhello from /opt/app`},
}

// initOf is the file that a shell reads to know a module tool.
func initOf(tool, shell string) string {
	dir := map[string]string{"modules": "/usr/share/modules/init/", "lmod": "/usr/share/lmod/lmod/init/"}[tool]
	if shell == "dash" {
		return dir + "sh"
	}
	return dir + shell
}

// loads types the rows, one after another, into one shell: a tool takes longer to be set up than to
// load a module.
func (c *cluster) loads(t *testing.T, tool, shell string) {
	source, start := ". ", shell
	switch shell {
	case "zsh":
		start += " -f"
	case "tcsh":
		source, start = "source ", start+" -f"
	}
	var script strings.Builder
	fmt.Fprintf(&script, "%s%s\nmodule use /home/tester/mods\ncd /home/tester/%s\n", source, initOf(tool, shell), tool+shell)
	var rows []moduleRow
	for _, row := range moduleRows {
		if tool == "modules" && row.modules != "" || tool == "lmod" && row.lmod != "" {
			rows = append(rows, row)
			fmt.Fprintf(&script, "echo @@@\n%smodule purge\n", strings.ReplaceAll(row.text, "mine@", "mine"+shell))
		}
	}
	if err := os.WriteFile(filepath.Join(c.work, "home", tool+shell+".script"), []byte(script.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	got := c.run(t, fmt.Sprintf("mkdir -p %[1]s; %[2]s %[1]s.script 2>&1", tool+shell, start))
	said := strings.Split(got.stdout, "@@@\n")
	if len(said) != len(rows)+1 || said[0] != "" {
		t.Fatalf("the shell printed\n%s", got.stdout)
	}
	for i, row := range rows {
		want := row.modules
		if tool == "lmod" {
			want = row.lmod
		}
		t.Run(row.name, func(t *testing.T) {
			if text := strings.TrimSpace(said[1+i]); !regexp.MustCompile(`\A(?:` + want + `)\z`).MatchString(text) {
				t.Errorf("it printed\n%s\nwant %s", text, want)
			}
		})
	}
}

// loadsAlone compares loading a module with loading one that is empty: the processes that start are
// the same, and no connection is made.
func (c *cluster) loadsAlone(t *testing.T, tool string) {
	counted := func(module string) string {
		t.Helper()
		got := c.run(t, inTree+`mkdir -p void/void; echo '#%Module' >void/void/1; echo 'whatis("")' >void/void/2.lua
strace -f -qq -o calls -e trace=execve,fork,vfork,clone,clone3,connect bash -c '. `+initOf(tool, "bash")+`; module use $HOME/mods $HOME/void; module load `+module+`; module -t list' 2>&1 | grep -c '^`+module+`$'
grep -oE '(execve|v?fork|clone3?)\(|connect.*AF_INET|connect.*' calls | sort | uniq -c`)
		if !strings.HasPrefix(got.stdout, "1\n") || !strings.Contains(got.stdout, "execve") {
			t.Fatalf("loading %s: status %d\n%s%s", module, got.status, got.stdout, got.stderr)
		}
		return got.stdout
	}
	pairs := map[string]string{"tool/2022": "void/1"}
	if tool == "lmod" {
		pairs["luaonly/1"] = "void/2"
	}
	for module, void := range pairs {
		if calls, fewest := counted(module), counted(void); calls != fewest || strings.Contains(calls, "AF_INET") {
			t.Errorf("loading %s takes\n%s\nand loading nothing\n%s", module, calls, fewest)
		}
	}
}

// mpiModule makes a module of the image with programs of MPI, and starts ranks by its commands.
func (c *cluster) mpiModule(t *testing.T) {
	if _, err := os.Stat(filepath.Join(c.work, "mpi")); err != nil {
		lab.CopyTo(t, lab.Script(t, "mpi-image")+"/layout", filepath.Join(c.work, "mpi"))
	}
	got := c.run(t, inTree+`hpc3 module -q -o $T --name ranks/1 --commands ranks-openmpi,ranks-mpich oci:/lab/mpi`)
	if got.status != 0 {
		t.Fatalf("hpc3 module ended with %d\n%s", got.status, got.stderr)
	}
	const in = inTree + `export PATH=$T/__hpc3/ranks/1/bin:$PATH; `
	plugins := strings.Fields(c.run(t, "srun --mpi=list 2>&1").stdout)
	for _, row := range []mpiRow{
		{name: "Open MPI by PMIx", plugin: "pmix", nodes: 2, text: in + openMPIApart + ranksOn(2, "srun --mpi=pmix") + `ranks-openmpi`},
		{name: "MPICH by PMI2", plugin: "pmi2", nodes: 2, text: in + mpichApart + ranksOn(2, "srun --mpi=pmi2") + `ranks-mpich`},
		{name: "the node's mpirun", plugin: "pmi2", nodes: 2, text: in + openMPIApart + ranksOn(2, "salloc -Q") + `mpirun ranks-openmpi`},
	} {
		t.Run(row.name, func(t *testing.T) {
			if !slices.Contains(plugins, row.plugin) {
				t.Skipf("this suite's Slurm has no %s: %s", row.plugin, plugins)
			}
			c.world(t, row)
		})
	}
}
