package match

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/probe/facts"
)

func TestVersions(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{
		{"396.44", "390.30", 1},
		{"390.116", "390.30", 1},
		{"390.8", "390.30", -1},
		{"550.54.15", "550.54", 1},
		{"535.104.05", "535.104.5", 0},
		{"418.40.04", "418.39", 1},
		{"4.1", "4.1.0", 0},
		{"4.1.5rc2", "4.1.5", 0},
		{"", "1", -1},
	}
	for _, tt := range tests {
		a, b := parseVersion(tt.a), parseVersion(tt.b)
		if got := a.compare(b); got != tt.want {
			t.Errorf("%q against %q = %d, want %d", tt.a, tt.b, got, tt.want)
		}
		if got := cmp.Compare(a.weight(), b.weight()); got != tt.want {
			t.Errorf("weight of %q against %q = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestReadTokens(t *testing.T) {
	c := newChooser(nil, Policy{})
	tests := map[string]kind{
		"generic": kindGeneric, "zen3": kindCPU, "znver3": kindCPU, "graviton2": kindCPU, "x86-64-v3": kindCPU, "amd64": kindCPU,
		"nv-compute-9-0": kindNVIDIA, "nv-compute-9-0a": kindNVIDIA, "nv-compute-10-0f": kindNVIDIA, "nv-ptx-8-0": kindNVIDIA,
		"nvidia-390-30": kindDriver, "nvidia-535-104-12": kindDriver, "cuda-12-4": kindCUDA, "cuda-compat": kindCompat, "cuda-compat-12-9": kindCompat, "amd-gfx90a": kindAMD, "amd-gfx9-generic": kindAMD, "amd-gfx10-3-generic": kindAMD, "glibc-2-28": kindGlibc,
		"mpi-mpich": kindMPI, "mpi-openmpi-4-1": kindMPI, "mpi-mpiabi": kindMPI,
		"efa": kindLabel, "nv-compute-9": kindLabel, "nv-compute-9-0af": kindLabel, "nv-ptx-8-0a": kindLabel, "nv-cubin-9-0": kindLabel,
		"nvidia-390": kindLabel, "nvidia-1-2-3-4": kindLabel, "cuda-12": kindCUDA, "cuda-12-4-1": kindCUDA, "cuda-compat-": kindLabel, "cuda-compat-x": kindLabel, "amd-gfx": kindLabel, "amd-gfx-generic": kindLabel, "amd-gfx9-": kindLabel, "amd-gfx9-4": kindLabel, "amd-gfx90a-generic": kindLabel, "amd-90a": kindLabel,
		"mpi-lam": kindLabel, "mpi-openmpi-": kindLabel, "nvidia-9999999-1": kindLabel, "nvidia-390--30": kindLabel, "nvidia-+1-2": kindLabel,
		"insttype:c5": kindLabel, "-": kindLabel, "": kindLabel,
	}
	for token, want := range tests {
		if got := c.read(token); got.kind != want || got.token != token {
			t.Errorf("read(%q) = %+v, want kind %d", token, got, want)
		}
	}
}

func TestVariants(t *testing.T) {
	c := newChooser(nil, Policy{})
	tests := []struct{ arch, variant, want string }{
		{"amd64", "v1", "x86_64"},
		{"amd64", "v3", "x86_64_v3"},
		{"amd64", "v5", ""},
		{"amd64", "zen4", "zen4"},
		{"arm64", "v8", "aarch64"},
		{"arm64", "v8.0", "aarch64"},
		{"arm64", "v8.2", "armv8.2a"},
		{"arm64", "v9", "armv9.0a"},
		{"arm64", "v9.0", "armv9.0a"},
		{"arm64", "v9.2", "armv9.2a"},
		{"arm64", "v9.1", "armv9.1a"},
		{"arm64", "v9.9", ""},
		{"ppc64le", "power9", "power9le"},
		{"ppc64le", "power9le", "power9le"},
		{"riscv64", "rva20u64", ""},
	}
	for _, tt := range tests {
		got := ""
		if found := c.lookup(variantTarget(tt.arch, tt.variant)); found != nil {
			got = found.Name
		}
		if got != tt.want {
			t.Errorf("%s/%s means %q, want %q", tt.arch, tt.variant, got, tt.want)
		}
	}
}

func TestGPUCode(t *testing.T) {
	tests := []struct {
		code, gpu string
		want      int
	}{
		{"compute-8-0", "8.0", 1000},
		{"compute-8-0", "8.6", 500},
		{"compute-8-6", "8.9", 506},
		{"compute-8-6", "8.0", 0},
		{"compute-8-9", "8.6", 0},
		{"compute-8-0", "9.0", 0},
		{"compute-8-0", "8.7", 0}, // Tegra
		{"compute-8-7", "8.7", 1000},
		{"compute-8-7", "8.9", 0},
		{"compute-9-0a", "9.0", 1001},
		{"compute-9-0a", "10.0", 0},
		{"compute-10-0f", "10.0", 1000},
		{"compute-10-0f", "10.3", 500},
		{"compute-10-0a", "10.3", 0},
		{"ptx-8-0", "9.0", 81},
		{"ptx-9-0", "8.0", 0},
		{"ptx-8-7", "8.6", 0},
		{"ptx-50-0", "99.0", 301},
	}
	for _, tt := range tests {
		code, ok := readGPUCode(tt.code)
		gpu, known := readCapability(tt.gpu)
		if got := code.on(gpu); !ok || !known || got != tt.want {
			t.Errorf("%s on %s = %d, want %d", tt.code, tt.gpu, got, tt.want)
		}
	}
}

func TestNodeFor(t *testing.T) {
	noGlibc := facts.Unknown{What: "glibc", Why: "the platform does not say"}
	noDriver := facts.Unknown{What: "nvidia.driver", Why: "the platform does not say"}
	cpu := func(target string, level int) facts.CPU {
		return facts.CPU{Target: target, Strict: target, Level: level}
	}
	tests := []struct {
		in   string
		want facts.Node
	}{
		{"linux/amd64", facts.Node{Arch: "amd64", CPU: cpu("x86_64", 1), Unknown: []facts.Unknown{noGlibc}}},
		{"linux/aarch64/v8.2", facts.Node{Arch: "arm64", CPU: cpu("armv8.2a", 0), Unknown: []facts.Unknown{noGlibc}}},
		{"linux/amd64/v3:Milan", facts.Node{Arch: "amd64", CPU: cpu("zen3", 3), Unknown: []facts.Unknown{noGlibc}}},
		{"linux/amd64:broadwell:nv-compute-5-2:nvidia-396-44", facts.Node{
			Arch: "amd64", CPU: cpu("broadwell", 3), GPUs: []facts.GPU{{Vendor: "nvidia", Arch: "5.2"}},
			NVIDIA: &facts.NVIDIA{Driver: "396.44", CUDA: "9.2"}, Unknown: []facts.Unknown{noGlibc},
		}},
		{"linux/arm64:grace:nv-compute-9-0a:cuda-12-4:glibc-2-34", facts.Node{
			Arch: "arm64", CPU: cpu("neoverse_v2", 0), Glibc: "2.34", GPUs: []facts.GPU{{Vendor: "nvidia", Arch: "9.0"}},
			NVIDIA: &facts.NVIDIA{CUDA: "12.4"}, Unknown: []facts.Unknown{noDriver},
		}},
		{"linux/amd64:zen3:amd-gfx90a:mpi-openmpi-4-1:rack_b:efa:glibc-2-28", facts.Node{
			Arch: "amd64", CPU: cpu("zen3", 3), Glibc: "2.28", GPUs: []facts.GPU{{Vendor: "amd", Arch: "gfx90a"}},
			MPI: []facts.MPI{{Implementation: "openmpi", Version: "4.1"}}, Labels: []string{"efa", "rack_b"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			tt.want.SchemaVersion, tt.want.OS = facts.SchemaVersion, "linux"
			got, err := NodeFor(tt.in)
			if diff := gocmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("NodeFor(%q): %v (-want +got):\n%s", tt.in, err, diff)
			}
		})
	}
	for in, why := range map[string]string{
		"linux":                    "want an operating system",
		"linux/amd64/v9":           `"v9" is no level or CPU of amd64`,
		"linux/amd64:grace":        "grace (neoverse_v2) is not a CPU of amd64",
		"linux/amd64:haswell:zen3": "no CPU is both haswell and zen3",
		"linux/s390x:zen3":         "zen3 is not a CPU of s390x",
	} {
		_, err := NodeFor(in)
		if class, hints, _ := fault.Of(err, fault.Engine); err == nil || !strings.Contains(err.Error(), why) || class != fault.Usage || len(hints) == 0 {
			t.Errorf("NodeFor(%q) = %v (%s, %q), want a usage error with %q", in, err, class, hints, why)
		}
	}
}

func TestSplitTag(t *testing.T) {
	labels := []string{"cluster_1"}
	tests := []struct {
		tag, version string
		tokens       []string
	}{
		{"2021.5_graviton2", "2021.5", []string{"graviton2"}},
		{"2021.5_skylake_avx512", "2021.5", []string{"skylake_avx512"}},
		{"2021.5_x86_64_v3", "2021.5", []string{"x86_64_v3"}},
		{"2021.5_x86_64", "2021.5", []string{"x86_64"}},
		{"2021.5_cluster_1", "2021.5", []string{"cluster_1"}},
		{"v1_2_zen3_nv-compute-8-0_nvidia-550-54-15_mpi-mpich", "v1_2", []string{"zen3", "nv-compute-8-0", "nvidia-550-54-15", "mpi-mpich"}},
		{"2021.5", "2021.5", nil},
		{"2021.5_debug", "2021.5_debug", nil},
		{"2021_zen3_debug", "2021_zen3_debug", nil},
		{"zen3", "", []string{"zen3"}},
		{"2021.5_Skylake", "2021.5", []string{"Skylake"}},
		{"1.0_v3", "1.0", []string{"v3"}},
		{"1.0_V4", "1.0", []string{"V4"}},
		{"1.0_amd64_v3", "1.0", []string{"amd64_v3"}},
		{"1.0_arm64", "1.0", []string{"arm64"}},
		{"1.0_arm64_v8.2", "1.0", []string{"arm64_v8.2"}},
		{"1.0_zen3_v2", "1.0", []string{"zen3", "v2"}},
		{"1.0_v5", "1.0_v5", nil},
		{"1.0_v7", "1.0_v7", nil}, // of 32-bit ARM, which has no targets
		{"1.0_v8.77", "1.0_v8.77", nil},
		{"1.0_v3.1", "1.0_v3.1", nil},
		{"1.0_arm64_v3", "1.0", []string{"arm64", "v3"}}, // which no node is
		{"1.0_v33", "1.0_v33", nil},
		{"", "", nil},
		{"_", "_", nil},
	}
	for _, tt := range tests {
		version, tokens := SplitTag(tt.tag, labels)
		if version != tt.version || !slices.Equal(tokens, tt.tokens) {
			t.Errorf("SplitTag(%q) = %q, %q, want %q, %q", tt.tag, version, tokens, tt.version, tt.tokens)
		}
	}
}

// A tag's v3 is the variant v3 of an index.
func TestTagTokens(t *testing.T) {
	words := []string{"v1", "v2", "V3", "amd64_v4", "x86_64_v3", "x86-64-v3", "v8", "v8.0", "v8.2", "v9", "arm64_v9", "aarch64_v8", "arm64", "amd64", "zen3", "mpi-mpich", "cluster_1", "v4"}
	want := []string{"x86_64", "x86_64_v2", "x86_64_v3", "x86_64_v4", "x86_64_v3", "x86-64-v3", "aarch64", "aarch64", "armv8.2a", "armv9.0a", "armv9.0a", "aarch64", "aarch64", "x86_64", "zen3", "mpi-mpich", "cluster_1", "v4"}
	r := newTagReader("app", []string{"cluster_1", "V4"})
	var got []string
	for _, w := range words {
		got = append(got, r.word(w).token)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the words %q\n = %q\nwant %q", words, got, want)
	}
	c := newChooser(nil, Policy{})
	for arch, variants := range map[string][]string{"amd64": {"v1", "v2", "v3", "v4"}, "arm64": {"v8", "v8.1", "v8.5", "v9", "v9.2"}} {
		for _, v := range variants {
			if got, of := c.tagToken(v), c.lookup(variantTarget(arch, v)); of == nil || got != of.Name {
				t.Errorf("a tag's %s is %q, and an index's %+v", v, got, of)
			}
		}
	}
}

func FuzzNodeFor(f *testing.F) {
	f.Add("linux/amd64:broadwell:nv-compute-5-2:nvidia-396-44", "linux/amd64/v3:nv-ptx-5-2:cuda-9-1:mpi-mpich:glibc-2-17")
	f.Add("linux/arm64:grace:amd-gfx90a", "linux/arm64/v9:x:amd-gfx90a")
	f.Fuzz(func(t *testing.T, a, b string) {
		n, err := NodeFor(a)
		if err != nil {
			return
		}
		if _, err := NodeFor(b); err != nil {
			return
		}
		r := Best([]facts.Node{n}, entriesOf(t, b, "linux/amd64", b), Policy{CPUFeatures: len(a)%2 == 0})
		checkShape(t, r)
	})
}

func FuzzSplitTag(f *testing.F) {
	f.Add("v1_2_zen3_nv-compute-8-0_mpi-mpich")
	f.Fuzz(func(t *testing.T, tag string) {
		version, tokens := SplitTag(tag, []string{"cluster_1"})
		parts := tokens
		if version != "" {
			parts = append([]string{version}, tokens...)
		}
		joined := strings.Join(parts, "_")
		if joined != tag && "_"+joined != tag && !strings.Contains(tag, "__") {
			t.Errorf("SplitTag(%q) = %q, %q", tag, version, tokens)
		}
	})
}
