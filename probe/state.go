package probe

import (
	"slices"
	"strings"
)

// The registers of CPUID, as cpuidRegisters orders them.
const (
	eax = iota
	ebx
	ecx
	edx
)

// stateOf returns the parts of the CPU's state that a feature of x86 uses, as bits of XCR0 (Intel
// 64 and IA-32 Architectures Software Developer's Manual, volume 1, 13.1). Where the kernel does
// not save them, CPUID still has the feature, but its first instruction ends the program.
func stateOf(feature string) uint64 {
	const (
		avx    = 1<<1 | 1<<2
		avx512 = avx | 1<<5 | 1<<6 | 1<<7
		amx    = 1<<17 | 1<<18
		apx    = 1 << 19
	)
	switch {
	case strings.HasPrefix(feature, "amx_"):
		return amx
	case strings.HasPrefix(feature, "avx512"), strings.HasPrefix(feature, "avx10"):
		return avx512
	case feature == "apx_f":
		return apx
	case strings.HasPrefix(feature, "avx"), slices.Contains([]string{
		"f16c", "fma", "fma4", "sha512", "sm3", "sm4", "vaes", "vpclmulqdq", "xop",
	}, feature):
		return avx
	}
	return 0
}

// saves reports whether the kernel saves what a feature uses.
func saves(xcr0 uint64, feature string) bool {
	need := stateOf(feature)
	return xcr0&need == need
}

// cpuidBit is where CPUID has a feature.
type cpuidBit struct {
	name      string
	leaf, sub uint32
	register  int // eax …
	bit       uint
}

// cpuidBits returns the features that targets list and that the cpuid package, as of 2.4.2, does
// not know, or reads from the wrong place or under the wrong condition: it takes AMX for usable if
// AVX-512 is. The places are those of Intel's manual, volume 2A, CPUID, and of Intel's Architecture
// Instruction Set Extensions Programming Reference (319433).
func cpuidBits() []cpuidBit {
	return []cpuidBit{
		{"amx_avx512", 0x1e, 1, eax, 7},
		{"amx_bf16", 7, 0, edx, 22},
		{"amx_complex", 7, 1, edx, 8},
		{"amx_fp16", 7, 1, eax, 21},
		{"amx_fp8", 0x1e, 1, eax, 4},
		{"amx_int8", 7, 0, edx, 25},
		{"amx_movrs", 0x1e, 1, eax, 8},
		{"amx_tf32", 0x1e, 1, eax, 6},
		{"amx_tile", 7, 0, edx, 24},
		{"apx_f", 7, 1, edx, 21},
		{"avx512_fp16", 7, 0, edx, 23},
		{"movrs", 7, 1, eax, 31},
		{"sha512", 7, 1, eax, 0},
	}
}

// cpuidAnswers is what CPUID answers for a leaf and a part of it; a test plays it.
type cpuidAnswers func(leaf, sub uint32) [4]uint32

// once asks for each leaf once, and for none that the CPU does not have: a hypervisor answers
// itself, which takes its time.
func (ask cpuidAnswers) once() cpuidAnswers {
	known := map[[2]uint32][4]uint32{}
	highest := ask(0, 0)[eax]
	return func(leaf, sub uint32) [4]uint32 {
		key := [2]uint32{leaf, sub}
		answer, ok := known[key]
		if !ok {
			if leaf <= highest {
				answer = ask(leaf, sub)
			}
			known[key] = answer
		}
		return answer
	}
}

// features returns those of cpuidBits that the CPU has, and AVX10.2.
func (ask cpuidAnswers) features() []string {
	ask = ask.once()
	var names []string
	hasTiles := ask(7, 0)[edx]>>24&1 == 1
	for _, b := range cpuidBits() {
		// Leaf 7 states in EAX how many parts it has, and leaf 1Eh has one only beside AMX.
		if b.leaf == 7 && b.sub > ask(7, 0)[eax] || b.leaf == 0x1e && !hasTiles {
			continue
		}
		if ask(b.leaf, b.sub)[b.register]>>b.bit&1 == 1 {
			names = append(names, b.name)
		}
	}
	const avx10 = 1 << 19
	if ask(7, 0)[eax] >= 1 && ask(7, 1)[edx]&avx10 != 0 && ask(0x24, 0)[ebx]&0xff >= 2 {
		names = append(names, "avx10_2")
	}
	return names
}
