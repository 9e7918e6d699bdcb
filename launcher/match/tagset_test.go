package match

import (
	"slices"
	"strings"
	"testing"
)

// Tags of schemes that are in use, by their publishers' lists: which are variants of what a user
// names, and of what they are.
func TestPublishedTags(t *testing.T) {
	for _, tt := range []struct {
		name, repository, base string
		tags                   []string
		want                   []string // "TAG: TOKENS", in order
	}{
		{
			name: "CP2K", repository: "docker.io/cp2k/cp2k", base: "2025.2",
			tags: []string{"2025.2", "2025.2_mpich_x86_64_psmp", "2025.2_openmpi_cascadelake_psmp", "2025.2_openmpi_x86_64_cuda_P100_psmp", "2025.2_mpich_x86_64_pdbg", "2024.3_openmpi_generic_psmp", "master20250115_mpich_x86_64_psmp"},
			want: []string{"2025.2_mpich_x86_64_psmp: x86_64", "2025.2_openmpi_cascadelake_psmp: cascadelake", "2025.2_openmpi_x86_64_cuda_P100_psmp: x86_64 cuda p100"},
		},
		{
			name: "CP2K, with its MPI", repository: "docker.io/cp2k/cp2k", base: "2025.2_openmpi_psmp",
			tags: []string{"2025.2_mpich_x86_64_psmp", "2025.2_openmpi_cascadelake_psmp", "2025.2_openmpi_skylake-avx512_psmp", "2025.2_openmpi_psmp"},
			want: []string{"2025.2_openmpi_cascadelake_psmp: cascadelake", "2025.2_openmpi_skylake-avx512_psmp: skylake-avx512"},
		},
		{
			name: "LAMMPS", repository: "docker.io/lammps/lammps", base: "stable_29Aug2024",
			tags: []string{"stable_29Aug2024_ubuntu22.04_openmpi_py3", "stable_29Aug2024_rockylinux8_openmpi_py3", "stable_29Aug2024_ubuntu22.04_openmpi_py3_sm80", "stable_29Aug2024-kokkos-sm90", "stable_29Aug2024_update1_ubuntu22.04_sm80"},
			want: []string{"stable_29Aug2024_ubuntu22.04_openmpi_py3_sm80: sm80"},
		},
		{
			name: "rocm/vllm", repository: "docker.io/rocm/vllm", base: "0.6.6",
			tags: []string{"rocm6.3.1_mi300_ubuntu22.04_py3.12_vllm_0.6.6", "rocm6.2_mi300_ubuntu20.04_py3.9_vllm_0.6.4", "rocm6.3.1_vllm_0.8.5_20250521"},
			want: []string{"rocm6.3.1_mi300_ubuntu22.04_py3.12_vllm_0.6.6: rocm6.3.1 mi300"},
		},
		{
			name: "text-generation-inference", repository: "ghcr.io/huggingface/text-generation-inference", base: "3.3.4",
			tags: []string{"3.3.4-rocm", "3.3.4-intel-xpu", "3.3.4-intel-cpu", "3.3.4-gaudi", "3.3.4", "sha-1a2b3c4"},
			want: []string{"3.3.4-rocm: rocm"},
		},
		{
			name: "text-embeddings-inference", repository: "ghcr.io/huggingface/text-embeddings-inference", base: "1.7",
			tags: []string{"cpu-1.7", "turing-1.7", "1.7", "86-1.7", "89-1.7", "hopper-1.7", "hopper-1.6"},
			want: []string{"cpu-1.7: generic", "hopper-1.7: nv-compute-9-0", "turing-1.7: nv-compute-7-5"},
		},
		{
			name: "AWS Deep Learning Containers", repository: "763104351884.dkr.ecr.us-west-2.amazonaws.com/pytorch-training", base: "2.9.0",
			tags: []string{"2.9.0-gpu-py312-cu130-ubuntu22.04", "2.9.0-cpu-py312-ubuntu22.04", "2.9.0-gpu-py312", "2.9.0-gpu-py312-cu130-ubuntu22.04-ec2-v1", "2.14.1-cpu-py310-ubuntu20.04-sagemaker"},
			want: []string{"2.9.0-cpu-py312-ubuntu22.04: generic", "2.9.0-gpu-py312-cu130-ubuntu22.04: cu130 cuda"},
		},
		{
			name: "nvidia/cuda", repository: "docker.io/nvidia/cuda", base: "12.4.1",
			tags: []string{"12.4.1-cudnn-devel-ubuntu22.04", "12.4.1-runtime-ubuntu22.04"},
			want: nil,
		},
		{
			name: "E4S", repository: "docker.io/ecpe4s/e4s-cuda", base: "24.11",
			tags: []string{"24.11-cuda80-x86_64", "24.11-x86_64-sm90", "24.11-aarch64-sm90", "24.11-ppc64le", "24.11-rocm90a"},
			want: []string{"24.11-aarch64-sm90: aarch64 sm90", "24.11-ppc64le: ppc64le", "24.11-x86_64-sm90: x86_64 sm90"},
		},
		{
			name: "hermes", repository: "docker.io/ethpandaops/hermes", base: "0.0.9",
			tags: []string{"latest", "0.0.9", "latest-arm64v8", "0.0.9-arm64v8", "latest-amd64", "0.0.9-amd64", "0.0.8-amd64"},
			want: []string{"0.0.9-amd64: x86_64", "0.0.9-arm64v8: arm64v8"},
		},
		{
			name: "SGLang for ROCm", repository: "docker.io/rocm/sgl-dev", base: "v0.5.5",
			tags: []string{"v0.5.5-rocm700-mi30x", "v0.5.5-rocm700-mi35x", "v0.5.5-rocm700-mi30x-20251107"},
			want: []string{"v0.5.5-rocm700-mi30x: rocm700 mi30x", "v0.5.5-rocm700-mi35x: rocm700 mi35x"},
		},
		{
			name: "a system apart from its number", repository: "docker.io/rocm/7.0", base: "v1",
			tags: []string{"rocm7.0_ubuntu_22.04_v1", "cu13-x86-v1", "cu13-aarch64-v1"},
			want: []string{"cu13-aarch64-v1: cu13 aarch64 cuda", "cu13-x86-v1: cu13 x86_64 cuda", "rocm7.0_ubuntu_22.04_v1: rocm7.0"},
		},
		{
			name: "architectures", repository: "localhost:5000/app", base: "1.0",
			tags: []string{"1.0_amd64", "1.0_arm64", "1.0-arm64v8", "arm64-1.0", "1.0.amd64"},
			want: []string{"1.0-arm64v8: arm64v8", "1.0.amd64: x86_64", "1.0_amd64: x86_64", "1.0_arm64: aarch64", "arm64-1.0: aarch64"},
		},
		{
			name: "prefixes and dots", repository: "localhost:5000/app", base: "2021.5",
			tags: []string{"zen3-2021.5", "2021.5.zen3", "2021.5-icelake-server", "cuda12.4-2021.5", "2021.5.1_zen3", "12021.5_zen3", "2021.5_zen3-cluster_1", "2021.5_debug-zen3", "v3.2021.5", "2021.5-sse4.1"},
			want: []string{"2021.5-icelake-server: icelake-server", "2021.5-sse4.1: sse4.1", "2021.5.zen3: zen3", "2021.5_zen3-cluster_1: zen3 cluster_1", "cuda12.4-2021.5: cuda12.4 cuda", "zen3-2021.5: zen3"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			variants, others := Tags{Repository: tt.repository, Labels: []string{"cluster_1"}}.Of(tt.base, tt.tags)
			var got []string
			for _, v := range variants {
				got = append(got, v.Tag+": "+strings.Join(v.Tokens, " "))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("variants of %s\n got %q\nwant %q\nothers %q", tt.base, got, tt.want, others)
			}
			for _, o := range others {
				if o.Reason == "" || !slices.Contains(tt.tags, o.Tag) {
					t.Errorf("no reason: %+v", o)
				}
			}
		})
	}
}

// What may be the name of a release as well counts only if another tag of the same base shows that
// it is none.
func TestTwofoldTags(t *testing.T) {
	for _, tt := range []struct {
		tags []string
		want []string
	}{
		{[]string{"5.0_milan"}, nil},
		{[]string{"5.0_milan", "5.0_debug", "5.1_zen2"}, nil},
		{[]string{"5.0_milan", "5.0_sm90"}, []string{"5.0_sm90"}},
		{[]string{"5.0_milan", "5.0_zen2"}, []string{"5.0_milan", "5.0_zen2"}},
		{[]string{"5.0_milan", "5.0_rome"}, []string{"5.0_milan", "5.0_rome"}},
		{[]string{"5.0_v3"}, []string{"5.0_v3"}},
		{[]string{"5.0-v1", "5.0-v2"}, nil},
		{[]string{"5.0-v3", "5.0-zen3"}, []string{"5.0-v3", "5.0-zen3"}},
		{[]string{"5.0-a10"}, nil},
		{[]string{"5.0-a10", "5.0-h100"}, []string{"5.0-a10", "5.0-h100"}},
		{[]string{"5.0-nano", "5.0-aes"}, nil},
		{[]string{"5.0-m1"}, nil},
	} {
		variants, others := Tags{Repository: "docker.io/x/app"}.Of("5.0", tt.tags)
		var got []string
		for _, v := range variants {
			got = append(got, v.Tag)
		}
		if !slices.Equal(got, tt.want) || len(others) > len(tt.tags) {
			t.Errorf("%q: variants %q, want %q; others %q", tt.tags, got, tt.want, others)
		}
	}
}

// A pattern of the site or of the author says what stands where.
func TestTagPatterns(t *testing.T) {
	for _, tt := range []struct {
		pattern, base string
		tags          map[string]string // the tokens of each; "" for no variant
	}{
		{"{version}-{gpu}", "1.7", map[string]string{"1.7-86": "nv-compute-8-6", "1.7-hopper": "nv-compute-9-0", "1.7-sm_90": "sm_90", "1.7-zen3": "", "1.7_h100": "", "1.70-h100": "", "1.7-cpu": "generic"}},
		{"{gpu}-{version}", "1.7", map[string]string{"turing-1.7": "nv-compute-7-5", "89-1.7": "nv-compute-8-9", "1.7": "", "cpu-1.7": "generic"}},
		{"{version}-{cpu}-{gpu}", "5", map[string]string{"5-skylake-avx512-h100": "skylake-avx512 h100", "5-milan-a100": "milan a100", "5-h100": ""}},
		{"{version}-cuda{gpu}-{cpu}", "24.11", map[string]string{"24.11-cuda80-x86_64": "nv-compute-8-0 x86_64", "24.11-cuda90-aarch64": "nv-compute-9-0 aarch64", "24.11-cuda90a-aarch64": ""}},
		{"{version}-rocm{gpu}", "24.11", map[string]string{"24.11-rocm942": "amd-gfx942", "24.11-rocm90a": ""}},
		{"{any}-{version}_{cpu}", "2", map[string]string{"nightly-2_milan": "milan", "2_milan": ""}},
		{"v{version}.{word}", "2", map[string]string{"v2.cluster_1": "cluster_1", "v2.efa": "", "2.zen3": ""}},
	} {
		p, err := ParseTagPattern(tt.pattern)
		if err != nil || p.String() != tt.pattern {
			t.Fatalf("ParseTagPattern(%q) = %v, %v", tt.pattern, p, err)
		}
		for tag, want := range tt.tags {
			variants, others := Tags{Repository: "x/app", Labels: []string{"cluster_1"}, Patterns: []TagPattern{p}}.Of(tt.base, []string{tag})
			got := ""
			if len(variants) == 1 {
				got = strings.Join(variants[0].Tokens, " ")
			}
			if got != want && tag != tt.base || len(variants)+len(others) != 1 && tag != tt.base {
				t.Errorf("%s by %s: %q, want %q", tag, tt.pattern, got, want)
			}
		}
	}
	for _, wrong := range []string{"", "{version}", "{gpu}", "{version}-{foo}", "{version}{version}-{gpu}", "{version}-{gpu", "{version}/{gpu}", "{version} {gpu}", strings.Repeat("x", 300)} {
		if p, err := ParseTagPattern(wrong); err == nil {
			t.Errorf("ParseTagPattern(%.40q) = %v", wrong, p)
		}
	}
}

func FuzzTags(f *testing.F) {
	f.Add("2021.5", "2021.5_zen3-ubuntu22.04", "{version}_{word}-{any}")
	f.Fuzz(func(t *testing.T, base, tag, pattern string) {
		set := Tags{Repository: "x/app"}
		if p, err := ParseTagPattern(pattern); err == nil {
			again, err := ParseTagPattern(p.String())
			if err != nil || again.String() != p.String() {
				t.Errorf("%q reads back as %v, %v", pattern, again, err)
			}
			set.Patterns = []TagPattern{p}
		}
		variants, others := set.Of(base, []string{tag})
		if len(variants)+len(others) > 1 {
			t.Errorf("%q of %q: %v, %v", tag, base, variants, others)
		}
	})
}

func TestMayBeVariant(t *testing.T) {
	for tag, want := range map[string]bool{
		"2021.5": true, "2021.5_zen3": true, "zen3-2021.5": true, "2021.5.zen3": true, "2021.50_zen3": false, "2021.5.1": false, "12021.5": false, "x.2021.5": false, "v2021.5": true, "v2021.5.1": false, "": false,
	} {
		if got := MayBeVariant(tag, "2021.5"); got != want {
			t.Errorf("MayBeVariant(%q, 2021.5) = %v, want %v", tag, got, want)
		}
	}
	if !MayBeVariant("2025.2_openmpi_cascadelake_psmp", "2025.2_openmpi_psmp") {
		t.Error("words between are none")
	}
}

// A word of a tag that nobody knows is named with the one that was probably meant.
func TestMisspeltTag(t *testing.T) {
	_, others := Tags{Repository: "x/app"}.Of("1", []string{"1_zenn3"})
	const want = `"zenn3" is no word that is known here, and probably misspelt for "zen3": an image of its own`
	if len(others) != 1 || others[0].Reason != want {
		t.Errorf("%q, want %q", others, want)
	}
}

func BenchmarkTags(b *testing.B) {
	var tags []string
	for i := range 10000 {
		tags = append(tags, "2021."+strings.Repeat("5", 1+i%3)+[]string{"_zen3", "-ubuntu22.04-sm_90", "_debug"}[i%3]+strings.Repeat("x", i/5000))
	}
	set := Tags{Repository: "docker.io/x/app"}
	for b.Loop() {
		set.Of("2021.5", tags)
	}
}
