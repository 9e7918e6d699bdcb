package match

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/probe/facts"
)

// What machines print in /proc/cpuinfo. Grace, Axion and Cobalt are archspec's dumps neoverse_v2
// and neoverse_n2.
const (
	armBase    = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics cpuid asimdrdm "
	kunpeng920 = armBase + "fphp asimdhp jscvt fcma dcpop asimddp asimdfhm ssbs"
	phytiumD3  = armBase + "fphp asimdhp jscvt fcma lrcpc dcpop sha3 sm3 sm4 asimddp sha512 asimdfhm dit uscat ilrcpc flagm ssbs sb paca pacg"
	oryon      = armBase + "fphp asimdhp jscvt fcma lrcpc dcpop sha3 asimddp sha512 asimdfhm dit uscat ilrcpc flagm ssbs sb paca pacg " +
		"dcpodp flagm2 frint i8mm bf16 rng bti ecv afp rpres"
	v2Common = armBase + "fphp asimdhp jscvt fcma lrcpc dcpop sha3 asimddp sha512 sve asimdfhm dit uscat ilrcpc flagm ssbs sb " +
		"dcpodp sve2 sveaes svepmull svebitperm svesha3 flagm2 frint svei8mm svebf16 i8mm bf16 dgh "
	graceCPU = v2Common + "sm3 sm4 svesm4"
	axionCPU = v2Common + "paca pacg rng bti"
	v3Common = v2Common + "sm3 sm4 svesm4 paca pacg bti ecv afp wfxt"
	olympus  = v3Common + " rng sve2p1"
	alder512 = "3dnowprefetch abm adx aes avx avx2 avx512_bf16 avx512_bitalg avx512_fp16 avx512_vbmi2 avx512_vnni avx512_vp2intersect " +
		"avx512_vpopcntdq avx512bw avx512cd avx512dq avx512f avx512ifma avx512vbmi avx512vl avx_vnni bmi1 bmi2 clflushopt clwb cx16 f16c fma " +
		"fsgsbase gfni lahf_lm mmx movbe movdir64b movdiri pclmulqdq pku popcnt rdpid rdrand rdseed serialize sha_ni sse sse2 sse3 sse4_1 " +
		"sse4_2 ssse3 vaes vpclmulqdq waitpkg xsave xsavec xsaveopt"
)

// shown returns a node by what its CPU shows.
func shown(arch, vendor, target, features string, sveBits int) facts.Node {
	return facts.Node{OS: "linux", Arch: arch, CPU: facts.CPU{
		Vendor: vendor, Target: target, Features: strings.Fields(features), SVEBits: sveBits,
	}}
}

func TestMoreThanOneLine(t *testing.T) {
	grace := shown("arm64", "ARM", "neoverse_v2", graceCPU, 128)
	bare := facts.Node{OS: "linux", Arch: "arm64", CPU: facts.CPU{Target: "neoverse_v2", SVEBits: 128, Compatible: []string{"neoverse_n2"}}}
	for _, tt := range []struct {
		name    string
		node    facts.Node
		entries []string
		want    int
		why     string // part of what is said of the first entry
	}{
		{"neoverse_n2 on Grace", grace, []string{"linux/arm64:neoverse_n2", "linux/arm64:neoverse_n1", "linux/arm64"}, 0, "a CPU of which this one, neoverse_v2, shows all features"},
		{"cobalt100 on Axion", shown("arm64", "ARM", "neoverse_v2", axionCPU, 128), []string{"linux/arm64:cobalt100", "linux/arm64/v8.2"}, 0, "shows all features"},
		{"its own before its like", grace, []string{"linux/arm64:neoverse_n2", "linux/arm64:grace"}, 1, "fits, but grace is exactly this CPU (line 12 < 19)"},
		{"its like before the level below", grace, []string{"linux/arm64/v9", "linux/arm64:neoverse_n2"}, 1, "(affinity 1 < 2)"},
		{"vectors of another length", grace, []string{"linux/arm64:neoverse_v1", "linux/arm64:neoverse_n1"}, 1, "needs neoverse_v1, whose SVE vectors have 256 bits, this CPU's 128"},
		{"vectors of unknown length", shown("arm64", "ARM", "neoverse_v2", graceCPU, 0), []string{"linux/arm64:neoverse_n2", "linux/arm64:neoverse_n1"}, 1, "whose SVE vectors have 128 bits, and the length of this CPU's is unknown"},
		{"a list without features", bare, []string{"linux/arm64:neoverse_n2", "linux/arm64"}, 1, "from which this CPU, neoverse_v2, does not descend"},
		{"256 bits set to 128", shown("arm64", "ARM", "neoverse_v1", armBase+"fphp asimdhp lrcpc dcpop asimddp sve asimdfhm bf16 dcpodp fcma flagm i8mm ilrcpc jscvt sha3 sha512 svebf16 svei8mm uscat", 128), []string{"linux/arm64:a64fx", "linux/arm64"}, 1, "whose SVE vectors have 512 bits, this CPU's 128"},
		{"its own line with shorter vectors", shown("arm64", "ARM", "neoverse_v1", armBase, 128), []string{"linux/arm64:graviton3", "linux/arm64:graviton2"}, 1, "needs graviton3 (neoverse_v1), whose SVE vectors have 256 bits, this CPU's 128"},
		{"A64FX on another of Fujitsu's", shown("arm64", "Fujitsu", "a64fx", olympus, 256), []string{"linux/arm64:a64fx", "linux/arm64/v8.2"}, 1, "whose SVE vectors have 512 bits, this CPU's 256"},

		{"alderlake with AVX-512", shown("amd64", "GenuineIntel", "icelake", alder512, 0), []string{"linux/amd64:alderlake", "linux/amd64/v3"}, 0, "a CPU of which this one, icelake, shows all features"},
		{"wider vectors on its own line", shown("amd64", "GenuineIntel", "icelake", alder512, 0), []string{"linux/amd64:alderlake", "linux/amd64:skylake_avx512"}, 1, "skylake_avx512 has AVX-512, alderlake only AVX2"},
		{"tigerlake on it", shown("amd64", "GenuineIntel", "icelake", alder512, 0), []string{"linux/amd64:tigerlake", "linux/amd64/v4"}, 0, "shows all features"},
		{"another vendor", shown("amd64", "AuthenticAMD", "zen5", alder512, 0), []string{"linux/amd64:alderlake", "linux/amd64"}, 1, "built for Intel's alderlake; this CPU is AMD's zen5"},
		{"no vendor given", shown("amd64", "", "icelake", alder512, 0), []string{"linux/amd64:alderlake", "linux/amd64"}, 0, "shows all features"},
		{"zen itself before zen2", shown("amd64", "AuthenticAMD", "zen", strings.Join(mustTarget(t, "zen").Features, " "), 0), []string{"linux/amd64:zen2", "linux/amd64:zen"}, 1, "fits, but zen is exactly this CPU (line 6 < 7)"},

		{"Kunpeng 920", shown("arm64", "HiSilicon", "aarch64", kunpeng920, 0), []string{"linux/arm64/v8.3", "linux/arm64/v8.2", "linux/arm64/v8.1", "linux/arm64"}, 1, "needs lrcpc, paca, pacg of v8.3 (armv8.3a), which this CPU, aarch64, lacks"},
		{"Kunpeng 920 is no Neoverse N1", shown("arm64", "HiSilicon", "aarch64", kunpeng920, 0), []string{"linux/arm64:neoverse_n1", "linux/arm64/v8.2"}, 1, "needs lrcpc of neoverse_n1"},
		{"Phytium D3000", shown("arm64", "0x70", "aarch64", phytiumD3, 0), []string{"linux/arm64/v8.5", "linux/arm64/v8.4", "linux/arm64/v8.2"}, 1, "needs bti, dcpodp, flagm2, frint of v8.5 (armv8.5a)"},
		{"ThunderX2 by Broadcom's number", shown("arm64", "Broadcom", "aarch64", armBase, 0), []string{"linux/arm64/v8.2", "linux/arm64/v8.1", "linux/arm64"}, 1, "needs dcpop of v8.2"},
		{"thunderx2 there", shown("arm64", "Broadcom", "aarch64", armBase, 0), []string{"linux/arm64:thunderx2", "linux/arm64"}, 0, "shows all features"},
		{"Oryon", shown("arm64", "Qualcomm", "aarch64", oryon, 0), []string{"linux/arm64/v9", "linux/arm64/v8.6", "linux/arm64/v8.5"}, 1, "needs sve2, sve of v9 (armv9.0a)"},
		{"Neoverse N1 on Oryon", shown("arm64", "Qualcomm", "aarch64", oryon, 0), []string{"linux/arm64:neoverse_n1", "linux/arm64"}, 0, "shows all features"},
		{"Olympus", shown("arm64", "Nvidia", "aarch64", olympus, 128), []string{"linux/arm64/v9.2", "linux/arm64/v9.1", "linux/arm64/v9"}, 0, "a level of which this CPU, aarch64, shows all features"},
		{"Neoverse V2 is no v8.6", shown("arm64", "ARM", "neoverse_v2", axionCPU, 128), []string{"linux/arm64/v8.6", "linux/arm64/v8.5"}, 1, "needs ecv of v8.6"},
		{"v9.1 by descent", node(t, "linux/arm64:neoverse_v3ae"), []string{"linux/arm64/v9", "linux/arm64/v9.1"}, 1, "fits, but armv9.1a is nearer"},
		{"v9.2 before v9.1", node(t, "linux/arm64:neoverse_v3ae"), []string{"linux/arm64/v9.1", "linux/arm64/v9.2"}, 1, "fits, but armv9.2a is nearer"},
		{"no v9.1 by descent", node(t, "linux/arm64:neoverse_v2"), []string{"linux/arm64/v9.1", "linux/arm64/v9"}, 1, "needs v9.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := Best([]facts.Node{tt.node}, entriesOf(t, tt.entries...), Policy{})
			checkShape(t, r)
			if r.Chosen != tt.want || !strings.Contains(strings.Join(r.Verdicts[0].Reasons, "; "), tt.why) {
				t.Errorf("chose %d, want %d, and of entry 0 %q\n%s", r.Chosen, tt.want, tt.why, verdicts(r))
			}
		})
	}
}

// The site's word for the CPU is the whole answer, and no policy gives a CPU other vectors.
func TestBesideGivesWay(t *testing.T) {
	stated, err := Describe(shown("amd64", "GenuineIntel", "icelake", alder512, 0), []string{"haswell"})
	if err != nil {
		t.Fatal(err)
	}
	if r := Best([]facts.Node{stated}, entriesOf(t, "linux/amd64:alderlake"), Policy{}); r.Chosen >= 0 {
		t.Errorf("alderlake fits a node that the site calls haswell: %s", r.Why)
	}
	grace := shown("arm64", "ARM", "neoverse_v2", graceCPU, 128)
	if r := Best([]facts.Node{grace}, entriesOf(t, "linux/arm64:neoverse_v1"), Policy{CPUFeatures: true}); r.Chosen >= 0 {
		t.Errorf("neoverse_v1 fits Grace by features: %s", r.Why)
	}
	two := []facts.Node{grace, shown("arm64", "ARM", "neoverse_v2", axionCPU, 128)}
	two[0].Hostname, two[1].Hostname = "n1", "n2"
	r := Best(two, entriesOf(t, "linux/arm64", "linux/arm64:neoverse_n2"), Policy{})
	if r.Chosen != 1 || !strings.Contains(r.Why, "neoverse_n2: the nearest of those that run on each of neoverse_v2") {
		t.Errorf("two nodes: %s\n%s", r.Why, verdicts(r))
	}
}

// The list in a node's JSON is just what the choice finds.
func TestCompatibleIsWhatFits(t *testing.T) {
	names := slices.Concat(facts.Targets(), facts.Later())
	for _, n := range []facts.Node{
		shown("arm64", "ARM", "neoverse_v2", graceCPU, 128), shown("arm64", "ARM", "neoverse_v2", graceCPU, 256), shown("arm64", "Qualcomm", "aarch64", oryon, 0),
		shown("arm64", "Nvidia", "aarch64", olympus, 128), shown("amd64", "GenuineIntel", "icelake", alder512, 0), shown("amd64", "AuthenticAMD", "zen5", alder512, 0),
		shown("arm64", "HiSilicon", "aarch64", kunpeng920, 0),
	} {
		family := facts.FamilyOf(n.Arch)
		own := mustTarget(t, n.CPU.Target)
		compatible := facts.Compatible(n.CPU, family)
		if !slices.IsSorted(compatible) {
			t.Errorf("not sorted: %q", compatible)
		}
		for _, name := range names {
			target := mustTarget(t, name)
			if target.Root() != family {
				continue
			}
			fits := Best([]facts.Node{n}, entriesOf(t, fmt.Sprintf("linux/%s:%s", n.Arch, name)), Policy{}).Chosen == 0
			ownLine := own.DescendsFrom(name) && facts.OtherVectors(n.CPU, target) == ""
			if listed := ownLine || slices.Contains(compatible, name); fits != listed {
				t.Errorf("%s on %s of %d bits: fits %v, listed %v", name, n.CPU.Target, n.CPU.SVEBits, fits, listed)
			}
		}
	}
}
