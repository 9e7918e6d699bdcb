package match

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// What compilers and vendors write stands for the word of the vocabulary beside it.
func TestSpellings(t *testing.T) {
	c := newChooser(nil, Policy{})
	for word, want := range map[string]string{
		"icelake-server": "icelake", "neoverse-v2": "neoverse_v2", "cortex-a72": "cortex_a72", "armv8.2-a": "armv8.2a", "armv8-a": "aarch64",
		"armv9-a": "armv9.0a", "bdver4": "excavator", "core-avx2": "haswell", "power9": "power9", "pwr9": "power9", "sifive-u74": "u74mc",
		"v3": "x86_64_v3", "x86_64-v3": "x86_64_v3", "x86-64_v3": "x86_64_v3", "amd64_v3": "x86_64_v3", "amd64v3": "x86_64_v3", "arm64-v8.2": "armv8.2a",
		"arm64": "aarch64", "aarch64": "aarch64", "v8.2": "armv8.2a", "arrowlake-s": "arrowlake_s", "skx": "skylake_avx512", "apple-m1": "m1",
		"silvermont": "silvermont", "slm": "silvermont", "cortex-a76": "cortex-a76", "grace": "neoverse_v2", "lunarlake": "arrowlake_s", "ice_lake": "icelake", "Sapphire-Rapids": "sapphirerapids", "kunpeng920": "tsv110", "ampere_altra": "neoverse_n1",
	} {
		token, _ := oci.Token(word)
		if d := c.read(token); d.kind != kindCPU || d.target == nil || d.target.Name != want {
			t.Errorf("%q is read as kind %d of %+v, want the CPU %s", word, d.kind, d.target, want)
		}
	}
	for _, word := range []string{"rva23u64", "native", "armv8.9-a", "cortex-a320"} {
		if d := c.read(word); d.kind != kindCPU || d.target != nil {
			t.Errorf("%q is read as %+v, want a CPU that is not known", word, d)
		}
	}
	for word, want := range map[string]string{
		"sm90": "nv-compute-9-0", "sm_90": "nv-compute-9-0", "sm-90": "nv-compute-9-0", "sm_90a": "nv-compute-9-0a", "cc90": "nv-compute-9-0", "cc8.6": "nv-compute-8-6",
		"sm_100f": "nv-compute-10-0f", "sm120": "nv-compute-12-0", "compute_80": "nv-compute-8-0", "nv-compute-9.0": "nv-compute-9-0", "ptx_80": "nv-ptx-8-0",
		"h100": "nv-compute-9-0", "gh200": "nv-compute-9-0 neoverse_v2", "v100": "nv-compute-7-0", "nvidia-a100-sxm4-80gb": "nv-compute-8-0", "h100_pcie": "nv-compute-9-0", "grace_hopper": "nv-compute-9-0 neoverse_v2", "mi300": "amd-gfx942", "mi250x": "amd-gfx90a", "nvidia-h100": "nv-compute-9-0",
		"gfx942": "amd-gfx942", "gfx11-generic": "amd-gfx11-generic", "amd_gfx90a": "amd-gfx90a",
		"cuda12.4": "cuda-12-4", "cuda-12.4": "cuda-12-4", "cuda_12.4.1": "cuda-12-4", "cu124": "cuda-12-4", "cu12": "cuda-12-0", "cu118": "cuda-11-8", "cu130": "cuda-13-0",
		"cu92": "cuda-9-2", "cuda80": "", "cuda12": "cuda-12-0", "cuda118": "cuda-11-8", "rocm6.3": "rocm-6-3", "rocm-6.3.1": "rocm-6-3", "rocm6": "rocm-6-0", "rocm700": "rocm-7-0", "rocm63": "rocm-6-3", "rocm10.1": "rocm-10-1", "rocm90": "", "rocm908": "", "rocm90a": "", "mi30x": "amd-gfx942",
		"mpi-openmpi-5.0.3": "mpi-openmpi-5-0-3", "mpi_openmpi_4.1": "mpi-openmpi-4-1", "glibc-2.28": "glibc-2-28", "glibc2.28": "glibc-2-28", "nvidia-550.54.15": "nvidia-550-54-15",
		"efa": "", "cluster_1": "", "2021.5": "", "cuda": "", "sm": "", "cc": "", "cu1": "", "sm_9": "", "gfxbench": "", "rack_b": "",
	} {
		words := strings.Join(spelled(word), " ")
		if words == "rocm-6-3-1" {
			words = "rocm-6-3"
		}
		if words != want {
			t.Errorf("%q stands for %q, want %q", word, words, want)
		}
		d, plain := c.read(word), strings.Fields(want)
		if want == "" {
			continue
		}
		if n := c.read(plain[0]); d.kind != n.kind || d.version.compare(n.version) != 0 && n.kind != kindGPU || d.code != n.code || d.name != n.name || len(d.also) != len(plain)-1 {
			t.Errorf("%q is read as %+v, and %q as %+v", word, d, plain[0], n)
		}
	}
}

// Each name of a CPU that gcc and clang know is read as one, or is listed as saying nothing of it.
func TestEveryNameOfCompilers(t *testing.T) {
	raw, err := os.ReadFile("testdata/compilers")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "--help=target").Output(); err == nil {
		if m := regexp.MustCompile(`-march= option:\n\s+(.*)\n`).FindSubmatch(out); m != nil {
			raw = append(raw, slices.Concat([]byte("gcc here: "), m[1], []byte("\n"))...)
		}
	}
	nothing := strings.Fields(compilerAny)
	var others []string
	for row := range unfolded(compilerOthers) {
		_, names, _ := strings.Cut(row, "|")
		others = append(others, strings.Fields(names)...)
	}
	c := newChooser(nil, Policy{})
	lists := 0
	for line := range bytes.Lines(raw) {
		what, names, ok := strings.Cut(strings.TrimSpace(string(line)), ": ")
		if !ok || strings.HasPrefix(what, "#") {
			continue
		}
		lists++
		for _, name := range strings.Fields(strings.ToLower(names)) {
			d := c.read(name)
			switch {
			case slices.Contains(nothing, name), d.kind == kindGeneric:
			case slices.Contains(others, name):
				if d.kind == kindCPU && d.target != nil && d.target.root != "x86" {
					t.Errorf("%s: %q is listed as not known, and is %s", what, name, d.target.Name)
				}
			case d.kind != kindCPU:
				t.Errorf("%s: %q is read as kind %d, want a CPU", what, name, d.kind)
			case d.target == nil && !regexp.MustCompile(`^armv\d\.\d-a$`).MatchString(name):
				t.Errorf("%s: %q is a CPU that is not known", what, name)
			}
		}
	}
	if lists < 30 {
		t.Errorf("only %d lists", lists)
	}
}

// The rows of CPUs that archspec does not name are sound: parents are known, features are words.
func TestCompilerTargets(t *testing.T) {
	for row := range unfolded(compilerTargets) {
		target := compilerTarget(row)
		if target == nil || len(target.Features) == 0 || target.Vendor == "" {
			t.Errorf("the row %q gives %+v", row, target)
			continue
		}
		if _, ok := facts.LookupTarget(underscored(target.Name)); ok {
			t.Errorf("%s is in the table of package facts as well", target.Name)
		}
		parent, _ := facts.LookupTarget(target.Parents[0])
		if len(target.Features) <= len(parent.Features) {
			t.Errorf("%s has no more features than %s", target.Name, parent.Name)
		}
	}
}

// POWER's cores bear one name for both byte orders: the image's architecture tells.
func TestEndianness(t *testing.T) {
	power := facts.Node{OS: "linux", Arch: "ppc64le", CPU: facts.CPU{Target: "power9le"}}
	for platform, want := range map[string]int{
		"linux/ppc64le:power9": 0, "linux/ppc64le:pwr8": 0, "linux/ppc64le:power10": -1, "linux/ppc64le:power9le": 0, "linux/ppc64:power8": -1,
	} {
		if r := Best([]facts.Node{power}, entriesOf(t, platform), Policy{}); r.Chosen != want {
			t.Errorf("%s on power9le: chose %d, want %d: %s", platform, r.Chosen, want, r.Why)
		}
	}
}

// An image for a CPU in a compiler's words fits only where each feature of that CPU is shown, niche
// ones aside.
func TestCompilerNamesAreSafe(t *testing.T) {
	raw, err := os.ReadFile("testdata/compilers")
	if err != nil {
		t.Fatal(err)
	}
	c, names, fitting := newChooser(nil, Policy{}), map[string]*target{}, 0
	for line := range bytes.Lines(raw) {
		_, list, _ := strings.Cut(string(line), ": ")
		for _, name := range strings.Fields(list) {
			if token, ok := oci.Token(name); ok {
				if d := c.read(token); d.target != nil {
					names[token] = d.target
				}
			}
		}
	}
	for _, cpu := range slices.Concat(facts.Targets(), facts.Later()) {
		on := mustTarget(t, cpu)
		arch := facts.ArchOf(on.Root())
		if len(on.Features) == 0 || arch != "amd64" && arch != "arm64" {
			continue
		}
		n := facts.Node{OS: "linux", Arch: arch, CPU: facts.CPU{Target: cpu, Vendor: on.Vendor, Features: on.Features, SVEBits: on.SVEBits()}}
		niche := facts.NicheFeatures(on.Root())
		for name, built := range names {
			e := oci.Entry{Descriptor: oci.Descriptor{Platform: &oci.Platform{OS: "linux", Architecture: arch}}, Tokens: []string{name}}
			if built.root != on.Root() || !judged(n, e).fits() {
				continue
			}
			fitting++
			if on.DescendsFrom(built.Name) { // archspec leaves sse3 out beside ssse3
				continue
			}
			for _, f := range built.Features {
				if !slices.Contains(on.Features, f) && !slices.Contains(niche, f) {
					t.Errorf("an image for %s (%s) fits %s, which does not show %s", name, built.Name, cpu, f)
				}
			}
		}
	}
	if fitting < 500 {
		t.Errorf("only %d pairs fit", fitting)
	}
}
