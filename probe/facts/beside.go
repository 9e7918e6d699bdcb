package facts

import (
	"fmt"
	"slices"
	"strings"
)

// Beside reports whether a CPU runs what was built for a target from which it does not descend: it
// is of the target's vendor, which for ARM is any, and shows all that programs for the target use.
// The features are those that the CPU itself shows; has looks them up. If only SVE's vectors stand
// against it, why says so.
//
// That holds for x86-64 and for ARM, the families whose features the kernel lists. Niche features
// need not be shown. Code for a core with SVE may be fixed to the length of that core's vectors, so
// the CPU has to have the same.
func Beside(c CPU, has func(feature string) bool, t Target) (fits bool, why string) {
	uses := t.Uses()
	if len(c.Features) == 0 || len(uses) == 0 || c.Rule == RuleSite || !c.sharesMaker(t) {
		return false, ""
	}
	for _, f := range uses {
		if !has(f) && !slices.Contains(NicheFeatures(t.Root()), f) {
			return false, ""
		}
	}
	if slices.Contains(t.Features, "sve") && (c.SVEBits == 0 || t.SVEBits() == 0) {
		return false, unknownVectors(c, t)
	}
	why = OtherVectors(c, t)
	return why == "", why
}

// OtherVectors says that code for t may be fixed to SVE vectors of another length than the CPU's;
// empty if the lengths are the same, or one of them is not known.
func OtherVectors(c CPU, t Target) string {
	theirs := t.SVEBits()
	if theirs == 0 || c.SVEBits == 0 || theirs == c.SVEBits {
		return ""
	}
	return fmt.Sprintf("whose SVE vectors have %d bits, this CPU's %d", theirs, c.SVEBits)
}

func unknownVectors(c CPU, t Target) string {
	switch theirs := t.SVEBits(); {
	case theirs > 0:
		return fmt.Sprintf(
			"whose SVE vectors have %d bits, and the length of this CPU's is unknown", theirs)
	case c.SVEBits > 0:
		return fmt.Sprintf(
			"whose SVE vectors are of an unknown length, this CPU's have %d bits", c.SVEBits)
	}
	return "whose SVE vectors are of an unknown length, as are this CPU's"
}

// sharesMaker reports whether t is of the CPU's vendor or of none. ARM's instruction set is the
// same whoever makes the core.
func (c CPU) sharesMaker(t Target) bool {
	switch t.Root() {
	case "aarch64":
		return true
	case "x86_64":
		vendor := c.Vendor
		if vendor == "" {
			own, _ := targets().target(CanonicalAlias(c.Target))
			vendor = own.Vendor
		}
		return t.Generic() || t.Vendor == vendor
	}
	return false
}

// Compatible returns the names of the targets beyond the CPU's own and its ancestors for which
// Beside holds, sorted.
func Compatible(c CPU, family string) []string {
	if len(c.Features) == 0 {
		return nil
	}
	shown := make(map[string]bool, len(c.Features))
	for _, f := range c.Features {
		shown[f] = true
	}
	own, _ := targets().target(c.Target)
	line := append(own.Ancestors(), own.Name)
	var names []string
	for name := range targets().rows {
		if targets().root(name) != family || slices.Contains(line, name) {
			continue
		}
		t, _ := targets().target(name)
		if fits, _ := Beside(c, func(f string) bool { return shown[f] }, t); fits {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Uses returns the features that programs for t use: the target's own or, for a level of ARM, which
// lists none, those that the level requires and that the kernel names. It is empty if names of
// features do not tell: for the root of a family, POWER and RISC-V.
func (t Target) Uses() []string {
	if level, ok := strings.CutPrefix(t.Name, "armv"); ok && t.Generic() {
		return armLevel(level)
	}
	return t.Features
}

// armLevel returns the features that a level requires, in the words of HWCAP; none for an unknown
// level. Each list holds what the level before it requires. Sources: Arm Architecture Reference
// Manual for A-profile (DDI 0487), chapter A2, which features are mandatory from which version on;
// Linux, Documentation/arch/arm64/elf_hwcaps.rst, which of them a program can see.
func armLevel(level string) []string {
	const (
		v81 = "asimd fp asimdrdm atomics crc32 "
		v82 = v81 + "dcpop "
		v83 = v82 + "fcma jscvt lrcpc paca pacg "
		v84 = v83 + "asimddp dit flagm ilrcpc uscat "
		v85 = v84 + "bti dcpodp flagm2 frint sb "
		v86 = v85 + "bf16 ecv i8mm "
		v90 = v85 + "sve sve2 "
		v91 = v86 + "sve sve2 "
		v92 = v91 + "afp wfxt "
	)
	return strings.Fields(map[string]string{
		"8.1a": v81, "8.2a": v82, "8.3a": v83, "8.4a": v84, "8.5a": v85, "8.6a": v86,
		"9.0a": v90, "9.1a": v91, "9.2a": v92,
	}[level])
}

// SVEBits returns the length of the SVE vectors of the target's cores; 0 if they have none, or if
// it is not known. Sources: Arm's technical reference manuals of the Neoverse and Cortex cores;
// Fujitsu's A64FX Microarchitecture Manual and its pages on MONAKA; NVIDIA's on Vera, whose core
// has six units of 128 bits.
func (t Target) SVEBits() int {
	switch t.Name {
	case "neoverse_n2", "neoverse_n3", "neoverse_v2", "neoverse_v3", "neoverse_v3ae", "olympus":
		return 128
	case "neoverse_v1", "monaka":
		return 256
	case "a64fx":
		return 512
	}
	if strings.HasPrefix(t.Name, "cortex") && slices.Contains(t.Features, "sve") {
		return 128
	}
	return 0
}
