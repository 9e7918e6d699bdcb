package probe

import "cmp"

// coreOf returns the target that an x86 CPU's family, model and stepping name; empty if they name
// none that is known here. A core newer than archspec's table counts as the nearest older one, see
// laterIntelCore. Sources: Intel's and AMD's lists of CPUIDs, as in the Linux kernel's
// arch/x86/include/asm/intel-family.h and arch/x86/kernel/cpu/amd.c.
func coreOf(vendor string, family, model, stepping int) string {
	switch {
	case vendor == "GenuineIntel" && family == 6:
		return intelCore(model, stepping)
	case vendor == "AuthenticAMD":
		return amdCore(family, model)
	}
	return ""
}

func intelCore(model, stepping int) string {
	switch model {
	case 0x0f, 0x16, 0x17, 0x1d:
		return "core2"
	case 0x1a, 0x1e, 0x1f, 0x2e:
		return "nehalem"
	case 0x25, 0x2c, 0x2f:
		return "westmere"
	case 0x2a, 0x2d:
		return "sandybridge"
	case 0x3a, 0x3e:
		return "ivybridge"
	case 0x3c, 0x3f, 0x45, 0x46:
		return "haswell"
	case 0x3d, 0x47, 0x4f, 0x56:
		return "broadwell"
	case 0x4e, 0x5e, 0x8e, 0x9e, 0xa5, 0xa6:
		return "skylake"
	case 0x55:
		if stepping < 5 {
			return "skylake_avx512"
		}
		return "cascadelake" // 5 to 7; Cooper Lake, 10 and 11, has all of it
	case 0x57, 0x85:
		return "mic_knl"
	case 0x66:
		return "cannonlake"
	case 0x6a, 0x6c, 0x7d, 0x7e, 0x8c, 0x8d, 0xa7: // Ice, Tiger and Rocket Lake
		return "icelake"
	case 0x97, 0x9a, 0xb7, 0xba, 0xbf, 0xaa, 0xac: // Alder, Raptor and Meteor Lake
		return "alderlake"
	case 0x8f, 0xcf, 0xad, 0xae: // Sapphire, Emerald and Granite Rapids
		return "sapphirerapids"
	case 0xc5, 0xb5:
		return "arrowlake"
	case 0xc6, 0xbd, 0xcc, 0xd5: // Arrow Lake for desktops, Lunar, Panther and Wildcat Lake
		return "arrowlake_s"
	}
	return ""
}

// laterIntelCore returns the target, newer than archspec's table, of a family and model.
func laterIntelCore(family, model, stepping int) string {
	switch {
	case family == 19 && model == 0x01:
		return "diamondrapids"
	case family != 6:
		return ""
	case model == 0x55 && (stepping == 10 || stepping == 11):
		return "cooperlake"
	}
	switch model {
	case 0x8c, 0x8d:
		return "tigerlake"
	case 0xad, 0xae:
		return "graniterapids"
	case 0xaf:
		return "sierraforest"
	case 0xb6:
		return "grandridge"
	case 0xdd:
		return "clearwaterforest"
	case 0xcc, 0xd5: // Panther Lake, Wildcat Lake
		return "pantherlake"
	}
	return ""
}

// laterAMDCore is the same for AMD's numbers (Linux, arch/x86/kernel/cpu/amd.c).
func laterAMDCore(family, model int) string {
	if family == 0x1a && (0x50 <= model && model <= 0x5f || 0x80 <= model && model <= 0xaf ||
		0xc0 <= model && model <= 0xcf) {
		return "zen6"
	}
	return ""
}

// laterARMCore returns the target that an implementer and a part number of ARM name and that
// archspec does not find by them: it is newer, or the core bears another maker's number. Sources:
// Linux, arch/arm64/include/asm/cputype.h; GCC, gcc/config/aarch64/aarch64-cores.def.
func laterARMCore(vendor, part string) string {
	switch vendor + " " + part {
	case "ARM 0xd84":
		return "neoverse_v3"
	case "ARM 0xd8e":
		return "neoverse_n3"
	case "Nvidia 0x010":
		return "olympus"
	case "Fujitsu 0x003":
		return "monaka"
	case "0x6d 0xd49": // Microsoft's Cobalt 100
		return "neoverse_n2"
	case "Broadcom 0x516": // the first ThunderX2
		return "thunderx2"
	}
	return ""
}

// namedCore returns the target that an x86 CPU's numbers name, archspec's if it has one; empty if
// they name none.
func (p processor) namedCore() string {
	return cmp.Or(coreOf(p.vendor, p.number, p.model, p.stepping), p.laterCore())
}

// laterCore returns the target beyond archspec's rules that a CPU's number or name gives; empty if
// it gives none.
func (p processor) laterCore() string {
	switch p.family {
	case "x86_64":
		switch p.vendor {
		case "GenuineIntel":
			return laterIntelCore(p.number, p.model, p.stepping)
		case "AuthenticAMD":
			return laterAMDCore(p.number, p.model)
		}
	case "aarch64":
		return laterARMCore(p.vendor, p.part)
	case "ppc64", "ppc64le", "riscv64", "s390x", "loongarch64":
		return p.core
	}
	return ""
}

func amdCore(family, model int) string {
	switch family {
	case 0x10:
		return "k10"
	case 0x15:
		switch {
		case model <= 0x01:
			return "bulldozer"
		case model < 0x30:
			return "piledriver"
		case model < 0x60:
			return "steamroller"
		}
		return "excavator"
	case 0x17:
		if model <= 0x2f || 0x50 <= model && model <= 0x5f {
			return "zen"
		}
		return "zen2"
	case 0x19:
		if model <= 0x0f || 0x20 <= model && model <= 0x5f {
			return "zen3"
		}
		return "zen4"
	case 0x1a:
		return "zen5"
	}
	return ""
}
