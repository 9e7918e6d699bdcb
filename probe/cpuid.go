package probe

import (
	"maps"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/probe/facts"
	"github.com/klauspost/cpuid/v2"
)

// own is what the CPU on which this runs says beyond the cpuid package.
type own struct {
	features []string
	xcr0     uint64 // the state that the kernel saves
}

func thisCPU() own { return own{cpuidAnswers(cpuidRegisters).features(), ownState()} }

// cpuFromCPUID reads the CPU by its CPUID instruction. A feature whose state the kernel does not
// save does not count. /proc/cpuinfo adds the features that the cpuid package has no constant for,
// unless it describes another machine: qemu-user shows its host's.
func cpuFromCPUID(c *cpuid.CPUInfo, this own, family string, info cpuinfo) facts.CPU {
	p := processor{
		family: family, vendor: c.VendorString, features: set{},
		number: c.Family, model: c.Model, stepping: c.Stepping,
	}
	for _, f := range cpuidFeatures() {
		if c.Has(f.id) && saves(this.xcr0, f.name) {
			p.features[f.name] = struct{}{}
		}
	}
	for _, f := range this.features {
		if saves(this.xcr0, f) {
			p.features[f] = struct{}{}
		}
	}
	p.features.addImplied()
	told := info.processor(family)
	emulated := len(info.values) > 0 && !p.isDescribed(told, c.HypervisorVendorString)
	name := strings.TrimSpace(c.BrandName)
	if !emulated {
		for _, f := range cpuidLacks() {
			if told.features.has(f) {
				p.features[f] = struct{}{}
			}
		}
		if n := info.name(); n != "" {
			name = n
		}
	}
	f := p.find()
	if !emulated {
		// For display; the rule has seen every feature that counts.
		unusable := func(f string, _ struct{}) bool { return !saves(this.xcr0, f) }
		maps.DeleteFunc(told.features, unusable)
		maps.Copy(p.features, told.features)
	}
	cpu := p.cpu(name, f)
	cpu.Emulated = emulated
	return cpu
}

// isDescribed reports whether /proc/cpuinfo, as told, describes the CPU that CPUID names. Under TCG
// a CPU may have the numbers of the host's; then a feature that only the host has reveals it, since
// a kernel never shows more than the CPU has.
func (p processor) isDescribed(told processor, hypervisor string) bool {
	if p.vendor != told.vendor || p.number != told.number || p.model != told.model {
		return false
	}
	if hypervisor != "TCGTCGTCGTCG" {
		return true
	}
	return !slices.ContainsFunc(cpuidFeatures(), func(f cpuidFeature) bool {
		return told.features.has(f.name) && !p.features.has(f.name)
	})
}

// cpuidFeature is a feature in the spelling of /proc/cpuinfo and of the cpuid package.
type cpuidFeature struct {
	name string
	id   cpuid.FeatureID
}

// cpuidFeatures returns the features that targets list and the cpuid package detects.
func cpuidFeatures() []cpuidFeature {
	return []cpuidFeature{
		{"3dnow", cpuid.AMD3DNOW},
		{"3dnowext", cpuid.AMD3DNOWEXT},
		{"abm", cpuid.LZCNT},
		{"adx", cpuid.ADX},
		{"aes", cpuid.AESNI},
		{"avx", cpuid.AVX},
		{"avx2", cpuid.AVX2},
		{"avx512_bf16", cpuid.AVX512BF16},
		{"avx512_bitalg", cpuid.AVX512BITALG},
		{"avx512_vbmi2", cpuid.AVX512VBMI2},
		{"avx512_vnni", cpuid.AVX512VNNI},
		{"avx512_vp2intersect", cpuid.AVX512VP2INTERSECT},
		{"avx512_vpopcntdq", cpuid.AVX512VPOPCNTDQ},
		{"avx512bw", cpuid.AVX512BW},
		{"avx512cd", cpuid.AVX512CD},
		{"avx512dq", cpuid.AVX512DQ},
		{"avx512er", cpuid.AVX512ER},
		{"avx512f", cpuid.AVX512F},
		{"avx512ifma", cpuid.AVX512IFMA},
		{"avx512pf", cpuid.AVX512PF},
		{"avx512vbmi", cpuid.AVX512VBMI},
		{"avx512vl", cpuid.AVX512VL},
		{"avx_ifma", cpuid.AVXIFMA},
		{"avx_ne_convert", cpuid.AVXNECONVERT},
		{"avx_vnni", cpuid.AVXVNNI},
		{"avx_vnni_int16", cpuid.AVXVNNIINT16},
		{"avx_vnni_int8", cpuid.AVXVNNIINT8},
		{"bmi1", cpuid.BMI1},
		{"bmi2", cpuid.BMI2},
		{"cldemote", cpuid.CLDEMOTE},
		{"clzero", cpuid.CLZERO},
		{"cmpccxadd", cpuid.CMPCCXADD},
		{"cx16", cpuid.CX16},
		{"f16c", cpuid.F16C},
		{"flush_l1d", cpuid.FLUSH_L1D},
		{"fma", cpuid.FMA3},
		{"fma4", cpuid.FMA4},
		{"gfni", cpuid.GFNI},
		{"lahf_lm", cpuid.LAHF},
		{"mmx", cpuid.MMX},
		{"movbe", cpuid.MOVBE},
		{"movdir64b", cpuid.MOVDIR64B},
		{"movdiri", cpuid.MOVDIRI},
		{"pclmulqdq", cpuid.CLMUL},
		{"popcnt", cpuid.POPCNT},
		{"rdrand", cpuid.RDRAND},
		{"rdseed", cpuid.RDSEED},
		{"serialize", cpuid.SERIALIZE},
		{"sha_ni", cpuid.SHA},
		{"sm3", cpuid.SM3_X86},
		{"sm4", cpuid.SM4_X86},
		{"sse", cpuid.SSE},
		{"sse2", cpuid.SSE2},
		{"sse3", cpuid.SSE3},
		{"sse4_1", cpuid.SSE4},
		{"sse4_2", cpuid.SSE42},
		{"sse4a", cpuid.SSE4A},
		{"ssse3", cpuid.SSSE3},
		{"vaes", cpuid.VAES},
		{"vpclmulqdq", cpuid.VPCLMULQDQ},
		{"waitpkg", cpuid.WAITPKG},
		{"xop", cpuid.XOP},
		{"xsave", cpuid.XSAVE},
		{"xsavec", cpuid.XSAVEC},
		{"xsaveopt", cpuid.XSAVEOPT},
	}
}

// cpuidLacks returns the features that targets list and the cpuid package, as of 2.4, cannot
// report.
func cpuidLacks() []string {
	return []string{"clflushopt", "clwb", "fsgsbase", "pku", "rdpid", "tbm", "tsc_adjust"}
}
