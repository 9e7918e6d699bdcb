package probe

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
	case 0xc6, 0xbd: // Arrow Lake for desktops, Lunar Lake
		return "arrowlake_s"
	}
	return ""
}

// laterIntelCore returns the target, newer than archspec's table, of a model of family 6.
func laterIntelCore(model, stepping int) string {
	switch {
	case model == 0x55 && (stepping == 10 || stepping == 11):
		return "cooperlake"
	case model == 0x8c || model == 0x8d:
		return "tigerlake"
	case model == 0xad || model == 0xae:
		return "graniterapids"
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
