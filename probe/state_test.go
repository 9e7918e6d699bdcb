//go:build amd64

package probe

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hpc3-project/hpc3/probe/facts"
	"github.com/klauspost/cpuid/v2"
)

const everyState = 1<<0 | 1<<1 | 1<<2 | 1<<5 | 1<<6 | 1<<7 | 1<<9 | 1<<17 | 1<<18 | 1<<19

// cpuOf returns what the cpuid package, our own bits and /proc/cpuinfo say of a CPU like a target.
func cpuOf(t *testing.T, like string, family, model int) (*cpuid.CPUInfo, []string, cpuinfo) {
	t.Helper()
	p := cpuLike(t, like, family, model, 1)
	c := &cpuid.CPUInfo{VendorString: p.vendor, Family: family, Model: model, Stepping: 1}
	for _, f := range cpuidFeatures() {
		if p.features.has(f.name) {
			c.Enable(f.id)
		}
	}
	ours := []string{}
	for _, b := range cpuidBits() {
		if p.features.has(b.name) {
			ours = append(ours, b.name)
		}
	}
	if p.features.has("avx10_2") {
		ours = append(ours, "avx10_2")
	}
	return c, ours, parseCPUInfo(cpuinfoOf(p, nil))
}

// A feature counts only if the kernel saves what it uses.
func TestStateThatTheKernelSaves(t *testing.T) {
	for _, c := range []struct {
		name, like    string
		family, model int
		without       uint64
		want          string
		gone          string // a feature that must not be shown
	}{
		{"all saved", "sapphirerapids", 6, 0x8f, 0, "sapphirerapids", ""},
		{"a kernel before tiles", "sapphirerapids", 6, 0x8f, 1<<17 | 1<<18, "icelake", "amx_tile"},
		{"no tile data", "sapphirerapids", 6, 0x8f, 1 << 18, "icelake", "amx_int8"},
		{"a kernel before tiles, Granite Rapids", "graniterapids", 6, 0xad, 1<<17 | 1<<18, "icelake", "amx_fp16"},
		{"no masks of AVX-512", "icelake", 6, 0x6a, 1 << 5, "skylake", "avx512f"},
		{"tiles without AVX-512", "sapphirerapids", 6, 0x8f, 1<<5 | 1<<6 | 1<<7, "skylake", "avx512_bf16"},
		{"no AVX", "haswell", 6, 0x3f, 1 << 2, "westmere", "fma"},
		{"no AVX, AMD", "bulldozer", 21, 1, 1 << 2, "x86_64_v2", "xop"},
		{"all of Diamond Rapids", "diamondrapids", 19, 1, 0, "diamondrapids", ""},
		{"no more registers", "diamondrapids", 19, 1, 1 << 19, "graniterapids", "apx_f"},
		{"no AVX10", "diamondrapids", 19, 1, 1 << 7, "arrowlake_s", "avx10_2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			described, ours, info := cpuOf(t, c.like, c.family, c.model)
			got := cpuFromCPUID(described, own{ours, everyState &^ c.without}, "x86_64", info)
			if got.Target != c.want || got.Emulated || slices.Contains(got.Features, c.gone) {
				t.Errorf("target %s, emulated %v, %s shown %v; want %s: %q", got.Target, got.Emulated, c.gone, slices.Contains(got.Features, c.gone), c.want, got.Features)
			}
		})
	}
}

func TestOwnBits(t *testing.T) {
	answers := map[[2]uint32][4]uint32{
		{0, 0}: {0x24}, {7, 0}: {1, 0, 0, 1<<22 | 1<<24 | 1<<25}, {7, 1}: {1<<0 | 1<<21, 0, 0, 1<<8 | 1<<19 | 1<<21}, {0x1e, 1}: {1 << 4, 0, 0, 0}, {0x24, 0}: {0, 2, 0, 0},
	}
	ask := cpuidAnswers(func(leaf, sub uint32) [4]uint32 { return answers[[2]uint32{leaf, sub}] })
	want := []string{"amx_bf16", "amx_complex", "amx_fp16", "amx_fp8", "amx_int8", "amx_tile", "apx_f", "sha512", "avx10_2"}
	if diff := cmp.Diff(want, ask.features()); diff != "" {
		t.Errorf("features() (-want +got):\n%s", diff)
	}
	answers[[2]uint32{7, 0}] = [4]uint32{} // no further parts of leaf 7
	delete(answers, [2]uint32{0x1e, 1})
	if got := ask.features(); len(got) > 0 {
		t.Errorf("without parts of leaf 7: %q", got)
	}
}

// On this machine, what needs state is shown just if the kernel prints it, unless it has no name
// for it.
func TestStateAgreesWithCPUInfo(t *testing.T) {
	raw, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Skip(err)
	}
	info := parseCPUInfo(string(raw))
	told := info.processor("x86_64")
	cpu := cpuFromCPUID(&cpuid.CPU, thisCPU(), "x86_64", cpuinfo{})
	if again := cpuFromCPUID(&cpuid.CPU, thisCPU(), "x86_64", info); again.Emulated {
		t.Skip("/proc/cpuinfo is another machine's")
	}
	silent := silentFeatures("x86_64", told.features)
	tried := 0
	for _, f := range facts.Later() {
		target, _ := facts.LookupTarget(f)
		for _, feature := range target.Features {
			if target.Root() != "x86_64" || stateOf(feature) == 0 || silent.has(feature) {
				continue
			}
			tried++
			if ours := slices.Contains(cpu.Features, feature); ours != told.features.has(feature) {
				t.Errorf("%s: by CPUID and XCR0 %v, by the kernel %v", feature, ours, !ours)
			}
		}
	}
	if tried == 0 || strings.TrimSpace(string(raw)) == "" {
		t.Error("nothing was compared")
	}
}
