package match

import (
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/probe/facts"
)

func TestRequire(t *testing.T) {
	h100 := facts.Node{OS: "linux", Arch: "amd64", NVIDIA: &facts.NVIDIA{Driver: "535.104.12", CUDA: "12.2"}, GPUs: []facts.GPU{{Vendor: "nvidia", Name: "NVIDIA H100 80GB HBM3", Arch: "9.0"}}}
	mixed := h100
	mixed.GPUs = []facts.GPU{{Vendor: "nvidia", Name: "NVIDIA GeForce RTX 3090", Arch: "8.6"}, {Vendor: "nvidia", Name: "NVIDIA GeForce RTX 2080", Arch: "7.5"}}
	old := facts.Node{NVIDIA: &facts.NVIDIA{Driver: "470.82.01"}}
	none := facts.Node{OS: "linux", Arch: "amd64"}
	hangs := facts.Node{Unknown: []facts.Unknown{{What: "gpus", Why: "hpc3-gpu did not answer"}}}
	for _, tt := range []struct {
		name string
		node facts.Node
		env  []string
		want string // in the sentence; "" = it fits
	}{
		{"nothing", h100, []string{"PATH=/bin"}, ""},
		{"enough", h100, []string{"NVIDIA_REQUIRE_CUDA=cuda>=12.2"}, ""},
		{"too new", h100, []string{"NVIDIA_REQUIRE_CUDA=cuda>=12.4"}, "by NVIDIA_REQUIRE_CUDA: cuda>=12.4 (cuda=12.2)"},
		{"an alternative of driver and brand", h100, []string{"NVIDIA_REQUIRE_CUDA=cuda>=12.4 brand=tesla,driver>=470,driver<471 brand=tesla,driver>=535,driver<536"}, ""},
		{"newer drivers say nvidia", h100, []string{"NVIDIA_REQUIRE_CUDA=cuda>=12.4 brand=nvidia,driver>=535,driver<536"}, ""},
		{"another brand", mixed, []string{"NVIDIA_REQUIRE_CUDA=cuda>=12.4 brand=tesla,driver>=535,driver<536"}, "cuda>=12.4 (cuda=12.2), brand=tesla (brand=geforce)"},
		{"not that brand", mixed, []string{"NVIDIA_REQUIRE_X=brand!=tesla"}, ""},
		{"the lowest capability counts", mixed, []string{"NVIDIA_REQUIRE_ARCH=arch>=8.0"}, "arch>=8.0 (arch=7.5)"},
		{"all variables hold", h100, []string{"NVIDIA_REQUIRE_CUDA=cuda>=12.0", "NVIDIA_REQUIRE_DRIVER=driver>=550"}, "NVIDIA_REQUIRE_DRIVER: driver>=550 (driver=535.104.12)"},
		{"each operator", h100, []string{"NVIDIA_REQUIRE_A=cuda=12.2,cuda!=12.3,cuda<=12.2,cuda<12.3,cuda>12.1"}, ""},
		{"numbers, not text", h100, []string{"NVIDIA_REQUIRE_A=driver>=535.54.3"}, ""},
		{"unknown property", h100, []string{"NVIDIA_REQUIRE_A=colour=blue"}, ""},
		{"blank", h100, []string{"NVIDIA_REQUIRE_A= "}, ""},
		{"no operator", h100, []string{"NVIDIA_REQUIRE_A=cuda"}, `"cuda" is no condition`},
		{"no version", h100, []string{"NVIDIA_REQUIRE_A=cuda>=new"}, `"new" is no version`},
		{"switched off", h100, []string{"NVIDIA_REQUIRE_CUDA=cuda>=99", "NVIDIA_DISABLE_REQUIRE=true"}, ""},
		{"not switched off", h100, []string{"NVIDIA_REQUIRE_CUDA=cuda>=99", "NVIDIA_DISABLE_REQUIRE=no"}, "cuda>=99"},
		{"jetpack is another matter", h100, []string{"NVIDIA_REQUIRE_JETPACK=jetpack>=5"}, ""},
		{"legacy image", h100, []string{"CUDA_VERSION=12.3.107"}, "cuda>=12.3 (cuda=12.2)"},
		{"legacy image with a requirement of its own", h100, []string{"CUDA_VERSION=12.3.107", "NVIDIA_REQUIRE_CUDA=cuda>=12.0"}, ""},
		{"CUDA of the driver's branch", old, []string{"NVIDIA_REQUIRE_CUDA=cuda>=11.4"}, ""},
		{"CUDA of the driver's branch, too old", old, []string{"NVIDIA_REQUIRE_CUDA=cuda>=11.5"}, "(cuda=11.4)"},
		{"no driver, nothing to require", none, []string{"NVIDIA_REQUIRE_CUDA=cuda>=12.4"}, ""},
		{"a driver that cannot be asked", hangs, []string{"NVIDIA_REQUIRE_CUDA=cuda>=12.4"}, "(cuda=unknown)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			unmet, note := require(&tt.node, requirements(tt.env), bringsNone)
			got := unmet.reason
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("require(%q) = %q, want %q", tt.env, got, tt.want)
			}
			if (note != "") != (tt.name == "no driver, nothing to require") {
				t.Errorf("require(%q) notes %q", tt.env, note)
			}
		})
	}
}

// bringsNone is an image without cuda-compat.
func bringsNone(version, bool) bool { return false }

func FuzzRequire(f *testing.F) {
	f.Add("cuda>=12.4 brand=tesla,driver>=470,driver<471")
	f.Add("arch!=7.5,,cuda")
	n := facts.Node{NVIDIA: &facts.NVIDIA{Driver: "535.104.12", CUDA: "12.2"}, GPUs: []facts.GPU{{Vendor: "nvidia", Arch: "9.0"}}}
	f.Fuzz(func(t *testing.T, value string) {
		got, _ := require(&n, requirements([]string{"NVIDIA_REQUIRE_A=" + value, "NVIDIA_REQUIRE_B=" + value}), bringsNone)
		again, _ := require(&n, requirements([]string{"NVIDIA_REQUIRE_B=" + value, "NVIDIA_REQUIRE_A=" + value}), bringsNone)
		if got != again {
			t.Errorf("the order of variables counts for %q: %+v, %+v", value, got, again)
		}
		if off, _ := require(&n, requirements([]string{"NVIDIA_REQUIRE_A=" + value, "NVIDIA_DISABLE_REQUIRE=1"}), bringsNone); off.reason != "" {
			t.Errorf("%q is required though it is switched off: %s", value, off.reason)
		}
	})
}

func TestContradictions(t *testing.T) {
	const microarch, optimized = "org.supercontainers.hardware.cpu.target.microarch", "org.supercontainers.hardware.cpu.optimized.version"
	for _, tt := range []struct {
		name               string
		annotations, label map[string]string
		want               int
	}{
		{"equal", map[string]string{microarch: "zen3"}, map[string]string{microarch: "ZEN3 "}, 0},
		{"another spelling of the key", map[string]string{microarch: "zen3"}, map[string]string{optimized: "zen3"}, 0},
		{"another name of the target", map[string]string{microarch: "znver3"}, map[string]string{microarch: "milan"}, 0},
		{"another target", map[string]string{microarch: "zen3"}, map[string]string{optimized: "zen4"}, 1},
		{"only one says it", map[string]string{microarch: "zen3"}, map[string]string{"org.supercontainers.glibc.version": "2.36"}, 0},
		{"unknown is no word", map[string]string{microarch: "zen3"}, map[string]string{microarch: "unknown"}, 0},
		{"an architecture is no target", map[string]string{microarch: "zen3"}, map[string]string{"io.archspec.cpu.target": "amd64"}, 0},
		{"versions by number", map[string]string{"org.supercontainers.glibc.version": "2.36"}, map[string]string{"org.supercontainers.glibc": "2.36.0"}, 0},
		{"other version", map[string]string{"org.supercontainers.mpi.version": "4.1"}, map[string]string{"org.supercontainers.openmpi.version": "4.10"}, 1},
		{"a stack is a yes", map[string]string{"org.supercontainers.hardware.gpu.available": "yes"}, map[string]string{"org.supercontainers.gpu": "cuda"}, 0},
		{"another stack", map[string]string{"org.supercontainers.gpu": "rocm"}, map[string]string{"org.supercontainers.gpu": "cuda"}, 1},
		{"a stack is no no", map[string]string{"org.supercontainers.hardware.gpu.available": "no"}, map[string]string{"org.supercontainers.gpu": "cuda"}, 1},
		{"words in another order", map[string]string{oci.AnnotationFeatures: "zen3, cluster_1"}, map[string]string{oci.AnnotationFeatures: "cluster_1,zen3"}, 0},
		{"other words", map[string]string{oci.AnnotationFeatures: "zen3"}, map[string]string{oci.AnnotationFeatures: "zen3,cluster_1"}, 1},
		{"two", map[string]string{microarch: "zen3", "org.supercontainers.mpi": "mpich"}, map[string]string{microarch: "zen2", "org.supercontainers.mpi": "openmpi"}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Contradictions(oci.Entry{Descriptor: oci.Descriptor{Annotations: tt.annotations}}, oci.Config{Labels: tt.label})
			if len(got) != tt.want {
				t.Errorf("Contradictions() = %q, want %d", got, tt.want)
			}
		})
	}
}
