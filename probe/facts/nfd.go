package facts

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// NFD holds facts of a node under the names of Node Feature Discovery
// (kubernetes-sigs/node-feature-discovery, "Feature rules" of its customization guide): only those
// that are known to be the same there. Keys are a domain and a feature, "cpu.cpuid".
type NFD struct {
	SchemaVersion int                          `json:"schemaVersion"`
	Flags         map[string][]string          `json:"flags"` // sorted names
	Attributes    map[string]map[string]string `json:"attributes"`
}

// NFDOf returns what is known about a node in NFD's names. A feature about which nothing is known
// is left out.
func NFDOf(n Node) NFD {
	nfd := NFD{
		SchemaVersion: SchemaVersion,
		Flags:         map[string][]string{}, Attributes: map[string]map[string]string{},
	}
	if flags := nfdCPUID(n.Arch, n.CPU.Features); len(flags) > 0 {
		nfd.Flags["cpu.cpuid"] = flags
	}
	for feature, attributes := range map[string]map[string]string{
		"cpu.model": nfdModel(n), "kernel.version": nfdKernel(n.Kernel),
		"system.osrelease": nfdRelease(n.OSRelease),
	} {
		maps.DeleteFunc(attributes, func(_, value string) bool { return value == "" })
		if len(attributes) > 0 {
			nfd.Attributes[feature] = attributes
		}
	}
	return nfd
}

// Lines returns one line for each flag, "cpu.cpuid.AVX2", and each attribute,
// "cpu.model.family=25", sorted.
func (f NFD) Lines() []string {
	var lines []string
	for feature, names := range f.Flags {
		for _, name := range names {
			lines = append(lines, feature+"."+name)
		}
	}
	for feature, attributes := range f.Attributes {
		for name, value := range attributes {
			lines = append(lines, feature+"."+name+"="+value)
		}
	}
	slices.Sort(lines)
	return lines
}

// nfdCPUID returns the names of CPU features, sorted. NFD takes those of x86 from the Go package
// klauspost/cpuid, those of ARM from the kernel's HWCAP.
func nfdCPUID(arch string, features []string) []string {
	var names []string
	for _, f := range features {
		switch arch {
		case "amd64", "386":
			if name := nfdX86(f); name != "" {
				names = append(names, name)
			}
		case "arm64":
			names = append(names, strings.ToUpper(f))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// nfdX86 returns the name in klauspost/cpuid of a feature in the spelling of /proc/cpuinfo; empty
// if that package has none, never sets it, or gives it another meaning.
func nfdX86(feature string) string {
	switch feature {
	case "3dnow", "3dnowext":
		return "AMD" + strings.ToUpper(feature)
	case "abm":
		return "LZCNT"
	case "aes":
		return "AESNI"
	case "cx8":
		return "CMPXCHG8"
	case "flush_l1d":
		return "FLUSH_L1D"
	case "fma":
		return "FMA3"
	case "fpu":
		return "X87"
	case "lahf_lm":
		return "LAHF"
	case "npt":
		return "SVMNP"
	case "pclmulqdq":
		return "CLMUL"
	case "pni":
		return "SSE3"
	case "sep":
		return "SYSEE"
	case "sha_ni":
		return "SHA"
	case "sm3", "sm4":
		return strings.ToUpper(feature) + "_X86"
	case "sse4_1":
		return "SSE4"
	case "topoext":
		return "TOPEXT"
	}
	plain := strings.Fields(`adx amx_bf16 amx_complex amx_fp16 amx_int8 amx_tile avx avx2
		avx512_bf16 avx512_bitalg avx512_fp16 avx512_vbmi2 avx512_vnni avx512_vp2intersect
		avx512_vpopcntdq avx512bw avx512cd avx512dq avx512er avx512f avx512ifma avx512pf
		avx512vbmi avx512vl avx_ifma avx_ne_convert avx_vnni avx_vnni_int16 avx_vnni_int8 bmi1
		bmi2 cldemote clzero cmov cmpccxadd cx16 enqcmd erms f16c fma4 fsrm fxsr gfni hle
		hypervisor mmx mmxext movbe movdir64b movdiri nx popcnt rdpru rdrand rdseed rdtscp rtm
		serialize sse sse2 sse3 sse4_2 sse4a ssse3 svm syscall tsxldtrk vaes vmx vpclmulqdq
		waitpkg wbnoinvd xgetbv1 xop xsave xsavec xsaveopt xsaves`)
	if slices.Contains(plain, feature) {
		return strings.ToUpper(strings.ReplaceAll(feature, "_", ""))
	}
	return ""
}

// nfdModel returns the attributes of cpu.model. Family and model are those of x86: NFD does not
// promise those of ARM.
func nfdModel(n Node) map[string]string {
	vendor := map[string]string{
		"AuthenticAMD": "AMD", "GenuineIntel": "Intel", "HygonGenuine": "Hygon",
		"ARM": "ARM", "Ampere": "Ampere", "Cavium": "Cavium", "Fujitsu": "Fujitsu",
	}[n.CPU.Vendor]
	model := map[string]string{"vendor_id": vendor}
	if vendor != "" && (n.Arch == "amd64" || n.Arch == "386") {
		model["family"], model["id"] = strconv.Itoa(n.CPU.Family), strconv.Itoa(n.CPU.Model)
	}
	return model
}

// nfdKernel returns the attributes of kernel.version: the release, with "_" for what a label may
// not hold, and its first three numbers.
func nfdKernel(release string) map[string]string {
	full := regexp.MustCompile(`[^-A-Za-z0-9_.]`).ReplaceAllString(release, "_")
	full = strings.Trim(full, "-_.")
	version := map[string]string{"full": full}
	numbers := regexp.MustCompile(`^(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-.*)?$`)
	if m := numbers.FindStringSubmatch(full); m != nil {
		version["major"], version["minor"], version["revision"] = m[1], m[2], m[3]
	}
	return version
}

// nfdRelease returns the attributes of system.osrelease.
func nfdRelease(r *OSRelease) map[string]string {
	if r == nil {
		return nil
	}
	release := map[string]string{"ID": r.ID, "VERSION_ID": r.VersionID}
	numbers := regexp.MustCompile(`^(\d+)(?:\.(\d+))?(?:\..*)?$`)
	if m := numbers.FindStringSubmatch(r.VersionID); m != nil {
		release["VERSION_ID.major"], release["VERSION_ID.minor"] = m[1], m[2]
	}
	return release
}
