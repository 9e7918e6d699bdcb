package match

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// node returns a node from a platform, or ends the test.
func node(t testing.TB, platform string) facts.Node {
	t.Helper()
	n, err := NodeFor(platform)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// allTargets are the microarchitectures that the tests pair with one another.
func allTargets() []string {
	return []string{
		"x86_64", "x86_64_v2", "x86_64_v3", "x86_64_v4", "nocona", "core2", "nehalem", "westmere", "sandybridge", "ivybridge", "haswell",
		"broadwell", "skylake", "skylake_avx512", "cascadelake", "cannonlake", "icelake", "sapphirerapids", "mic_knl", "alderlake",
		"arrowlake", "arrowlake_s", "k10", "bulldozer", "piledriver", "steamroller", "excavator", "zen", "zen2", "zen3", "zen4", "zen5",
		"aarch64", "armv8.1a", "armv8.2a", "armv8.3a", "armv8.4a", "armv8.5a", "armv8.6a", "armv9.0a", "armv9.2a", "cortex_a72",
		"neoverse_n1", "neoverse_n2", "neoverse_v1", "neoverse_v2", "neoverse_v3ae", "a64fx", "thunderx2", "ampere1", "ampere1a",
		"m1", "m2", "m3", "m4", "ppc64le", "power8le", "power9le", "power10le", "power11le", "riscv64", "u74mc", "x60",
		"cooperlake", "tigerlake", "graniterapids",
	}
}

func archOf(t *target) string {
	return map[string]string{"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64le", "riscv64": "riscv64"}[t.root]
}

// The keys that order CPUs never put an ancestor before its descendant, and never take one for its
// equal.
func TestOrderExtendsAncestry(t *testing.T) {
	c := newChooser(nil, Policy{})
	pairs := 0
	for _, name := range allTargets() {
		low := c.lookup(name)
		if low == nil {
			t.Errorf("no target %s", name)
			continue
		}
		for _, other := range allTargets() {
			high := c.lookup(other)
			if high == nil || high == low || !high.is(low) {
				continue
			}
			pairs++
			var a, b score
			a.cpu(low, false)
			b.cpu(high, false)
			if b.first(a) <= 0 {
				t.Errorf("%s descends from %s, yet their scores are %v and %v", other, name, b, a)
			}
		}
	}
	if pairs < 300 {
		t.Errorf("only %d pairs", pairs)
	}
}

// An image for T runs on H if and only if H is T or descends from it; between AMD and Intel nothing
// crosses.
func TestNoVendorCrossing(t *testing.T) {
	c := newChooser(nil, Policy{})
	for _, image := range allTargets() {
		for _, cpu := range allTargets() {
			it, ct := c.lookup(image), c.lookup(cpu)
			n := facts.Node{OS: "linux", Arch: archOf(ct), CPU: facts.CPU{Target: cpu}}
			r := Best([]facts.Node{n}, entriesOf(t, "linux/"+archOf(it)+":"+image), Policy{})
			if want := ct.is(it); (r.Chosen == 0) != want {
				t.Errorf("image for %s on %s: %v, want %v: %s", image, cpu, r.Chosen == 0, want, r.Why)
			}
			// Ampere's cores descend from ARM's; on x86 no vendor's do from another's.
			foreign := it.root == "x86_64" && !it.generic && !ct.generic && it.Vendor != ct.Vendor
			if foreign && r.Chosen == 0 {
				t.Errorf("image for %s of %s runs on %s of %s", image, it.Vendor, cpu, ct.Vendor)
			}
			checkShape(t, r)
		}
	}
}

// By features no CPU takes an image whose needs it cannot be seen to meet: lists without features
// say nothing.
func TestPolicyFeaturesStaysSafe(t *testing.T) {
	tests := []struct {
		image, cpu string
		features   []string
		want       bool
	}{
		{"haswell", "zen3", nil, true},
		{"zen3", "icelake", nil, false},
		{"broadwell", "zen3", nil, false}, // adx is not in archspec's list of zen3 …
		{"broadwell", "zen3", append([]string{"adx"}, mustTarget(t, "zen3").Features...), true}, // … but on the CPU
		{"armv9.0a", "cortex_a72", nil, false},
		{"power10le", "power8le", nil, false},
		{"x60", "u74mc", nil, false},
		{"skylake_avx512", "zen4", append([]string{"adx"}, mustTarget(t, "zen4").Features...), true},
	}
	c := newChooser(nil, Policy{})
	for _, tt := range tests {
		arch := archOf(c.lookup(tt.image))
		n := facts.Node{OS: "linux", Arch: arch, CPU: facts.CPU{Target: tt.cpu, Features: tt.features}}
		r := Best([]facts.Node{n}, entriesOf(t, "linux/"+arch+":"+tt.image), Policy{CPUFeatures: true})
		if (r.Chosen == 0) != tt.want {
			t.Errorf("image for %s on %s by features: %v, want %v: %s", tt.image, tt.cpu, r.Chosen == 0, tt.want, r.Why)
		}
	}
}

func mustTarget(t *testing.T, name string) facts.Target {
	t.Helper()
	found, ok := facts.LookupTarget(name)
	if !ok {
		t.Fatalf("no target %s", name)
	}
	return found
}

// Neither the order of entries nor that of nodes changes which image is chosen, and nothing given
// is modified.
func TestPermutations(t *testing.T) {
	platforms := []string{
		"linux/amd64", "linux/amd64/v2", "linux/amd64/v3", "linux/amd64/v4", "linux/amd64:zen3", "linux/amd64:zen4:nv-compute-9-0",
		"linux/amd64:haswell", "linux/amd64:skylake_avx512:efa", "linux/amd64:nv-compute-8-0:nv-ptx-8-0:cuda-12-4", "linux/arm64:grace",
		"linux/amd64:mpi-openmpi-4-1", "windows/amd64",
	}
	nodes := []facts.Node{
		node(t, "linux/amd64:zen5:nv-compute-9-0:nvidia-550-54-15:mpi-openmpi-4-1-6"),
		node(t, "linux/amd64:zen4:nv-compute-9-0:nvidia-550-54-15:mpi-openmpi-4-1-4"),
		node(t, "linux/amd64:skylake_avx512:efa"),
	}
	entries := entriesOf(t, platforms...)
	random := rand.New(rand.NewSource(1))
	for count := 1; count <= len(nodes); count++ {
		want := entries[Best(nodes[:count], entries, Policy{}).Chosen].Digest
		for range 50 {
			es, ns := slices.Clone(entries), slices.Clone(nodes[:count])
			random.Shuffle(len(es), func(i, j int) { es[i], es[j] = es[j], es[i] })
			random.Shuffle(len(ns), func(i, j int) { ns[i], ns[j] = ns[j], ns[i] })
			before := fmt.Sprintf("%+v %+v", es, ns)
			r := Best(ns, es, Policy{})
			if es[r.Chosen].Digest != want {
				t.Fatalf("chose %s, another than before: %s", es[r.Chosen].Wants(), r.Why)
			}
			if after := fmt.Sprintf("%+v %+v", es, ns); after != before {
				t.Fatalf("Best changed what it was given:\n%s\n%s", before, after)
			}
			if diff := cmp.Diff(r, Best(ns, es, Policy{})); diff != "" {
				t.Fatalf("Best answers differently the second time:\n%s", diff)
			}
		}
	}
}

func TestReasons(t *testing.T) {
	v100 := func(n facts.Node) facts.Node {
		n.GPUs = []facts.GPU{{Vendor: "intel"}, {Vendor: "nvidia", Arch: "7.0"}, {Vendor: "nvidia", Arch: "8.0"}}
		n.NVIDIA = &facts.NVIDIA{Driver: "535.104.05"}
		return n
	}
	unknown := func(what, why string) func(facts.Node) facts.Node {
		return func(n facts.Node) facts.Node {
			n.Unknown = []facts.Unknown{{What: what, Why: why}}
			return n
		}
	}
	tests := []struct {
		name, platform string
		change         func(facts.Node) facts.Node
		want           []string // empty: fits
	}{
		{"fits", "linux/amd64", nil, nil},
		{"another architecture", "linux/arm64", nil, []string{"built for arm64, the node is amd64"}},
		{"another system and a word", "windows/amd64:efa", nil, []string{"built for windows, the node runs linux", `needs "efa", which is not among the labels of this node: it has none`}},
		{"an alias", "linux/amd64:genoa", nil, []string{"needs avx512f, avx512_bf16, avx512_bitalg, avx512_vbmi2 and 9 more of genoa (zen4), which this CPU, zen3, lacks"}},
		{"another vendor", "linux/amd64:haswell", nil, []string{"built for Intel's haswell; this CPU is AMD's zen3"}},
		{"another family", "linux/amd64:grace", nil, []string{"needs grace (neoverse_v2), which is not a CPU of amd64"}},
		{"an unknown variant", "linux/amd64/v9", nil, []string{"needs v9, a CPU that hpc3 does not know"}},
		{"a level above", "linux/amd64/v4:zen3", nil, []string{"needs avx512f, avx512bw, avx512cd, avx512dq and 1 more of v4 (x86_64_v4), which this CPU, zen3, lacks"}},
		{"no GPU", "linux/amd64:nv-compute-8-0", nil, []string{"built for NVIDIA GPUs (8.0), none is visible here"}},
		{"two GPUs, code for one", "linux/amd64:nv-compute-8-0", v100, []string{"built for GPUs of compute capability 8.0, GPU 1 has 7.0"}},
		{"two GPUs, code for both", "linux/amd64:nv-compute-8-0:nv-compute-7-0", v100, nil},
		{"two GPUs, PTX", "linux/amd64:nv-ptx-7-0", v100, nil},
		{"driver", "linux/amd64:nvidia-535-104-12", v100, []string{"needs NVIDIA driver 535.104.12 or newer, the node has 535.104.05"}},
		{"the same driver otherwise spelled", "linux/amd64:nvidia-535-104-5", v100, nil},
		{"no driver", "linux/amd64:nvidia-390-30:cuda-12-0", nil, []string{"needs NVIDIA driver 390.30 or newer, the node has none", "needs CUDA 12.0, the node has no NVIDIA driver"}},
		{"CUDA of the driver's branch", "linux/amd64:cuda-12-2", v100, nil},
		{"minor version compatibility", "linux/amd64:cuda-12-8", v100, nil},
		{"none with PTX", "linux/amd64:cuda-12-8:nv-ptx-7-0", v100, []string{"needs CUDA 12.8 to compile its PTX, the node's driver 535.104.05 has 12.2"}},
		{"a label nobody knows", "linux/amd64:nvidia-390", nil, []string{`needs "nvidia-390", which is not among the labels of this node: it has none; it is probably misspelt for "nvidia-550-54"`}},
		{"GPUs not known", "linux/amd64:nv-compute-8-0", unknown("gpus", "NVML hangs"), []string{"built for NVIDIA GPUs (8.0); GPU state unknown: NVML hangs"}},
		{"driver not known", "linux/amd64:nvidia-390-30", unknown("nvidia", "no permission"), []string{"needs NVIDIA driver 390.30 or newer; the driver of this node is unknown: no permission"}},
		{"MPI not known", "linux/amd64:mpi-mpich", unknown("mpi", "no cache"), []string{"needs an MPI with MPICH's ABI; the MPI of this node is unknown: no cache"}},
		{"glibc not known", "linux/amd64:glibc-2-28", nil, []string{"needs glibc 2.28; the version on this node is unknown: the platform does not say"}},
		{"glibc", "linux/amd64:glibc-2-28", func(n facts.Node) facts.Node { n.Glibc = "2.17"; return n }, []string{"needs glibc 2.28 or newer, the node has 2.17"}},
		{"fabric is a label", "linux/amd64:efa", func(n facts.Node) facts.Node { n.Fabric = []string{"efa"}; return n }, nil},
		{"fabric not known", "linux/amd64:efa", unknown("fabric", "no /sys"), []string{`needs "efa"; the fabric of this node is unknown: no /sys`}},
		{"CPU not known", "linux/amd64:zen3", func(n facts.Node) facts.Node { n.CPU.Target = ""; return n }, []string{"needs zen3, and the CPU of this node is unknown"}},
		{"no CPU asked for", "linux/amd64", func(n facts.Node) facts.Node { n.CPU.Target = ""; return n }, nil},
		{"Intel MPI by its library", "linux/amd64:mpi-mpich", func(n facts.Node) facts.Node {
			n.MPI = []facts.MPI{{Implementation: "intel-mpi", Version: "2021.9", Soname: "libmpi.so.12"}}
			return n
		}, nil},
		{"MPI of unknown version", "linux/amd64:mpi-openmpi-4-1", func(n facts.Node) facts.Node { n.MPI = []facts.MPI{{Implementation: "openmpi"}}; return n }, []string{
			"needs Open MPI 4.1 or a newer 4.x; the version of this node's is unknown",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := node(t, "linux/amd64:zen3")
			if tt.change != nil {
				n = tt.change(n)
			}
			r := Best([]facts.Node{n}, entriesOf(t, tt.platform), Policy{})
			checkShape(t, r)
			if len(tt.want) == 0 {
				if !r.Verdicts[0].Fits {
					t.Errorf("refused: %q", r.Verdicts[0].Reasons)
				}
				return
			}
			if diff := cmp.Diff(tt.want, r.Verdicts[0].Reasons); diff != "" {
				t.Errorf("reasons differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOddEntries(t *testing.T) {
	sum := oci.DigestOf(nil)
	image := oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: sum}
	amd64 := &oci.Platform{OS: "linux", Architecture: "amd64"}
	with := func(change func(*oci.Entry)) oci.Entry {
		e := oci.Entry{Position: 7, Descriptor: image}
		change(&e)
		return e
	}
	attestation := with(func(e *oci.Entry) { e.Attestation = true })
	artifact := with(func(e *oci.Entry) { e.ArtifactType = "application/x\x1b" })
	other := with(func(e *oci.Entry) { e.MediaType = "text/plain" })
	bare := with(func(e *oci.Entry) {})
	bareLabelled := with(func(e *oci.Entry) { e.Tokens = []string{"zen99"} })
	broken := with(func(e *oci.Entry) { e.Platform = amd64; e.Faults = []string{"has no digest"} })
	plain := with(func(e *oci.Entry) { e.Platform = amd64 })
	nested := with(func(e *oci.Entry) { e.MediaType = oci.MediaTypeIndex; e.Platform = amd64 })
	inside := with(func(e *oci.Entry) { e.MediaType = oci.MediaTypeIndex })
	tests := []struct {
		name    string
		entries []oci.Entry
		chosen  int
		reason  string // part of the first entry's first
	}{
		{"attestation", []oci.Entry{attestation, plain}, 1, "attestation, not an image"},
		{"artifact", []oci.Entry{artifact, plain}, 1, `"application/x\x1b": an artifact, not an image`},
		{"unknown type", []oci.Entry{other, plain}, 1, `"text/plain": not the media type of an image`},
		{"broken", []oci.Entry{broken, plain}, 1, "cannot be used: has no digest"},
		{"no platform beside others", []oci.Entry{bare, plain}, 1, "states no platform, and is not the only image"},
		{"no platform beside an attestation", []oci.Entry{bare, attestation}, 0, "the only image of the index; it states no platform"},
		{"no platform, but a demand", []oci.Entry{bareLabelled}, -1, `needs "zen99"`},
		{"two without a platform", []oci.Entry{bare, bare}, -1, "states no platform"},
		{"an index inside", []oci.Entry{nested}, 0, "the only one"},
		{"the same image twice", []oci.Entry{plain, plain}, 0, "the first of 2 alike"},
		{"only attestations", []oci.Entry{attestation}, -1, "attestation"},
		{"nothing", nil, -1, ""},
		{"an index inside, without a platform", []oci.Entry{inside, plain}, 1, "is an index itself, states no platform, and is not the only image of the index"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Best([]facts.Node{{OS: "linux", Arch: "amd64", CPU: facts.CPU{Target: "zen3"}}}, tt.entries, Policy{})
			checkShape(t, r)
			if r.Chosen != tt.chosen {
				t.Errorf("chose %d, want %d: %s\n%s", r.Chosen, tt.chosen, r.Why, verdicts(r))
			}
			if len(tt.entries) > 0 && (!strings.Contains(r.Verdicts[0].Reasons[0], tt.reason) || r.Verdicts[0].Position != 7) {
				t.Errorf("verdict %+v, want %q", r.Verdicts[0], tt.reason)
			}
		})
	}
	if r := Best(nil, []oci.Entry{plain}, Policy{}); r.Chosen != -1 || r.Why != "no node was given to choose for" {
		t.Errorf("without a node: %+v", r)
	}
}

func TestWhyNothingFits(t *testing.T) {
	tests := []struct {
		node      string
		platforms []string
		want      string
	}{
		{"linux/ppc64le", []string{"linux/amd64:zen3", "linux/amd64", "linux/arm64"}, "no image for linux/ppc64le, only for linux/amd64, linux/arm64; its author would have to add one"},
		{"linux/amd64:zen3", []string{"linux/amd64:zen4"}, "the only image needs avx512f, avx512_bf16, avx512_bitalg, avx512_vbmi2 and 9 more of zen4, which this CPU, zen3, lacks; it would take another node, or an image for zen3 or an ancestor of it"},
		{"linux/amd64:zen3", []string{"linux/amd64:zen5:efa", "linux/amd64:nv-compute-9-0"}, "of 2 images entry 1, linux/amd64:nv-compute-9-0, comes nearest, but built for NVIDIA GPUs (9.0), none is visible here; it would take a job with such a GPU, or an image without GPU code"},
	}
	for _, tt := range tests {
		r := Best([]facts.Node{node(t, tt.node)}, entriesOf(t, tt.platforms...), Policy{})
		if diff := cmp.Diff(tt.want, r.Why); r.Chosen != -1 || diff != "" {
			t.Errorf("%q on %s (-want +got):\n%s", tt.platforms, tt.node, diff)
		}
	}
}

// An entry that might fit, were it usable, is what the message is about.
func TestWhyNothingFitsNamesWhatIsOdd(t *testing.T) {
	entry := func(position int, arch, mediaType string, faults ...string) oci.Entry {
		e := oci.Entry{Position: position, Faults: faults, Descriptor: oci.Descriptor{MediaType: mediaType, Digest: "sha256:" + strings.Repeat("0", 64)}}
		if arch != "" {
			e.Platform = &oci.Platform{OS: "linux", Architecture: arch}
		}
		return e
	}
	const image, index = oci.MediaTypeManifest, oci.MediaTypeIndex
	for _, tt := range []struct {
		name    string
		entries []oci.Entry
		want    string
	}{
		{"alone", []oci.Entry{entry(0, "amd64", image, `"x" is no digest`)}, `no entry of the index can be used: entry 0 cannot be used: "x" is no digest`},
		{
			"beside another architecture",
			[]oci.Entry{entry(0, "arm64", image), entry(1, "amd64", image, `"x" is no digest`)},
			`no image for linux/amd64 that can be used: entry 1 cannot be used: "x" is no digest; the others are for linux/arm64`,
		},
		{
			"an index inside",
			[]oci.Entry{entry(0, "arm64", image), entry(1, "", index)},
			"no image for linux/amd64 that can be used: entry 1 is an index itself, states no platform, and is not the only image of the index; the others are for linux/arm64",
		},
		{
			"of another architecture itself",
			[]oci.Entry{entry(0, "arm64", image, "has no digest")},
			"no image for linux/amd64, only for linux/arm64; its author would have to add one",
		},
	} {
		r := Best([]facts.Node{{OS: "linux", Arch: "amd64", CPU: facts.CPU{Target: "zen3"}}}, tt.entries, Policy{})
		if diff := cmp.Diff(tt.want, r.Why); r.Chosen != -1 || diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestSeveralNodes(t *testing.T) {
	alike := func(n facts.Node, names ...string) []facts.Node {
		var nodes []facts.Node
		for _, name := range names {
			n.Hostname = name
			nodes = append(nodes, n)
		}
		return nodes
	}
	nodes := append(alike(node(t, "linux/amd64:zen3"), "n1", "n2", "n3"), alike(node(t, "linux/amd64:icelake"), "n4")...)
	r := Best(nodes, entriesOf(t, "linux/amd64:zen3", "linux/amd64/v3", "linux/arm64"), Policy{})
	want := []Verdict{
		{Position: 0, Reasons: []string{"on n4: built for AMD's zen3; this CPU is Intel's icelake"}},
		{Position: 1, Fits: true, Reasons: []string{"linux/amd64/v3: the only one of the index that fits"}},
		{Position: 2, Reasons: []string{"built for arm64, the node is amd64"}},
	}
	if diff := cmp.Diff(want, r.Verdicts); diff != "" {
		t.Errorf("verdicts differ (-want +got):\n%s", diff)
	}
	r = Best(nodes, entriesOf(t, "linux/amd64:icelake"), Policy{})
	if got := r.Verdicts[0].Reasons[0]; !strings.HasPrefix(got, "on n1 and 2 like it: ") {
		t.Errorf("reason %q", got)
	}
}

func BenchmarkBest(b *testing.B) {
	var platforms []string
	for i := range 1000 {
		targets := []string{"x86_64_v3", "zen3", "zen4", "haswell", "skylake_avx512", "icelake", "grace"}
		platforms = append(platforms, fmt.Sprintf("linux/amd64:%s:nv-compute-8-0:nvidia-%d-54:mpi-openmpi-4-1", targets[i%len(targets)], 400+i))
	}
	entries := entriesOf(b, platforms...)
	nodes := []facts.Node{node(b, "linux/amd64:zen5:nv-compute-8-0:nvidia-580-65-6:mpi-openmpi-4-1-6")}
	b.ReportAllocs()
	for b.Loop() {
		Best(nodes, entries, Policy{})
	}
}
