package match

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/probe/facts"
)

func TestNearestWord(t *testing.T) {
	for word, want := range map[string]string{
		"zenn3": "zen3", "skylakeavx512x": "skylake_avx512", "haswel": "haswell", "neoverse-vv1": "neoverse_v1",
		"nv-comput-9-0": "nv-compute-9-0", "nv-compute-90": "nv-compute-9-0", "cuda-12-4x": "cuda-12-4", "nvida-550-54": "nvidia-550-54", "glibc-228": "glibc-2-28",
		"mpi-openmp": "mpi-openmpi", "mpi-mpch": "mpi-mpich", "amd-gfx90": "amd-gfx906", "avx52f": "avx512f", "openmpi-4.1": "mpi-openmpi-4-1", "mpiabi": "mpi-mpiabi",
		"efa": "", "cluster_1": "", "infiniband": "", "rack_b": "", "insttype:c5": "", "batch": "", "debug": "", "gpu": "", "ib_hdr": "", "": "",
	} {
		if got := nearestWord(word); got != want {
			t.Errorf("nearestWord(%q) = %q, want %q", word, got, want)
		}
	}
	for _, f := range forms {
		if d := newChooser(nil, Policy{}).read(f.example); d.kind == kindLabel {
			t.Errorf("the example %s is no word", f.example)
		}
	}
}

// A word that nobody knows refuses as a label does, and says which was probably meant.
func TestMisspelt(t *testing.T) {
	n := node(t, "linux/amd64:zen3:cluster_1")
	for platform, want := range map[string]string{
		"linux/amd64:zenn3":    `needs "zenn3", which is not among the labels of this node: it has cluster_1; it is probably misspelt for "zen3"`,
		"linux/amd64:cluster1": `needs "cluster1", which is not among the labels of this node: it has cluster_1; it is probably misspelt for "cluster_1"`,
		"linux/amd64:rack_b":   `needs "rack_b", which is not among the labels of this node: it has cluster_1`,
	} {
		if r := Best([]facts.Node{n}, entriesOf(t, platform), Policy{}); r.Chosen != -1 || r.Verdicts[0].Reasons[0] != want {
			t.Errorf("%s: chose %d, %q, want %q", platform, r.Chosen, r.Verdicts[0].Reasons, want)
		}
	}
}

// Two CPUs of which none can be both are said to contradict one another.
func TestContradiction(t *testing.T) {
	n := node(t, "linux/amd64:zen3")
	n.CPU.Features = append(mustTarget(t, "skylake").Features, mustTarget(t, "zen3").Features...)
	for platform, want := range map[string]string{
		"linux/amd64:zen3:skylake":    "asks for zen3 and skylake, which contradict one another: no CPU is both",
		"linux/arm64/v8.2:zen3":       "asks for v8.2 (armv8.2a) and zen3, which contradict one another: no CPU is both",
		"linux/amd64:grace:zen3":      "asks for grace (neoverse_v2) and zen3, which contradict one another: no CPU is both",
		"linux/amd64:zen3:zen2":       "",
		"linux/amd64/v3:zen3":         "",
		"linux/arm64:ampere1:m1":      "",
		"linux/amd64:haswell:skylake": "",
	} {
		r := Best([]facts.Node{n}, entriesOf(t, platform), Policy{})
		if got := r.Verdicts[0].Reasons[0]; want != "" && got != want || want == "" && strings.Contains(got, "contradict") {
			t.Errorf("%s: %q, want %q", platform, got, want)
		}
	}
	if r := Best([]facts.Node{n}, entriesOf(t, "linux/amd64:zen3:skylake"), Policy{CPUFeatures: true}); r.Chosen != 0 {
		t.Errorf("by features: %q", r.Verdicts[0].Reasons)
	}
}

// Many words that nobody knows take no long search each.
func BenchmarkUnknownWords(b *testing.B) {
	var platforms []string
	for i := range 1000 {
		platforms = append(platforms, fmt.Sprintf("linux/amd64:zenith%d", i))
	}
	entries := entriesOf(b, platforms...)
	nodes := []facts.Node{node(b, "linux/amd64:zen5")}
	for b.Loop() {
		Best(nodes, entries, Policy{})
	}
}
