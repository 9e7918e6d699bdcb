package choice

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/nodes"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// nodeChoice is the entry of nodes/index.json that a recorded node gets, and a reason that must be
// given for another one.
type nodeChoice struct {
	chosen string
	why    string // of the choice, for the reader of the test
	other  string // an entry …
	reason string // … and part of what is said of it
}

var nodeChoices = map[string]nodeChoice{
	"zen5-kvm": {
		"linux/amd64:zen5", "a hypervisor hides pku and others that no compiler emits; family and model still tell",
		"linux/amd64/v4", "zen5 is exactly this CPU",
	},
	"k10":        {"linux/amd64", "it has sse4a, but no SSSE3: no level above v1", "linux/amd64/v2", "needs sse4_2"},
	"piledriver": {"linux/amd64/v2", "AVX and FMA, but no AVX2: v3 would crash", "linux/amd64/v3", "needs avx2"},
	"haswell":    {"linux/amd64:haswell", "the vendor's own target before the level it includes", "linux/amd64/v3", "fits, but haswell is exactly this CPU"},
	"haswell-infiniband-openmpi": {
		"linux/amd64/v3:mpi-openmpi-4-1:infiniband", "what names the node's fabric goes before what names its CPU; Open MPI 4.1.4 serves for 4.1",
		"linux/amd64:haswell", "fits, but",
	},
	"haswell-rack": {
		"linux/amd64/v3:rack_b", "the site's own word goes first; without InfiniBand the entry for it is refused in spite of Open MPI",
		"linux/amd64/v3:mpi-openmpi-4-1:infiniband", `needs "infiniband"`,
	},
	"skylake_avx512-opa": {"linux/amd64:skylake_avx512", "exactly this CPU, before v4", "linux/amd64/v4", "fits, but skylake_avx512 is exactly this CPU"},
	"zen4":               {"linux/amd64:zen4", "its demand stands in an annotation only", "linux/amd64:zen5", "needs"},
	"dgx-h100-535": {
		"linux/amd64/v3:nv-compute-8-0:nv-compute-9-0:nv-ptx-9-0:cuda-12-2", "a cubin for 9.0 before PTX for 8.0; the entry for 9.0a wants a newer driver",
		"linux/amd64/v3:nv-compute-9-0a:nvidia-570-86:cuda-12-8", "needs NVIDIA driver 570.86 or newer, the node has 535.161.08",
	},
	"a100-470": {
		"linux/amd64/v3:nv-compute-8-0:nv-ptx-8-0:cuda-11-4", "driver 470 reaches CUDA 11.4, not 12",
		"linux/amd64/v3:nv-compute-8-0:nv-compute-9-0:nv-ptx-9-0:cuda-12-2", "needs CUDA 12.2",
	},
	"a100-mig": {
		"linux/amd64/v3:nv-compute-8-0:nv-ptx-8-0:cuda-11-4", "a part of a GPU has the capability of the whole; two entries have code for just that, and the first counts",
		"linux/amd64/v3:nv-compute-8-0:nv-compute-9-0:nv-ptx-9-0:cuda-12-2", "earlier in the index",
	},
	"v100-535": {
		"linux/amd64/v3:nv-compute-7-0:nv-compute-9-0:nv-ptx-9-0:cuda-12-9", "a cubin for 7.0 serves; the PTX is for others, and driver 535 runs the cubins of all of CUDA 12",
		"linux/amd64/v3:mpi-openmpi-4-1:infiniband", "has code for the GPU of this node",
	},
	"l40s-535": {
		"linux/amd64/v3:nv-compute-8-9:cuda-13-1:cuda-compat", "a data-centre GPU, and driver 535 takes cuda-compat of CUDA 13.1",
		"linux/amd64/v3:nv-compute-8-9:cuda-13-1:cuda-compat", "its cuda-compat brings CUDA 13.1, which driver 535.161.08 lacks",
	},
	"rtx4090-535": {
		"linux/amd64/v3:nv-compute-8-0:nv-ptx-8-0:cuda-11-4", "cuda-compat does not work on a desktop GPU; code for 8.0 runs on 8.9",
		"linux/amd64/v3:nv-compute-8-9:cuda-13-1:cuda-compat", "its cuda-compat is for data-centre GPUs, and GPU 0 (NVIDIA GeForce RTX 4090) is none",
	},
	"mi300x": {
		"linux/amd64/v3:amd-gfx942", "code for just this GPU goes before generic code that runs on it as well",
		"linux/amd64/v3:amd-gfx9-4-generic", "nearer to the GPU",
	},
	"mi350x": {
		"linux/amd64/v3:amd-gfx9-4-generic", "LLVM's generic target covers gfx942 and gfx950",
		"linux/amd64/v3:amd-gfx942", "built for AMD GPUs (gfx942), GPUs 0 to 7 are gfx950",
	},
	"mi250x": {
		"linux/amd64/v3:amd-gfx90a", "code for the GPU goes before the host's MPI and before its CPU",
		"linux/amd64/v3:amd-gfx942", "built for AMD GPUs (gfx942), GPUs 0 to 7 are gfx90a",
	},
	"nvml-hangs": {
		"linux/amd64:skylake_avx512", "a driver that does not answer must not stop an image that needs no GPU; cascadelake descends from skylake_avx512",
		"linux/amd64/v3:nv-compute-8-0:nv-ptx-8-0:cuda-11-4", "GPU state unknown: asking hpc3-gpu about the GPUs: it did not answer within 5s",
	},
	"gpus-hidden": {
		"linux/amd64:skylake_avx512", "a job that asked for no GPU sees the driver and no device",
		"linux/amd64/v3:nv-compute-8-0:nv-ptx-8-0:cuda-11-4", "none is visible here, though the driver is loaded",
	},
	"a64fx":         {"linux/arm64:a64fx", "exactly this CPU; it does not descend from neoverse_n1", "linux/arm64:graviton2", "graviton2 (neoverse_n1)"},
	"thunderx2":     {"linux/arm64", "Armv8.1: neither 8.2 nor a Neoverse", "linux/arm64/v8.2", "v8.2 (armv8.2a)"},
	"graviton3-efa": {"linux/arm64:graviton3:efa", "exactly this CPU, with its fabric", "linux/arm64:grace", "grace (neoverse_v2)"},
	"grace":         {"linux/arm64:grace", "the alias of neoverse_v2; it descends from neoverse_n1, not from v1", "linux/arm64:graviton3:efa", "graviton3 (neoverse_v1)"},
	"grace-hopper": {
		"linux/arm64:grace:nv-compute-9-0:cuda-12-4", "code for the GPU, and a driver for CUDA 12.4",
		"linux/amd64/v3:nv-compute-8-0:nv-compute-9-0:nv-ptx-9-0:cuda-12-2", "built for amd64, the node is arm64",
	},
	"power9le":      {"linux/ppc64le/power9", "the variant is the target", "linux/ppc64le/power9:nv-compute-7-0:cuda-11-0", "none is visible here"},
	"power9le-v100": {"linux/ppc64le/power9:nv-compute-7-0:cuda-11-0", "driver 450.80.02 is that of CUDA 11.0", "linux/ppc64le", "fits, but"},
	"kunpeng920":    {"linux/arm64/v8.2", "it shows what v8.2 requires; of v8.3 it lacks lrcpc and the keys of pointers, of Neoverse N1 lrcpc", "linux/arm64/v8.4", "needs lrcpc, paca, pacg, flagm and 2 more of v8.4"},
	"phytium-d3000": {"linux/arm64:graviton2", "it shows all of Neoverse N1, whoever made it", "linux/arm64/v8.4", "fits, but graviton2"},
	"oryon":         {"linux/arm64:graviton2", "a CPU that archspec does not know; it has no SVE", "linux/arm64:cobalt100", "needs sve2"},
	"vera":          {"linux/arm64:neoverse_v3", "Olympus shows all of Neoverse V3, with vectors of the same length", "linux/arm64:a64fx", "needs a64fx, whose SVE vectors have 512 bits, this CPU's 128"},
	"axion-c4a":     {"linux/arm64:grace", "the same core under another name", "linux/arm64:cobalt100", "fits, but grace is exactly this CPU"},
	"cobalt100":     {"linux/arm64:cobalt100", "Neoverse N2 under Microsoft's number", "linux/arm64:grace", "fits, but cobalt100 is exactly this CPU"},
	"grace-128":     {"linux/arm64:grace", "as grace, with the length of its vectors", "linux/arm64:cobalt100", "fits, but grace is exactly this CPU (line 12 < 19)"},
	"graviton3-256": {"linux/arm64:graviton2", "without EFA its own entry is refused; it descends from Neoverse N1", "linux/arm64:cobalt100", "needs sve2"},
	"alderlake-avx512": {
		"linux/amd64:skylake_avx512", "with AVX-512 it is an icelake for archspec, and wider vectors go first",
		"linux/amd64:alderlake", "fits, but skylake_avx512 has AVX-512, alderlake only AVX2",
	},
	"graniterapids": {"linux/amd64:graniterapids:mpi-mpich", "the kernel prints no amx_fp16; libmpi.so.12 is Cray's, from lib-abi-mpich", "linux/amd64:alderlake", "fits, but"},
	"sierraforest":  {"linux/amd64:sierraforest", "the kernel prints none of what it adds to alderlake", "linux/amd64/v4", "needs avx512f"},
	"hygon-7285":    {"linux/amd64:dhyana", "of the CPU's own vendor; archspec names none of its cores", "linux/amd64:zen3", "needs vaes"},
	"sg2044":        {"linux/riscv64:c920", "the core of SG2042 with newer vectors", "linux/riscv64:x60", "built for SpacemiT's x60"},
	"z16":           {"linux/s390x:z15", "the generation before it", "linux/s390x", "fits, but z15 is nearer"},
	"x60":           {"linux/riscv64:x60", "exactly this CPU", "linux/riscv64", "fits, but x60 is exactly this CPU"},
}

// TestRecordedNodes chooses for every recorded node from one index.
func TestRecordedNodes(t *testing.T) {
	files, err := filepath.Glob("../nodes/*.json")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".json"); name != "index" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if want := slices.Sorted(maps.Keys(nodeChoices)); !slices.Equal(names, want) {
		t.Errorf("nodes holds %q, the table %q", names, want)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) { nodeChoices[name].test(t, filepath.Join("../nodes", name+".json")) })
	}
}

func (c nodeChoice) test(t *testing.T, file string) {
	told := explainIndex(t, "../nodes/index.json", "--node", file)
	if told.Chosen == nil || told.Chosen.Platform != c.chosen {
		t.Errorf("chosen %+v, want %s: %s", told.Chosen, c.chosen, c.why)
	}
	said := false
	for _, entry := range told.Entries {
		if entry.Platform == c.other {
			said = strings.Contains(strings.Join(entry.Reasons, "; "), c.reason)
			if !said {
				t.Errorf("of %s it says %q, want %q", c.other, entry.Reasons, c.reason)
			}
		}
		if (entry.Platform == "linux/386" || entry.Platform == "unknown/unknown") && entry.Fits {
			t.Errorf("%s fits: %q", entry.Platform, entry.Reasons)
		}
	}
	if !said {
		t.Errorf("%q is not said of %s", c.reason, c.other)
	}
}

// A recorded node is just what hpc3 probe prints, and does not tell whose it is.
func TestRecordedNodesAreNodeFiles(t *testing.T) {
	for name := range nodeChoices {
		raw := lab.Read(t, "../nodes/"+name+".json")
		n, err := nodes.Read(name, strings.NewReader(raw))
		if err != nil {
			t.Error(err)
			continue
		}
		again, err := json.MarshalIndent(n, "", "  ")
		if diff := cmp.Diff(raw, string(again)+"\n"); err != nil || diff != "" {
			t.Errorf("%s is not as hpc3 probe writes it: %v (-is +want):\n%s", name, err, diff)
		}
		if n.Hostname != "" || n.Kernel == "" || !slices.IsSorted(n.CPU.Features) {
			t.Errorf("%s: hostname %q, kernel %q, features %q", name, n.Hostname, n.Kernel, n.CPU.Features)
		}
	}
}
