package match

import (
	"slices"
	"strings"
	"sync"

	"github.com/hpc3-project/hpc3/probe/facts"
)

// Flags of a CPU are words too: "avx2", "sse4.1", "AVX512F", "sve". A word that several sources
// read differently demands what the strictest of them reads: the image may be built by any.

// plainFlags are the flags that programs use, one family a row, in the spelling of /proc/cpuinfo.
// Each is a word by itself, and with the separators "-", "_" and "." left out or replaced: so are
// the names of Node Feature Discovery and of gcc's -m options, "AVX512VNNI", "sse4.2", "amx-tile".
// Source: Linux, arch/x86/include/asm/cpufeatures.h and Documentation/arch/arm64/elf_hwcaps.rst.
const plainFlags = `x86_64|3dnow 3dnowext 3dnowprefetch abm adx aes amx_avx512 amx_bf16 amx_complex
  amx_fp16 amx_fp8 amx_int8 amx_movrs amx_tf32 amx_tile apx_f avx avx10_2 avx2 avx512_4fmaps avx512_4vnniw avx512_bf16 avx512_bitalg avx512_fp16
  avx512_vbmi2 avx512_vnni avx512_vp2intersect avx512_vpopcntdq avx512bw avx512cd avx512dq avx512er
  avx512f avx512ifma avx512pf avx512vbmi avx512vl avx_ifma avx_ne_convert avx_vnni avx_vnni_int16
  avx_vnni_int8 bmi1 bmi2 cldemote clflushopt clwb clzero cmov cmpccxadd cx16 cx8 enqcmd erms f16c
  fma fma4 fsgsbase fsrm fxsr gfni hle lahf_lm lwp misalignsse mmx mmxext monitor movbe movdir64b
  movdiri movrs mwaitx pclmulqdq pconfig pku popcnt prefetchi rdpid rdpru rdrand rdseed rdtscp rtm
  serialize sgx sha512 sha_ni sm3 sm4 sse sse2 sse3 sse4_1 sse4_2 sse4a ssse3 tbm tsxldtrk
  user_shstk vaes vpclmulqdq waitpkg wbnoinvd xgetbv1 xop xsave xsavec xsaveopt xsaves
aarch64|aes afp asimd asimddp asimdfhm asimdhp asimdrdm atomics bf16 bti crc32 cssc dcpodp dcpop dgh
  dit ebf16 ecv f8dp2 f8dp4 f8fma faminmax fcma flagm flagm2 fp fphp frint hbc i8mm ilrcpc jscvt lrcpc lrcpc3 lse128 lut mops mte
  mte3 paca pacg pmull rng rpres rprfm sb sha1 sha2 sha3 sha512 sm3 sm4 sme sme2 sme2p1 smef64f64
  smei16i64 ssbs sve sve2 sve2p1 sveaes svebf16 svebitperm svef32mm svef64mm svei8mm svepmull
  svesha3 svesm4 uscat wfxt`

// readFlags are the words that do not stand for the flag of their name alone, or are spelled in
// another way: words|family|flags|source and reading. A flag "powerN" is a generation of POWER. Of
// gcc the manual's lists of -m options and, for ARM, of extensions of -march are meant.
const readFlags = `avx512|x86_64|avx512f avx512cd avx512bw avx512dq avx512vl|archspec: any of them;
  x86-64-v4 and common use: all
sse4|x86_64|sse4_1 sse4_2|klauspost/cpuid and NFD: sse4_1; gcc: both
abm|x86_64|abm popcnt|Linux: LZCNT; gcc: LZCNT and POPCNT
lzcnt|x86_64|abm|gcc, NFD; Linux prints abm
bmi|x86_64|bmi1|gcc
pni|x86_64|sse3|Linux
aesni,aes_ni|x86_64|aes|NFD
clmul,pclmul|x86_64|pclmulqdq|NFD; gcc
fma3|x86_64|fma|NFD
sha|x86_64|sha_ni|gcc, NFD
cmpxchg16b|x86_64|cx16|Intel's manual
cmpxchg8,cmpxchg8b|x86_64|cx8|NFD; Intel's manual
lahf,sahf|x86_64|lahf_lm|NFD; gcc
rdrnd|x86_64|rdrand|gcc
crc32|x86_64|sse4_2|gcc: the instruction of SSE4.2
3dnowa|x86_64|3dnow 3dnowext|gcc
amd3dnow|x86_64|3dnow|NFD
amd3dnowext|x86_64|3dnow 3dnowext|NFD
prfchw|x86_64|3dnowprefetch|gcc
mwait|x86_64|monitor|gcc
x87,80387,fxsave|x86_64|fxsr|NFD, gcc: each CPU of 64 bits has it
shstk|x86_64|user_shstk|gcc
apxf,apx|x86_64|apx_f|gcc
amx|x86_64|amx_tile amx_bf16 amx_int8|common use, as of Sapphire Rapids
sm3_x86|x86_64|sm3|NFD
sm4_x86|x86_64|sm4|NFD
aes|aarch64|aes pmull|Linux: AES alone; gcc: with PMULL
sha1|aarch64|sha1|Linux
sha2|aarch64|sha1 sha2|Linux: SHA-256; gcc: with SHA-1
sha3|aarch64|sha3 sha512|Linux: SHA-3; gcc: with SHA-512
sm4|aarch64|sm3 sm4|Linux: SM4; gcc: with SM3
crypto|aarch64|aes pmull sha1 sha2|gcc
crc|aarch64|crc32|gcc
lse|aarch64|atomics|gcc
neon,simd,advsimd|aarch64|asimd fp|archspec, gcc
fp16|aarch64|fphp asimdhp|gcc
fp16fml|aarch64|asimdfhm fphp asimdhp|gcc
dotprod|aarch64|asimddp|gcc
rdma|aarch64|asimdrdm|gcc
rcpc|aarch64|lrcpc|gcc
rcpc2|aarch64|lrcpc ilrcpc|ARM's name
compnum|aarch64|fcma|clang
pauth|aarch64|paca pacg|gcc
memtag|aarch64|mte|gcc
f32mm|aarch64|sve svef32mm|gcc
f64mm|aarch64|sve svef64mm|gcc
sve|aarch64|sve|all; of the length of vectors it says nothing
sve2|aarch64|sve sve2|Linux: sve2 alone; gcc: with SVE
sve2p1|aarch64|sve sve2 sve2p1|gcc
sve2_aes|aarch64|sve sve2 sveaes svepmull|gcc
sve2_bitperm|aarch64|sve sve2 svebitperm|gcc
sve2_sha3|aarch64|sve sve2 svesha3|gcc
sve2_sm4|aarch64|sve sve2 svesm4|gcc
altivec|ppc64le|power8|archspec: all of the family; the ABI of ppc64le asks for POWER8
altivec|ppc64|power7|archspec: all of the family; POWER5 has none
vsx|ppc64le|power8|archspec: from POWER7; the ABI of ppc64le asks for POWER8
vsx|ppc64|power7|archspec: from POWER7
power8_vector|ppc64le|power8|gcc
power9_vector|ppc64le|power9|gcc
mma|ppc64le|power10|gcc`

// flagBook is the table of flags: by word without separators, the flags of each family.
//
//nolint:gochecknoglobals // constant once read
var flagBook = sync.OnceValue(func() map[string]map[string][]string {
	book := map[string]map[string][]string{}
	add := func(word, family string, flags []string) {
		key := bare(word)
		if book[key] == nil {
			book[key] = map[string][]string{}
		}
		book[key][family] = flags
	}
	for row := range strings.SplitSeq(strings.ReplaceAll(plainFlags, "\n  ", " "), "\n") {
		family, flags, _ := strings.Cut(row, "|")
		for _, flag := range strings.Fields(flags) {
			add(flag, family, []string{flag})
		}
	}
	for row := range strings.SplitSeq(strings.ReplaceAll(readFlags, "\n  ", " "), "\n") {
		field := strings.Split(row, "|")
		for word := range strings.SplitSeq(field[0], ",") {
			add(word, field[1], strings.Fields(field[2]))
		}
	}
	return book
})

// bare leaves the separators out of a word.
func bare(word string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == '.' {
			return -1
		}
		return r
	}, word)
}

// hyphened separates the parts of a word by hyphens.
func hyphened(word string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '.' {
			return '-'
		}
		return r
	}, word)
}

// readFlag returns the flags that a word demands, by family; nil if it is none.
func readFlag(token string) map[string][]string {
	return flagBook()[bare(strings.TrimPrefix(hyphened(token), "cpu-cpuid-"))] // a label of NFD
}

// flagsOf returns the flags that demands name, each once.
func flagsOf(demands []*demand, family string) []string {
	var flags []string
	for _, d := range demands {
		for _, f := range d.flags[family] {
			if !slices.Contains(flags, f) {
				flags = append(flags, f)
			}
		}
	}
	return flags
}

// checkFlags checks a demand for CPU flags. A label of the node with the same name counts: sites
// called nodes so before these words were read.
func (h *host) checkFlags(d *demand, refuse refuser) {
	if slices.Contains(h.labels, d.token) {
		return
	}
	if h.root == nil || d.flags[h.root.Name] == nil {
		refuse(kindFlags, "needs %s, which no CPU of %s has", d.token, h.arch)
		return
	}
	wanted := d.flags[h.root.Name]
	lacks := slices.DeleteFunc(slices.Clone(wanted), h.shows)
	switch {
	case len(lacks) == 0:
	case h.target == nil && !h.recorded:
		refuse(kindUnknown, "needs %s, and the CPU of this node is unknown", d.token)
	case !h.recorded && h.target.Generation == 0:
		refuse(kindUnknown, "needs %s, which not every %s has; the flags of this node are unknown",
			whichFlags(d, lacks), h.cpu())
	default:
		refuse(kindFlags, "needs %s, which this CPU, %s, does not show", whichFlags(d, lacks),
			h.cpu())
	}
}

// whichFlags names the flags that a node lacks, with the word that asks for them.
func whichFlags(d *demand, lacks []string) string {
	list := firstFew(lacks)
	if list == d.token {
		return list
	}
	return list + " of " + d.token
}

// shows reports whether the node has a flag.
func (h *host) shows(flag string) bool {
	if generation, is := strings.CutPrefix(flag, "power"); is && h.target != nil {
		v := parseVersion(generation)
		return h.target.Generation >= v.at(0)
	}
	switch flag {
	case "cmov", "cx8", "fxsr", "mmx", "sse", "sse2":
		return h.features[flag] || h.arch == "amd64" // each has them
	case "asimd", "fp":
		return h.features[flag] || h.arch == "arm64"
	case "sse3": // Linux calls it pni, and archspec leaves it out beside ssse3
		return h.features[flag] || h.features["pni"] || h.features["ssse3"]
	}
	return h.features[flag]
}

// describeFlags gives a node the flags that words name, beside those that it or its target has.
func (c *chooser) describeFlags(n *facts.Node, demands []*demand) {
	flags := flagsOf(demands, facts.FamilyOf(n.Arch))
	if len(flags) == 0 {
		return
	}
	features := slices.Clone(n.CPU.Features)
	if t := c.lookup(n.CPU.Target); len(features) == 0 && t != nil {
		features = slices.Clone(t.Features)
	}
	features = append(features, flags...)
	slices.Sort(features)
	n.CPU.Features = slices.Compact(features)
}

// flagged sets the keys of an entry that names flags: they may say more of its vectors than its
// target does.
func (s *score) flagged(t *target, flags []string) {
	if t == nil || len(flags) == 0 {
		return
	}
	with := *t
	with.Features = slices.Concat(t.Features, flags)
	slices.Sort(with.Features)
	with.Features = slices.Compact(with.Features)
	s[keyVector] = max(s[keyVector], vectorClass(&with))
	s[keyFeatures] = len(with.Features)
}
