package match

import (
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// gpuCase is a node with GPUs, an index, and the entry that an expert takes of it.
type gpuCase struct {
	name    string
	node    facts.Node
	entries []string
	chosen  int    // -1: none
	of      int    // an entry …
	said    string // … and part of what is said of it
}

// nvidiaNode returns a node with an NVIDIA driver, of which CUDA follows, and GPUs: "V100 7.0".
func nvidiaNode(t *testing.T, driver string, gpus ...string) facts.Node {
	t.Helper()
	n := node(t, "linux/amd64:skylake_avx512")
	n.NVIDIA = &facts.NVIDIA{Driver: driver}
	for _, g := range gpus {
		at := strings.LastIndex(g, " ")
		n.GPUs = append(n.GPUs, facts.GPU{Vendor: "nvidia", Name: g[:max(at, 0)], Arch: g[at+1:]})
	}
	return n
}

func testGPUCases(t *testing.T, cases []gpuCase) {
	t.Helper()
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			r := Best([]facts.Node{tt.node}, entriesOf(t, tt.entries...), Policy{})
			checkShape(t, r)
			if r.Chosen != tt.chosen {
				t.Errorf("chose %d, want %d: %s\n%s", r.Chosen, tt.chosen, r.Why, verdicts(r))
			}
			if got := strings.Join(r.Verdicts[tt.of].Reasons, "; "); !strings.Contains(got, tt.said) {
				t.Errorf("of entry %d it says %q, want %q", tt.of, got, tt.said)
			}
		})
	}
}

// PTX asks for the CUDA of its compiler only where the driver has to compile it.
func TestPTXWhereNoCodeObjectServes(t *testing.T) {
	const fat = "linux/amd64:nv-compute-7-0:nv-compute-9-0:nv-ptx-9-0:cuda-12-9"
	unread := nvidiaNode(t, "535.161.08", "NVIDIA X 7.0")
	unread.GPUs[0].Arch = ""
	testGPUCases(t, []gpuCase{
		{"the usual fat binary", nvidiaNode(t, "535.161.08", "Tesla V100-SXM2-32GB 7.0"), []string{"linux/amd64", fat}, 1, 1, "has code for the GPU"},
		{"its other GPU", nvidiaNode(t, "535.161.08", "NVIDIA H100 80GB HBM3 9.0"), []string{"linux/amd64", fat}, 1, 1, "has code for the GPU"},
		{"a GPU that PTX of a lower capability serves", nvidiaNode(t, "535.161.08", "NVIDIA A100-SXM4-40GB 8.0"), []string{"linux/amd64:nv-compute-7-0:nv-ptx-7-0:cuda-12-9", "linux/amd64"}, 1, 0, "needs CUDA 12.9 to compile its PTX, the node's driver 535.161.08 has 12.2"},
		{"one of two GPUs needs the PTX", nvidiaNode(t, "535.161.08", "Tesla V100-SXM2-32GB 7.0", "NVIDIA B200 10.0"), []string{fat, "linux/amd64"}, 1, 0, "to compile its PTX"},
		{"two GPUs, each with code of its own", nvidiaNode(t, "535.161.08", "Tesla V100-SXM2-32GB 7.0", "NVIDIA H100 PCIe 9.0"), []string{"linux/amd64", fat}, 1, 1, ""},
		{"code of a lower minor number serves", nvidiaNode(t, "535.161.08", "NVIDIA L4 8.9"), []string{"linux/amd64", "linux/amd64:nv-compute-8-0:nv-ptx-8-0:cuda-12-4"}, 1, 1, ""},
		{"PTX that the driver can compile", nvidiaNode(t, "575.57.08", "NVIDIA B200 10.0"), []string{"linux/amd64", fat}, 1, 1, ""},
		{"a driver of another major version", nvidiaNode(t, "470.82.01", "Tesla V100-SXM2-32GB 7.0"), []string{fat, "linux/amd64"}, 1, 0, "needs CUDA 12.9, the node's driver 470.82.01 has 11.4"},
		{"a driver older than minor version compatibility", nvidiaNode(t, "525.30.01", "Tesla V100-SXM2-32GB 7.0"), []string{fat, "linux/amd64"}, 1, 0, "needs CUDA 12.9"},
		{"a GPU of unknown capability", unread, []string{fat, "linux/amd64"}, 1, 0, "the compute capability of GPU 0 is unknown"},
	})
}

// LLVM's generic targets run on the processors that they cover, and code for just one comes first.
func TestGenericAMD(t *testing.T) {
	amd := func(gpus ...string) facts.Node {
		n := node(t, "linux/amd64:zen3")
		for _, g := range gpus {
			n.GPUs = append(n.GPUs, facts.GPU{Vendor: "amd", Arch: g})
		}
		return n
	}
	const plain, generic = "linux/amd64", "linux/amd64:amd-gfx9-4-generic"
	testGPUCases(t, []gpuCase{
		{"MI300X", amd("gfx942"), []string{plain, generic}, 1, 1, "has code for the GPU"},
		{"MI350X", amd("gfx950"), []string{plain, generic, "linux/amd64:amd-gfx942"}, 1, 2, "built for AMD GPUs (gfx942), GPU 0 is gfx950"},
		{"its own code first", amd("gfx942"), []string{generic, "linux/amd64:amd-gfx942"}, 1, 0, "nearer to the GPU (accel-exact 500 < 1000)"},
		{"both in one entry", amd("gfx942"), []string{generic, "linux/amd64:amd-gfx9-4-generic:amd-gfx942"}, 1, 0, "nearer to the GPU"},
		{"MI250X has no generic target", amd("gfx90a"), []string{"linux/amd64:amd-gfx9-generic", generic, plain}, 2, 0, "built for AMD GPUs (gfx9-generic), GPU 0 is gfx90a"},
		{"MI100 neither", amd("gfx908"), []string{"linux/amd64:amd-gfx9-generic", plain}, 1, 0, "GPU 0 is gfx908"},
		{"MI50", amd("gfx906"), []string{plain, "linux/amd64:amd-gfx9-generic"}, 1, 1, ""},
		{"RDNA 1 is not RDNA 2", amd("gfx1030"), []string{"linux/amd64:amd-gfx10-1-generic", "linux/amd64:amd-gfx10-3-generic"}, 1, 0, "GPU 0 is gfx1030"},
		{"W7900 beside an APU", amd("gfx1100", "gfx1151"), []string{plain, "linux/amd64:amd-gfx11-generic"}, 1, 1, ""},
		{"one of two GPUs is not covered", amd("gfx1100", "gfx1201"), []string{"linux/amd64:amd-gfx11-generic", plain}, 1, 0, "GPU 1 is gfx1201"},
		{"the worst of two counts", amd("gfx942", "gfx950"), []string{"linux/amd64:amd-gfx942:amd-gfx950", "linux/amd64:amd-gfx942:amd-gfx9-4-generic"}, 0, 1, "accel-exact 500 < 1000"},
		{"a generic target of the future", amd("gfx1201"), []string{"linux/amd64:amd-gfx13-generic", plain}, 1, 0, "built for AMD GPUs (gfx13-generic; hpc3 does not know which those of gfx13-generic are), GPU 0 is gfx1201"},
		{"no generic target by its form", amd("gfx942"), []string{"linux/amd64:amd-gfx9--generic", plain}, 1, 0, `needs "amd-gfx9--generic"`},
	})
	for _, covered := range genericProcessors {
		for _, name := range covered {
			if !isGFX(name) {
				t.Errorf("%q is no processor", name)
			}
		}
	}
}

// That an entry names the fabric does not put it before code for the GPU; a site's label does.
func TestFabricIsNoSiteLabel(t *testing.T) {
	gpu := nvidiaNode(t, "550.54.15", "NVIDIA H100 80GB HBM3 9.0")
	gpu.Fabric, gpu.Labels = []string{"infiniband"}, []string{"rack_b"}
	bare := node(t, "linux/amd64:zen4")
	bare.Fabric, bare.MPI = []string{"cxi"}, []facts.MPI{{Implementation: "mpich", Version: "4.1"}}
	const code = "linux/amd64:nv-compute-9-0"
	described := node(t, "linux/arm64:graviton3:efa:nv-compute-9-0:nvidia-550-54-15")
	testGPUCases(t, []gpuCase{
		{"GPU code before a fabric word", gpu, []string{"linux/amd64/v4:infiniband", code}, 1, 0, "has code for the GPU of this node (accel 0 < 1)"},
		{"a site's label before GPU code", gpu, []string{code, "linux/amd64:rack_b"}, 1, 0, "names more labels of this node (site 0 < 1)"},
		{"a fabric word among GPU codes", gpu, []string{code, code + ":infiniband"}, 1, 0, "knows more of the fabric of this node (fabric 0 < 1)"},
		{"nearer GPU code before a fabric word", gpu, []string{"linux/amd64:nv-compute-9-0a", "linux/amd64:nv-compute-9-0:infiniband"}, 0, 1, "nearer to the GPU"},
		{"a fabric word before the host's MPI and the CPU", bare, []string{"linux/amd64:zen4:mpi-mpich", "linux/amd64/v3:cxi"}, 1, 0, "knows more of the fabric"},
		{"a fabric that a platform names", described, []string{"linux/arm64:graviton3:efa", "linux/arm64:nv-compute-9-0"}, 1, 0, "has code for the GPU"},
		{"a fabric that is not there", gpu, []string{"linux/amd64:nv-compute-9-0:cxi", "linux/amd64"}, 1, 0, `needs "cxi", which is not among the labels`},
	})
}

const (
	hopper = "NVIDIA H100 80GB HBM3 9.0"
	volta  = "Tesla V100-SXM2-32GB 7.0"
)

// The three rules of NVIDIA's guide, and what lies outside of them.
func TestCUDARules(t *testing.T) {
	const plain = "linux/amd64"
	entry := func(words string) string { return "linux/amd64:nv-compute-9-0:nv-compute-7-0:" + words }
	testGPUCases(t, []gpuCase{
		{"a newer driver runs older programs", nvidiaNode(t, "580.65.06", hopper), []string{plain, entry("cuda-11-8")}, 1, 1, ""},
		{"minor version", nvidiaNode(t, "525.60.13", hopper), []string{plain, entry("cuda-12-9")}, 1, 1, ""},
		{"CUDA 13 on a driver of CUDA 12", nvidiaNode(t, "575.57.08", hopper), []string{entry("cuda-13-0"), plain}, 1, 0, "needs CUDA 13.0, the node's driver 575.57.08 has 12.9"},
		{"forward, across major versions", nvidiaNode(t, "535.161.08", hopper), []string{plain, entry("cuda-13-1:cuda-compat")}, 1, 1, "; its cuda-compat brings CUDA 13.1, which driver 535.161.08 lacks"},
		{"forward, of a release by its name", nvidiaNode(t, "535.161.08", hopper), []string{plain, entry("cuda-13-1:cuda-compat-13-1")}, 1, 1, "brings CUDA 13.1"},
		{"forward, the driver's LTS branch with a release of the future", nvidiaNode(t, "580.65.06", hopper), []string{plain, entry("cuda-14-2:cuda-compat")}, 1, 1, "brings CUDA 14.2"},
		{"where the driver serves, nothing relies on it", nvidiaNode(t, "580.65.06", hopper), []string{plain, entry("cuda-12-9:cuda-compat")}, 1, 1, "has code for the GPU of this node"},
		{"PTX of a later minor version", nvidiaNode(t, "535.161.08", "NVIDIA B200 10.0"), []string{plain, "linux/amd64:nv-compute-9-0:nv-ptx-9-0:cuda-12-9:cuda-compat"}, 1, 1, "brings CUDA 12.9"},
		{"a desktop GPU", nvidiaNode(t, "535.161.08", "NVIDIA GeForce RTX 4090 8.9"), []string{"linux/amd64:nv-compute-8-9:cuda-13-1:cuda-compat", plain}, 1, 0, "needs CUDA 13.1, the node's driver 535.161.08 has 12.2; its cuda-compat is for data-centre GPUs, and GPU 0 (NVIDIA GeForce RTX 4090) is none"},
		{"a workstation GPU", nvidiaNode(t, "535.161.08", "NVIDIA RTX A6000 8.6"), []string{"linux/amd64:nv-compute-8-6:cuda-13-1:cuda-compat", plain}, 1, 0, "GPU 0 (NVIDIA RTX A6000) is none"},
		{"a desktop GPU beside a data-centre one", nvidiaNode(t, "535.161.08", volta, "NVIDIA TITAN V 7.0"), []string{entry("cuda-13-1:cuda-compat"), plain}, 1, 0, "GPU 1 (NVIDIA TITAN V) is none"},
		{"a GPU without a name", nvidiaNode(t, "535.161.08", "7.0"), []string{entry("cuda-13-1:cuda-compat"), plain}, 1, 0, "whether GPU 0 is one is unknown"},
		{"a GPU without a name that can only be one", nvidiaNode(t, "535.161.08", "9.0"), []string{plain, entry("cuda-13-1:cuda-compat")}, 1, 1, "brings CUDA 13.1"},
		{"a branch without support", nvidiaNode(t, "545.23.08", hopper), []string{entry("cuda-13-1:cuda-compat"), plain}, 1, 0, "its cuda-compat does not work with drivers of branch 545"},
		{"a branch whose support has ended", nvidiaNode(t, "470.82.01", volta), []string{entry("cuda-13-1:cuda-compat"), plain}, 1, 0, "its cuda-compat works with drivers of branch 470 up to CUDA 12.8"},
		{"the last release with support", nvidiaNode(t, "470.82.01", volta), []string{plain, entry("cuda-12-8:cuda-compat")}, 1, 1, "brings CUDA 12.8"},
		{"a package of an older release", nvidiaNode(t, "535.161.08", hopper), []string{entry("cuda-13-1:cuda-compat-12-9"), plain}, 1, 0, "its cuda-compat is that of CUDA 12.9"},
		{"a package of an older release of the major version", nvidiaNode(t, "470.82.01", volta), []string{plain, entry("cuda-12-9:cuda-compat-12-8")}, 1, 1, "brings CUDA 12.8"},
		{"but not for PTX", nvidiaNode(t, "470.82.01", "NVIDIA A100-SXM4-40GB 8.0"), []string{"linux/amd64:nv-ptx-8-0:cuda-12-9:cuda-compat-12-8", plain}, 1, 0, "its cuda-compat is that of CUDA 12.8"},
		{"an explicit driver is still asked for", nvidiaNode(t, "535.161.08", hopper), []string{entry("cuda-13-1:cuda-compat:nvidia-580-65"), plain}, 1, 0, "needs NVIDIA driver 580.65 or newer, the node has 535.161.08"},
		{"GPUs that are hidden", nvidiaNode(t, "535.161.08"), []string{"linux/amd64:cuda-13-1:cuda-compat", plain}, 1, 0, "its cuda-compat is for data-centre GPUs, and none is visible here"},
		{"no driver", node(t, "linux/amd64"), []string{"linux/amd64:cuda-13-1:cuda-compat", plain}, 1, 0, "needs CUDA 13.1, the node has no NVIDIA driver"},
		{"the word alone asks for nothing", node(t, "linux/amd64"), []string{"linux/amd64/v2", "linux/amd64:cuda-compat"}, 1, 1, ""},
		{"no word, no cuda-compat", nvidiaNode(t, "535.161.08", hopper), []string{entry("cuda-13-1"), plain}, 1, 0, "needs CUDA 13.1, the node's driver 535.161.08 has 12.2"},
		{"a misspelt word", nvidiaNode(t, "535.161.08", hopper), []string{entry("cuda-13-1:cuda-compat-13"), plain}, 1, 0, `needs "cuda-compat-13"`},
	})
}

// A word that is almost cuda-compat is named with it; other spellings are understood.
func TestCUDACompatMisspelt(t *testing.T) {
	testGPUCases(t, []gpuCase{
		{"a letter too many", nvidiaNode(t, "535.161.08", hopper), []string{"linux/amd64:cuda-13-1:cuda-compatt", "linux/amd64"}, 1, 0, `probably misspelt for "cuda-compat"`},
		{"a letter too few", nvidiaNode(t, "535.161.08", hopper), []string{"linux/amd64:cuda-13-1:cuda-compt-13-1", "linux/amd64"}, 1, 0, `probably misspelt for "cuda-compat-13-1"`},
		{"dots", nvidiaNode(t, "535.161.08", hopper), []string{"linux/amd64/v2", "linux/amd64:nv-compute-9-0:cuda-13-1:cuda-compat-13.1"}, 1, 1, "brings CUDA 13.1"},
		{"underscores", nvidiaNode(t, "535.161.08", hopper), []string{"linux/amd64/v2", "linux/amd64:sm_90:cuda13.1:cuda_compat"}, 1, 1, "brings CUDA 13.1"},
	})
}

// What run has to find in the image is what the choice relies on, for the neediest of the nodes.
func TestCUDACompatOfAVerdict(t *testing.T) {
	nodes := []facts.Node{nvidiaNode(t, "580.65.06", hopper), nvidiaNode(t, "535.161.08", hopper)}
	entries := entriesOf(t, "linux/amd64:nv-compute-9-0:cuda-12-4", "linux/amd64:nv-compute-9-0:cuda-13-1:cuda-compat")
	for _, tt := range []struct {
		nodes []facts.Node
		want  []string
	}{{nodes[:1], []string{"", ""}}, {nodes[1:], []string{"", "13.1"}}, {nodes, []string{"", "13.1"}}} {
		r := Best(tt.nodes, entries, Policy{})
		for i, want := range tt.want {
			if got := r.Verdicts[i]; got.CUDACompat != want || !got.Fits {
				t.Errorf("on %d nodes of entry %d: CUDACompat %q, fits %v, want %q: %q", len(tt.nodes), i, got.CUDACompat, got.Fits, want, got.Reasons)
			}
		}
	}
	for word, want := range map[string]string{"cuda-compat": "says what an image holds", "cuda-compat-12-9": "says what an image holds", "cuda-compat-12": "almost a word"} {
		if err := CheckWord(word); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("CheckWord(%q) = %v, want %q", word, err, want)
		}
	}
}

// An image says of itself that it carries cuda-compat, and what that brings meets what its config
// requires of CUDA.
func TestCUDACompatOfAConfig(t *testing.T) {
	h100At535, geForce := nvidiaNode(t, "535.161.08", hopper), nvidiaNode(t, "535.161.08", "NVIDIA GeForce RTX 4090 8.9")
	require := "NVIDIA_REQUIRE_CUDA=cuda>=13.1"
	labelled := map[string]string{oci.AnnotationFeatures: "cuda-13-1,cuda-compat"}
	for _, tt := range []struct {
		name    string
		node    facts.Node
		entry   string
		config  oci.Config
		refused string // part of the reason; "": fits
		compat  string
	}{
		{"the entry's word counts for its config", h100At535, "cuda-13-1:cuda-compat", oci.Config{Env: []string{require}}, "", "13.1"},
		{"the package by the variable of nvidia/cuda", h100At535, "generic", oci.Config{Env: []string{require, "NV_CUDA_COMPAT_PACKAGE=cuda-compat-13-1"}}, "", "13.1"},
		{"the image's own label", h100At535, "generic", oci.Config{Labels: labelled}, "", "13.1"},
		{"nothing says so", h100At535, "generic", oci.Config{Env: []string{require}}, "cuda>=13.1 (cuda=12.2)", ""},
		{"NVIDIA's own alternative relies on no word", h100At535, "generic", oci.Config{Env: []string{require + " brand=tesla,driver>=535,driver<536"}}, "", ""},
		{"a failing alternative relies on nothing", h100At535, "cuda-compat", oci.Config{Env: []string{require + ",brand=geforce brand=tesla,driver>=535"}}, "", ""},
		{"a desktop GPU", geForce, "cuda-compat", oci.Config{Env: []string{require}}, "cuda>=13.1 (cuda=12.2)", ""},
		{"a desktop GPU, by its label", geForce, "generic", oci.Config{Labels: labelled}, "by its own config, needs CUDA 13.1, the node's driver 535.161.08 has 12.2; its cuda-compat is for data-centre GPUs", ""},
		{"no release in the variable", h100At535, "generic", oci.Config{Env: []string{require, "NV_CUDA_COMPAT_PACKAGE=other-13-1"}}, "cuda>=13.1 (cuda=12.2)", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.config.OS, tt.config.Architecture = "linux", "amd64"
			e := entriesOf(t, "linux/amd64:"+tt.entry)
			e[0].Config = &tt.config
			v := Best([]facts.Node{tt.node}, e, Policy{}).Verdicts[0]
			if got := strings.Join(v.Reasons, "; "); v.Fits != (tt.refused == "") || !strings.Contains(got, tt.refused) || v.CUDACompat != tt.compat {
				t.Errorf("fits %v, CUDACompat %q, %q; want %q and %q", v.Fits, v.CUDACompat, got, tt.compat, tt.refused)
			}
		})
	}
}

// GPUs that are alike are spoken of together.
func TestReasonsOfManyGPUs(t *testing.T) {
	eight := []string{hopper, hopper, hopper, hopper, hopper, hopper, hopper, hopper}
	amd := node(t, "linux/amd64")
	for _, arch := range []string{"gfx90a", "gfx942", "gfx90a"} {
		amd.GPUs = append(amd.GPUs, facts.GPU{Vendor: "amd", Arch: arch})
	}
	testGPUCases(t, []gpuCase{
		{"eight", nvidiaNode(t, "550.54.15", eight...), []string{"linux/amd64:nv-compute-8-0", "linux/amd64"}, 1, 0, "built for GPUs of compute capability 8.0, GPUs 0 to 7 have 9.0"},
		{"two of three", nvidiaNode(t, "550.54.15", hopper, volta, hopper), []string{"linux/amd64:nv-compute-7-0", "linux/amd64"}, 1, 0, "GPUs 0, 2 have 9.0"},
		{"one", nvidiaNode(t, "550.54.15", hopper, volta), []string{"linux/amd64:nv-compute-9-0", "linux/amd64"}, 1, 0, "GPU 1 has 7.0"},
		{"of two kinds", nvidiaNode(t, "550.54.15", hopper, volta), []string{"linux/amd64:nv-compute-8-0", "linux/amd64"}, 1, 0, "GPU 0 has 9.0; built for GPUs of compute capability 8.0, GPU 1 has 7.0"},
		{"of AMD", amd, []string{"linux/amd64:amd-gfx1100", "linux/amd64"}, 1, 0, "GPUs 0, 2 are gfx90a; built for AMD GPUs (gfx1100), GPU 1 is gfx942"},
	})
}
