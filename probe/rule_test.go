package probe

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// cpuLike returns an x86 CPU that shows all features of a target but those hidden.
func cpuLike(t *testing.T, target string, family, model, stepping int, hidden ...string) processor {
	t.Helper()
	like, ok := facts.LookupTarget(target)
	if !ok {
		t.Fatalf("no target %q", target)
	}
	p := processor{family: "x86_64", vendor: like.Vendor, number: family, model: model, stepping: stepping, features: newSet(like.Features)}
	for _, f := range hidden {
		if !p.features.has(f) {
			t.Fatalf("%s has no %s to hide", target, f)
		}
		delete(p.features, f)
	}
	p.features.addImplied()
	return p
}

// findCase is a CPU that shows what a target has but for hidden, and what is to be found.
type findCase struct {
	name                 string
	like                 string
	family, model, step  int
	hidden               []string
	target, strict, rule string
}

func (c findCase) test(t *testing.T) {
	got := cpuLike(t, c.like, c.family, c.model, c.step, c.hidden...).find()
	if got.target != c.target || got.strict != c.strict || got.rule != c.rule {
		t.Errorf("find() = %s, strict %s, rule %s; want %s, %s, %s", got.target, got.strict, got.rule, c.target, c.strict, c.rule)
	}
	if got.rule == ruleBounded {
		slices.Sort(c.hidden)
		target, _ := facts.LookupTarget(got.target)
		hidden := slices.DeleteFunc(slices.Clone(c.hidden), func(f string) bool { return !slices.Contains(target.Features, f) })
		if diff := cmp.Diff(slices.Concat(hidden), slices.Concat(got.missing)); diff != "" {
			t.Errorf("missing (-want +got):\n%s", diff)
		}
	}
}

func TestHiddenFeatures(t *testing.T) {
	for _, c := range []findCase{
		{"all shown", "zen3", 25, 1, 1, nil, "zen3", "zen3", "strict"},
		{"pku hidden, as clouds do", "zen3", 25, 1, 1, []string{"pku"}, "zen3", "zen2", "bounded"},
		{"zen4 guest", "zen4", 25, 17, 1, []string{"pku", "flush_l1d"}, "zen4", "x86_64_v4", "bounded"},
		{"zen5 guest", "zen5", 26, 2, 1, []string{"pku", "flush_l1d", "movdiri", "movdir64b"}, "zen5", "x86_64_v4", "bounded"},
		{"zen5 with rdseed cleared by the kernel", "zen5", 26, 2, 1, []string{"rdseed"}, "zen5", "x86_64_v4", "bounded"},
		{"a feature that compilers emit is gone", "zen3", 25, 1, 1, []string{"vaes"}, "zen2", "zen2", "strict"},
		{"zen2 without the extended state", "zen2", 23, 49, 0, []string{"xsavec", "clzero", "fsgsbase"}, "zen2", "x86_64_v3", "bounded"},
		{"no AVX-512 in a guest", "zen4", 25, 17, 1, []string{"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}, "zen3", "zen3", "strict"},
		{"skylake in a guest", "skylake_avx512", 6, 85, 4, []string{"clwb", "xsavec"}, "skylake_avx512", "x86_64_v4", "bounded"},
		{"same number, later stepping", "cascadelake", 6, 85, 7, []string{"clflushopt"}, "cascadelake", "x86_64_v4", "bounded"},
		{"broadwell is no skylake", "broadwell", 6, 79, 1, nil, "broadwell", "broadwell", "strict"},
		{"broadwell without rdseed", "broadwell", 6, 79, 1, []string{"rdseed"}, "broadwell", "haswell", "bounded"},
		{"zen is no zen2", "zen", 23, 1, 2, nil, "zen", "zen", "strict"},
		{"piledriver is no steamroller", "piledriver", 21, 2, 0, nil, "piledriver", "piledriver", "strict"},
		{"a number that is not known, all shown", "icelake", 6, 250, 0, nil, "icelake", "icelake", "strict"},
		{"a number that is not known, clwb hidden", "icelake", 6, 250, 0, []string{"clwb"}, "icelake", "cannonlake", "relaxed"},
		{"a number that is not known, rdrand hidden", "icelake", 6, 250, 0, []string{"rdrand"}, "icelake", "x86_64_v4", "relaxed"},
	} {
		t.Run(c.name, c.test)
	}
}

// A target that archspec does not know is found if the number names it and what it adds is shown;
// else the answer is as it was without it.
func TestLaterTargets(t *testing.T) {
	for _, c := range []findCase{
		{"Cooper Lake", "cooperlake", 6, 85, 11, nil, "cooperlake", "cascadelake", "bounded"},
		{"Cooper Lake in a guest", "cooperlake", 6, 85, 10, []string{"clwb"}, "cooperlake", "x86_64_v4", "bounded"},
		{"without bfloat16", "cooperlake", 6, 85, 11, []string{"avx512_bf16"}, "cascadelake", "cascadelake", "strict"},
		{"all of it under Cascade Lake's stepping", "cooperlake", 6, 85, 7, nil, "cascadelake", "cascadelake", "strict"},
		{"more than the number names", "sapphirerapids", 6, 85, 11, nil, "sapphirerapids", "sapphirerapids", "strict"},
		{"Tiger Lake", "tigerlake", 6, 0x8c, 1, nil, "tigerlake", "icelake", "bounded"},
		{"Tiger Lake, direct stores hidden", "tigerlake", 6, 0x8d, 1, []string{"movdir64b", "movdiri"}, "tigerlake", "icelake", "bounded"},
		{"Tiger Lake, what counts hidden", "tigerlake", 6, 0x8c, 1, []string{"avx512_vp2intersect"}, "icelake", "icelake", "strict"},
		{"Rocket Lake", "icelake", 6, 0xa7, 1, nil, "icelake", "icelake", "strict"},
		{"Granite Rapids", "graniterapids", 6, 0xad, 1, nil, "graniterapids", "sapphirerapids", "bounded"},
		{"Granite Rapids D in a guest", "graniterapids", 6, 0xae, 1, []string{"cldemote"}, "graniterapids", "icelake", "bounded"},
		{"a hypervisor that knows no FP16 tiles", "graniterapids", 6, 0xad, 1, []string{"amx_fp16"}, "sapphirerapids", "sapphirerapids", "strict"},
		{"no tiles at all", "graniterapids", 6, 0xad, 1, []string{"amx_tile", "amx_bf16", "amx_int8", "amx_fp16"}, "icelake", "icelake", "strict"},
		{"a number that is not known", "graniterapids", 6, 250, 1, nil, "sapphirerapids", "sapphirerapids", "strict"},
		{"Sierra Forest", "sierraforest", 6, 0xaf, 3, nil, "sierraforest", "arrowlake", "bounded"},
		{"Sierra Forest in a guest of an old hypervisor", "sierraforest", 6, 0xaf, 3, []string{"cmpccxadd"}, "alderlake", "alderlake", "strict"},
		{"Sierra Forest, niche features hidden", "sierraforest", 6, 0xaf, 3, []string{"clwb", "waitpkg"}, "sierraforest", "skylake", "bounded"},
		{"Grand Ridge", "grandridge", 6, 0xb6, 1, nil, "grandridge", "arrowlake", "bounded"},
		{"Clearwater Forest", "clearwaterforest", 6, 0xdd, 1, nil, "clearwaterforest", "arrowlake_s", "bounded"},
		{"Panther Lake", "pantherlake", 6, 0xcc, 1, nil, "pantherlake", "arrowlake_s", "bounded"},
		{"Diamond Rapids", "diamondrapids", 19, 1, 1, nil, "diamondrapids", "sapphirerapids", "bounded"},
		{"Diamond Rapids without APX", "diamondrapids", 19, 1, 1, []string{"apx_f"}, "graniterapids", "sapphirerapids", "bounded"},
		{"Zen 6", "zen6", 26, 0x50, 0, nil, "zen6", "zen5", "bounded"},
		{"Zen 6 in a guest", "zen6", 26, 0x80, 0, []string{"pku", "avx512_fp16"}, "zen5", "x86_64_v4", "bounded"},
		{"Zen 5 with the number of a Zen 6", "zen5", 26, 0x50, 0, nil, "zen5", "zen5", "strict"},
	} {
		t.Run(c.name, c.test)
	}
}

// Whatever a CPU's numbers and features are, archspec's own answer is a target of archspec's.
func TestStrictKnowsNothingLater(t *testing.T) {
	for _, name := range facts.Later() {
		like, _ := facts.LookupTarget(name)
		if like.Root() != "x86_64" {
			continue
		}
		for model := range 256 {
			f := cpuLike(t, name, 6, model, 11).find()
			descends := slices.Contains(append(mustTarget(t, laterIntelCore(6, model, 11)).Ancestors(), laterIntelCore(6, model, 11)), f.target)
			if slices.Contains(facts.Later(), f.strict) || slices.Contains(facts.Later(), f.target) && !descends {
				t.Errorf("%s as 6/%d is taken for %s, strict %s", name, model, f.target, f.strict)
			}
		}
	}
}

func mustTarget(t *testing.T, name string) facts.Target {
	t.Helper()
	target, ok := facts.LookupTarget(name)
	if !ok && name != "" {
		t.Fatalf("no target %q", name)
	}
	return target
}

// cpuinfoOf writes a CPU as a kernel does that names none of some features.
func cpuinfoOf(p processor, unnamed set) string {
	var flags []string
	for f := range p.features {
		if !unnamed.has(f) {
			flags = append(flags, f)
		}
	}
	slices.Sort(flags)
	return fmt.Sprintf("vendor_id : %s\ncpu family : %d\nmodel : %d\nstepping : %d\nflags : lm %s\n\n", p.vendor, p.number, p.model, p.stepping, strings.Join(flags, " "))
}

// A node is the same from its text as by CPUID, though the kernel names only some of the bits.
func TestTextAgreesWithTheMachine(t *testing.T) {
	for name, number := range map[string][3]int{
		"graniterapids": {6, 0xad, 1}, "sierraforest": {6, 0xaf, 3}, "grandridge": {6, 0xb6, 0}, "clearwaterforest": {6, 0xdd, 0}, "pantherlake": {6, 0xcc, 0},
		"diamondrapids": {19, 1, 0}, "zen6": {26, 0x50, 0}, "arrowlake_s": {6, 0xc6, 2}, "arrowlake": {6, 0xc5, 2}, "sapphirerapids": {6, 0x8f, 8}, "zen5": {26, 2, 1},
	} {
		p := cpuLike(t, name, number[0], number[1], number[2])
		live := p.cpu("", p.find())
		silent := silentFeatures("x86_64", set{})
		named := silentFeatures("x86_64", newSet([]string{"sm3"})) // by a newer kernel
		for what, unnamed := range map[string]set{"none of them": silent, "those of one group": named} {
			told := parseCPUInfo(cpuinfoOf(p, unnamed)).cpu("x86_64")
			told.Features = slices.DeleteFunc(told.Features, func(f string) bool { return f == "lm" })
			if told.Target != name || told.Target != live.Target || len(told.Missing) > 0 {
				t.Errorf("%s, where the kernel does not name %s: target %s by rule %s, missing %q; by CPUID %s", name, what, told.Target, told.Rule, told.Missing, live.Target)
			}
			if diff := cmp.Diff(live.Features, told.Features); diff != "" {
				t.Errorf("%s, where the kernel does not name %s (-by CPUID +by the text):\n%s", name, what, diff)
			}
		}
	}
	for _, name := range []string{"olympus", "monaka"} {
		like := mustTarget(t, name)
		cores := []armCore{{map[string]string{"Nvidia": "0x4e", "Fujitsu": "0x46"}[like.Vendor], like.Part}}
		shown := newSet(like.Features)
		for f := range silentFeatures("aarch64", set{}) {
			delete(shown, f)
		}
		if got := (processor{family: "aarch64", features: shown}).armCPU(cores); got.Target != name || len(got.Missing) > 0 {
			t.Errorf("%s under an old kernel is %s, missing %q", name, got.Target, got.Missing)
		}
	}
}

// Whatever is hidden, the answer is a target of which only niche features are missing, never above
// what the number names, and never below archspec's.
func TestRuleNeverAddsFeatures(t *testing.T) {
	niche := facts.NicheFeatures("x86_64")
	for _, name := range slices.Concat(facts.Targets(), facts.Later()) {
		like, _ := facts.LookupTarget(name)
		if like.Root() != "x86_64" {
			continue
		}
		for _, hidden := range like.Features {
			for _, number := range [][3]int{{6, 85, 7}, {6, 143, 6}, {6, 198, 2}, {25, 17, 1}, {26, 2, 1}, {21, 2, 0}, {6, 250, 0}, {6, 173, 1}, {6, 140, 1}, {6, 85, 11}} {
				p := cpuLike(t, name, number[0], number[1], number[2], hidden)
				f := p.find()
				target, _ := facts.LookupTarget(f.target)
				for _, feature := range target.Features {
					if !p.features.has(feature) && !slices.Contains(niche, feature) {
						t.Fatalf("%s without %s as %v is taken for %s, which has %s", name, hidden, number, f.target, feature)
					}
				}
				if f.rule == ruleBounded && !target.DescendsFrom(f.strict) {
					t.Fatalf("%s without %s as %v: %s does not descend from strict's %s", name, hidden, number, f.target, f.strict)
				}
			}
		}
	}
}

// The numbers of the model table name targets of their own vendor.
func TestModelTable(t *testing.T) {
	for _, vendor := range []string{"GenuineIntel", "AuthenticAMD", "HygonGenuine", ""} {
		for family := range 32 {
			for model := range 256 {
				name := coreOf(vendor, family, model, 4)
				target, ok := facts.LookupTarget(name)
				if name != "" && (!ok || target.Vendor != vendor) {
					t.Fatalf("coreOf(%q, %d, %d) = %q", vendor, family, model, name)
				}
			}
		}
	}
	for _, c := range []struct {
		vendor                  string
		family, model, stepping int
		want                    string
	}{
		{"GenuineIntel", 6, 85, 4, "skylake_avx512"},
		{"GenuineIntel", 6, 85, 5, "cascadelake"},
		{"GenuineIntel", 6, 85, 11, "cascadelake"},
		{"GenuineIntel", 6, 0xad, 1, "sapphirerapids"},
		{"GenuineIntel", 15, 6, 1, ""},
		{"GenuineIntel", 6, 0x5c, 1, ""},
		{"AuthenticAMD", 0x15, 0x10, 0, "piledriver"},
		{"AuthenticAMD", 0x15, 0x38, 0, "steamroller"},
		{"AuthenticAMD", 0x15, 0x70, 0, "excavator"},
		{"AuthenticAMD", 0x17, 0x18, 0, "zen"},
		{"AuthenticAMD", 0x17, 0x31, 0, "zen2"},
		{"AuthenticAMD", 0x17, 0x55, 0, "zen"},
		{"AuthenticAMD", 0x19, 0x21, 0, "zen3"},
		{"AuthenticAMD", 0x19, 0x11, 0, "zen4"},
		{"AuthenticAMD", 0x19, 0x61, 0, "zen4"},
		{"AuthenticAMD", 0x1a, 0x44, 0, "zen5"},
		{"AuthenticAMD", 0x0f, 0x6b, 1, ""},
		{"HygonGenuine", 0x18, 0, 1, ""},
	} {
		if got := coreOf(c.vendor, c.family, c.model, c.stepping); got != c.want {
			t.Errorf("coreOf(%s, %#x, %#x, %d) = %q, want %q", c.vendor, c.family, c.model, c.stepping, got, c.want)
		}
	}
}

func TestARM(t *testing.T) {
	features := func(target string, hidden ...string) set {
		like, _ := facts.LookupTarget(target)
		s := newSet(like.Features)
		for _, f := range hidden {
			delete(s, f)
		}
		return s
	}
	for _, c := range []struct {
		name     string
		features set
		cores    []armCore
		target   string
		rule     string
	}{
		{"graviton2", features("neoverse_n1"), []armCore{{"0x41", "0xd0c"}}, "neoverse_n1", "strict"},
		{"without the event stream", features("neoverse_n1", "evtstrm"), []armCore{{"0x41", "0xd0c"}}, "neoverse_n1", "relaxed"},
		{"without the timing bit", features("ampere1", "dit"), []armCore{{"0xc0", "0xac3"}}, "ampere1", "relaxed"},
		{"without what counts", features("neoverse_n1", "atomics"), []armCore{{"0x41", "0xd0c"}}, "cortex_a72", "strict"},
		{"two kinds of core", features("neoverse_v2"), []armCore{{"0x41", "0xd40"}, {"0x41", "0xd4f"}}, "neoverse_v2", "strict"},
		{"Graviton5", features("neoverse_v3"), []armCore{{"0x41", "0xd84"}}, "neoverse_v3", "bounded"},
		{"Axion N4A", features("neoverse_n3"), []armCore{{"0x41", "0xd8e"}}, "neoverse_n3", "bounded"},
		{"an N3 that shows all of V3", features("neoverse_v3"), []armCore{{"0x41", "0xd8e"}}, "neoverse_n3", "bounded"},
		{"an N3 without pointer authentication", features("neoverse_n3", "paca", "pacg"), []armCore{{"0x41", "0xd8e"}}, "neoverse_v2", "strict"},
		{"Cobalt 100 under Microsoft's number", features("neoverse_n2", "cpuid"), []armCore{{"0x6d", "0xd49"}}, "neoverse_n2", "bounded"},
		{"Olympus", features("olympus"), []armCore{{"0x4e", "0x010"}}, "olympus", "bounded"},
		{"MONAKA", features("monaka"), []armCore{{"0x46", "0x003"}}, "monaka", "bounded"},
		{"MONAKA without what copies memory", features("monaka", "mops"), []armCore{{"0x46", "0x003"}}, "a64fx", "strict"},
		{"ThunderX2 under Broadcom's number", features("thunderx2"), []armCore{{"0x42", "0x516"}}, "thunderx2", "bounded"},
		{"two makers", features("neoverse_n1"), []armCore{{"0x41", "0xd0c"}, {"0x61", "0x022"}}, "aarch64", "strict"},
		{"nothing known", set{}, nil, "aarch64", "strict"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := processor{family: "aarch64", features: c.features}
			if got := p.armCPU(c.cores); got.Target != c.target || got.Rule != c.rule {
				t.Errorf("target %s by rule %s, want %s by %s", got.Target, got.Rule, c.target, c.rule)
			}
		})
	}
}

func TestCPUInfoText(t *testing.T) {
	for _, c := range []struct {
		name, text, arch string
		target           string
	}{
		{"first block only", "processor : 0\nvendor_id : GenuineIntel\nflags : lm mmx sse sse2 ssse3\n\nprocessor : 1\nflags : avx2 lm\n", "amd64", "core2"},
		{"32 bits", "flags : fpu mmx sse\n", "386", "x86"},
		{"32-bit ARM", "Features : neon vfpv4\nCPU implementer : 0x41\nCPU part : 0xd08\n", "arm", "arm"},
		{"POWER", "processor\t: 0\ncpu\t\t: POWER9, altivec supported\n", "ppc64le", "power9le"},
		{"POWER11 as Linux writes it", "cpu\t\t: Power11 (architected), altivec supported\n", "ppc64le", "power11le"},
		{"POWER11 in capitals", "cpu\t\t: POWER11 (raw), altivec supported\n", "ppc64le", "power11le"},
		{"POWER without a number", "cpu\t: POWERnext\n", "ppc64le", "ppc64le"},
		{"RISC-V", "hart : 1\nisa : rv64imafdc\nuarch : sifive,u74-mc\n", "riscv64", "u74mc"},
		{"RISC-V of another make", "isa : rv64imafdc\n", "riscv64", "riscv64"},
		{"z15", "vendor_id       : IBM/S390\n# processors    : 2\nfeatures\t: esan3 vx\nprocessor 0: version = FF,  identification = 0A1B2C,  machine = 8561\n\n", "s390x", "z15"},
		{"z of an unknown type", "vendor_id : IBM/S390\nprocessor 0: version = FF,  identification = 0A1B2C,  machine = 9999\n", "s390x", "s390x"},
		{"Loongson 3C5000", "system type\t: generic-loongson-machine\n\nprocessor\t: 0\nCPU Family\t: Loongson-64bit\nModel Name\t: Loongson-3C5000\nISA\t: loongarch32 loongarch64\n", "loong64", "la464"},
		{"Loongson 3C6000", "processor\t: 0\nCPU Family\t: Loongson-64bit\nModel Name\t: Loongson-3C6000/S\n", "loong64", "la664"},
		{"another Loongson", "processor\t: 0\nCPU Family\t: Loongson-64bit\nModel Name\t: Loongson-2K3000\n", "loong64", "loongarch64"},
		{"P550", "isa : rv64imafdch_zicsr_zifencei_zba_zbb_sscofpmf\nuarch : eswin,eic770x\n", "riscv64", "p550"},
		{"X100", "isa : rv64imafdcvh_zicbom\nuarch : spacemit,x100\n", "riscv64", "x100"},
		{"SG2042", "isa : rv64imafdc_zicntr_zicsr\nuarch : thead,c920\n", "riscv64", "c920"},
		{"SG2044", "isa : rv64imafdcv_zicbom_zvfh\nuarch : thead,c920\n", "riscv64", "sg2044"},
		{"unknown", "vendor_id : IBM/S360\n", "", ""},
		{"empty", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			info := parseCPUInfo(c.text)
			if got := info.arch(); got != c.arch {
				t.Fatalf("arch() = %q, want %q", got, c.arch)
			}
			if c.arch == "" {
				return
			}
			if got := info.cpu(facts.FamilyOf(c.arch)).Target; got != c.target {
				t.Errorf("target = %s, want %s", got, c.target)
			}
		})
	}
}

func FuzzCPUInfo(f *testing.F) {
	f.Add("processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 1\nflags\t\t: lm sse2 avx2\n\nprocessor\t: 1\n")
	f.Add("processor : 0\nFeatures : fp asimd\nCPU implementer : 0x41\nCPU part : 0xd0c\n\nCPU implementer : 0x41\nCPU part : 0xd40\n")
	f.Add("cpu : POWER10, altivec supported\n")
	f.Add("hart : 0\nisa : rv64imafdc\nuarch : spacemit,x60\n")
	f.Add(":\n:::\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		info := parseCPUInfo(text)
		for _, family := range []string{"x86_64", "aarch64", "ppc64", "ppc64le", "riscv64", "x86"} {
			cpu := info.cpu(family)
			target, ok := facts.LookupTarget(cpu.Target)
			strict, okStrict := facts.LookupTarget(cpu.Strict)
			if !ok || !okStrict || target.Root() != family || strict.Root() != family {
				t.Fatalf("%q as %s gives target %q, strict %q", text, family, cpu.Target, cpu.Strict)
			}
			if !slices.IsSorted(cpu.Features) || strings.Contains(strings.Join(cpu.Features, ""), "\n") {
				t.Fatalf("%q as %s gives features %q", text, family, cpu.Features)
			}
		}
	})
}

func FuzzDriver(f *testing.F) {
	f.Add("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\nGCC version: 12.2.0\n")
	f.Add("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build  (x@y)")
	f.Add("12:30:11 1..2 . .5")
	f.Fuzz(func(t *testing.T, text string) {
		version := parseDriver(text)
		if version == "" {
			return
		}
		if strings.Trim(version, "0123456789.") != "" || parseDriver("NVRM version: "+version+" ") != version {
			t.Errorf("parseDriver(%q) = %q", text, version)
		}
	})
}

func FuzzLibraryCache(f *testing.F) {
	f.Add([]byte("glibc-ld.so.cache1.1"))
	f.Add(cacheOf(0x0303, "libmpi.so.40", "/usr/lib/libmpi.so.40"))
	f.Fuzz(func(_ *testing.T, raw []byte) {
		_, _ = parseCache(raw, 0x0303, nil) // must not panic
	})
}
