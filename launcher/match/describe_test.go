package match

import (
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/probe/facts"
)

// probed is a node as a probe may find it.
func probed() facts.Node {
	return facts.Node{
		SchemaVersion: facts.SchemaVersion, OS: "linux", Arch: "amd64", Glibc: "2.36",
		CPU:    facts.CPU{Vendor: "AuthenticAMD", Target: "zen2", Strict: "zen", Rule: "bounded", Missing: []string{"clwb"}, Level: 3, Features: []string{"avx", "avx2", "pku"}},
		GPUs:   []facts.GPU{{Vendor: "nvidia", Name: "NVIDIA A100", Arch: "8.0"}, {Vendor: "amd", Arch: "gfx906"}},
		NVIDIA: &facts.NVIDIA{Driver: "535.104.05", CUDA: "12.2"},
		MPI:    []facts.MPI{{Implementation: "openmpi", Version: "4.1.4", Soname: "libmpi.so.40"}, {Implementation: "mpich", Soname: "libmpi.so.12"}},
		Fabric: []string{"efa", "infiniband"}, Labels: []string{"cluster_1"},
		Unknown: []facts.Unknown{{What: "gpus", Why: "x"}, {What: "glibc", Why: "x"}, {What: "nvidia", Why: "x"}, {What: "mpi", Why: "x"}},
	}
}

func TestDescribe(t *testing.T) {
	without := func(n *facts.Node, what ...string) {
		n.Unknown = slices.DeleteFunc(n.Unknown, func(u facts.Unknown) bool { return slices.Contains(what, u.What) })
	}
	tests := []struct {
		words string
		want  func(n *facts.Node)
	}{
		{"", func(*facts.Node) {}},
		{"Zen3", func(n *facts.Node) {
			n.CPU.Target, n.CPU.Rule, n.CPU.Missing = "zen3", "site", nil
			n.CPU.Missing = missingOf("zen3", n.CPU.Features)
		}},
		{"genoa x86_64_v3", func(n *facts.Node) {
			n.CPU.Target, n.CPU.Rule, n.CPU.Level, n.CPU.Missing = "zen4", "site", 4, missingOf("zen4", n.CPU.Features)
		}},
		{"h100", func(n *facts.Node) {
			n.GPUs = []facts.GPU{{Vendor: "amd", Arch: "gfx906"}, {Vendor: "nvidia", Arch: "9.0"}}
			without(n, "gpus")
		}},
		{"AVX512FP16", func(n *facts.Node) {
			n.CPU.Features = slices.Sorted(slices.Values(append(slices.Clone(n.CPU.Features), "avx512_fp16")))
		}},
		{"generic", func(n *facts.Node) {
			n.CPU.Target, n.CPU.Rule, n.CPU.Level, n.CPU.Missing = "x86_64", "site", 1, []string{}
		}},
		{"nv-compute-9-0 nv-compute-9-0", func(n *facts.Node) {
			n.GPUs = []facts.GPU{{Vendor: "amd", Arch: "gfx906"}, {Vendor: "nvidia", Arch: "9.0"}, {Vendor: "nvidia", Arch: "9.0"}}
			without(n, "gpus")
		}},
		{"amd-gfx90a", func(n *facts.Node) {
			n.GPUs = []facts.GPU{{Vendor: "nvidia", Name: "NVIDIA A100", Arch: "8.0"}, {Vendor: "amd", Arch: "gfx90a"}}
			without(n, "gpus")
		}},
		{"nvidia-550-54-15", func(n *facts.Node) {
			n.NVIDIA = &facts.NVIDIA{Driver: "550.54.15", CUDA: "12.4"}
			without(n, "nvidia")
		}},
		{"cuda-12-4", func(n *facts.Node) { n.NVIDIA.CUDA = "12.4" }},
		{"mpi-openmpi-5-0", func(n *facts.Node) {
			n.MPI = []facts.MPI{{Implementation: "mpich", Soname: "libmpi.so.12"}, {Implementation: "openmpi", Version: "5.0"}}
		}},
		{"mpi-mpiabi", func(n *facts.Node) { n.MPI = append(n.MPI, facts.MPI{Implementation: "mpiabi"}) }},
		{"glibc-2-28", func(n *facts.Node) { n.Glibc = "2.28"; without(n, "glibc") }},
		{"rack_b cluster_1 Opa", func(n *facts.Node) { n.Labels = []string{"cluster_1", "opa", "rack_b"} }},
		{"-infiniband -CLUSTER_1 -none", func(n *facts.Node) { n.Fabric, n.Labels = []string{"efa"}, []string{} }},
	}
	for _, tt := range tests {
		t.Run(tt.words, func(t *testing.T) {
			given, want := probed(), probed()
			tt.want(&want)
			got, err := Describe(given, strings.Fields(tt.words))
			if diff := gocmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("Describe(…, %q): %v (-want +got):\n%s", tt.words, err, diff)
			}
			if diff := gocmp.Diff(probed(), given); diff != "" {
				t.Errorf("Describe(…, %q) changed what it was given (-want +got):\n%s", tt.words, diff)
			}
		})
	}
}

func missingOf(target string, features []string) []string {
	t, _ := facts.LookupTarget(target)
	return slices.DeleteFunc(t.Features, func(f string) bool { return slices.Contains(features, f) })
}

func TestDescribeUnprobed(t *testing.T) {
	got, err := Describe(facts.Node{OS: "linux", Arch: "arm64", CPU: facts.CPU{Target: "aarch64"}}, []string{"grace", "nv-compute-9-0"})
	want := facts.Node{
		OS: "linux", Arch: "arm64", CPU: facts.CPU{Target: "neoverse_v2", Rule: "site"}, GPUs: []facts.GPU{{Vendor: "nvidia", Arch: "9.0"}},
		Unknown: []facts.Unknown{{What: "nvidia.driver", Why: "the site does not say"}},
	}
	if diff := gocmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Describe: %v (-want +got):\n%s", err, diff)
	}
}

func TestDescribeFaults(t *testing.T) {
	for words, why := range map[string]string{
		"grace":             "grace (neoverse_v2) is not a CPU of amd64",
		"haswell zen3":      "no CPU is both haswell and zen3",
		"nv-compute-9":      `"nv-compute-9" is almost a word of the vocabulary`,
		"amd-gfx":           "almost",
		"nvidia-550":        "almost",
		"nvidia-12":         "almost",
		"glibc-2":           "almost",
		"mpi-openmpi-x":     "almost",
		"x86_64_v9":         "almost",
		"":                  `"" is no word of letters`,
		"a,b":               `"a,b" is no word of letters`,
		"-":                 `"-" is no word of letters`,
		"--efa":             `"--efa" is no word of letters`,
		"-zen3":             `"-zen3": only a label or a fabric can be taken away`,
		"-nv-compute-9-0":   "only a label or a fabric",
		"-nvidia-550-54-15": "only a label or a fabric",
	} {
		list := strings.Fields(words)
		if words == "" {
			list = []string{""}
		}
		if _, err := Describe(probed(), list); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("Describe(…, %q) = %v, want %q", list, err, why)
		}
	}
	for _, word := range []string{"amd-epyc", "nvidia-gpu", "mpi-lam", "insttype:c5", "x86", "-128gb", "generic", "CUDA-12-4"} {
		if err := CheckWord(word); err != nil {
			t.Errorf("CheckWord(%q) = %v, want none", word, err)
		}
	}
}

// The site's word turns the choice: as to the target, and as to features that the probe did not
// see.
func TestDescribedNodeIsMatched(t *testing.T) {
	n := probed()
	n.CPU.Features = []string{"fma4", "sse4a", "xop"}
	entries := entriesOf(t, "linux/amd64", "linux/amd64:zen3", "linux/amd64:bulldozer", "linux/amd64:zen2")
	for _, tt := range []struct {
		words  []string
		policy Policy
		want   int
	}{
		{nil, Policy{}, 3},
		{[]string{"zen3"}, Policy{}, 1},
		{[]string{"x86_64_v2"}, Policy{}, 0},
		{[]string{"haswell"}, Policy{}, 0},
		{[]string{"x86_64_v2"}, Policy{CPUFeatures: true}, 0},
		{[]string{"haswell"}, Policy{CPUFeatures: true}, 3}, // with what was recorded haswell has all of zen2
	} {
		described, err := Describe(n, tt.words)
		if err != nil {
			t.Fatal(err)
		}
		if r := Best([]facts.Node{described}, entries, tt.policy); r.Chosen != tt.want {
			t.Errorf("with %q entry %d is chosen, want %d: %s\n%s", tt.words, r.Chosen, tt.want, r.Why, verdicts(r))
		}
	}
}

func FuzzDescribe(f *testing.F) {
	f.Add("zen3 nv-compute-9-0 -efa")
	f.Add("nvidia-550-54-15 mpi-openmpi-4-1 glibc-2-36 rack_b")
	f.Fuzz(func(t *testing.T, text string) {
		words := strings.Fields(text)
		once, err := Describe(probed(), words)
		if err != nil {
			return
		}
		twice, err := Describe(once, words)
		if diff := gocmp.Diff(once, twice); err != nil || diff != "" {
			t.Errorf("Describe(Describe(…, %q)): %v (-once +twice):\n%s", words, err, diff)
		}
	})
}
