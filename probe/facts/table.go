package facts

// table lists the microarchitectures, one a row: name|parents|vendor|features|generation|part. An
// indented line continues a row. A parent precedes its children. Features are spelled as in
// /proc/cpuinfo; "+" adds those of all parents, since a target inherits nothing by itself. The
// facts are those of archspec (github.com/archspec/archspec-json, cpu/microarchitectures.json, as
// of August 2026).
const table = `x86||generic
i686|x86|GenuineIntel
pentium2|i686|GenuineIntel|mmx
pentium3|pentium2|GenuineIntel|+ sse
pentium4|pentium3|GenuineIntel|+ sse2
prescott|pentium4|GenuineIntel|+ sse3
x86_64||generic
x86_64_v2|x86_64|generic|cx16 lahf_lm mmx popcnt sse sse2 sse4_1 sse4_2 ssse3
x86_64_v3|x86_64_v2|generic|+ abm avx avx2 bmi1 bmi2 f16c fma movbe xsave
x86_64_v4|x86_64_v3|generic|+ avx512bw avx512cd avx512dq avx512f avx512vl
nocona|x86_64|GenuineIntel|mmx sse sse2 sse3
core2|nocona|GenuineIntel|mmx sse sse2 ssse3
nehalem|core2,x86_64_v2|GenuineIntel|+
westmere|nehalem|GenuineIntel|+ aes pclmulqdq
sandybridge|westmere|GenuineIntel|+ avx
ivybridge|sandybridge|GenuineIntel|+ f16c rdrand
haswell|ivybridge,x86_64_v3|GenuineIntel|+
broadwell|haswell|GenuineIntel|+ adx rdseed
skylake|broadwell|GenuineIntel|+ clflushopt xsavec xsaveopt
mic_knl|broadwell|GenuineIntel|+ avx512cd avx512er avx512f avx512pf
skylake_avx512|skylake,x86_64_v4|GenuineIntel|+ clwb
cannonlake|skylake,x86_64_v4|GenuineIntel|+ avx512ifma avx512vbmi sha_ni
cascadelake|skylake_avx512|GenuineIntel|+ avx512_vnni
icelake|cascadelake,cannonlake|GenuineIntel|+ avx512_bitalg avx512_vbmi2 avx512_vpopcntdq gfni
  rdpid vaes vpclmulqdq
sapphirerapids|icelake|GenuineIntel|+ amx_bf16 amx_int8 amx_tile avx512_bf16 cldemote movdir64b
  movdiri serialize waitpkg
alderlake|skylake|GenuineIntel|+ avx_vnni clwb gfni movdir64b movdiri rdpid serialize sha_ni vaes
  vpclmulqdq waitpkg
arrowlake|alderlake|GenuineIntel|+ avx_ifma avx_ne_convert avx_vnni_int8 cmpccxadd
arrowlake_s|arrowlake|GenuineIntel|+ avx_vnni_int16 sha512 sm3 sm4
k10|x86_64|AuthenticAMD|3dnow 3dnowext abm cx16 mmx sse sse2 sse4a
bulldozer|x86_64_v2|AuthenticAMD|+ abm aes avx fma4 pclmulqdq sse4a xop xsave
piledriver|bulldozer|AuthenticAMD|+ bmi1 f16c fma tbm
steamroller|piledriver|AuthenticAMD|+ fsgsbase
excavator|steamroller,x86_64_v3|AuthenticAMD|+
zen|x86_64_v3|AuthenticAMD|+ aes clflushopt clzero fsgsbase pclmulqdq rdseed sse4a xsavec xsaveopt
zen2|zen|AuthenticAMD|+ clwb
zen3|zen2|AuthenticAMD|+ pku vaes vpclmulqdq
zen4|zen3,x86_64_v4|AuthenticAMD|+ avx512_bf16 avx512_bitalg avx512_vbmi2 avx512_vnni
  avx512_vpopcntdq avx512ifma avx512vbmi flush_l1d gfni
zen5|zen4|AuthenticAMD|+ avx512_vp2intersect avx_vnni movdir64b movdiri tsc_adjust
ppc64||generic
power7|ppc64|IBM||7
power8|power7|IBM||8
power9|power8|IBM||9
power10|power9|IBM||10
ppc64le||generic
power8le|ppc64le|IBM||8
power9le|power8le|IBM||9
power10le|power9le|IBM||10
aarch64||generic
armv8.1a|aarch64|generic
armv8.2a|armv8.1a|generic
armv8.3a|armv8.2a|generic
armv8.4a|armv8.3a|generic
armv8.5a|armv8.4a|generic
armv8.6a|armv8.5a|generic
armv9.0a|armv8.5a|generic
armv9.2a|armv9.0a,armv8.6a|generic
thunderx2|armv8.1a|Cavium|aes asimd asimdrdm atomics cpuid crc32 evtstrm fp pmull sha1 sha2||0x0af
a64fx|armv8.2a|Fujitsu|asimd asimdhp asimdrdm atomics cpuid crc32 dcpop evtstrm fcma fp fphp sha1
  sha2 sve||0x001
cortex_a72|aarch64|ARM|aes asimd cpuid crc32 evtstrm fp pmull sha1 sha2||0xd08
neoverse_n1|cortex_a72,armv8.2a|ARM|+ asimddp asimdhp asimdrdm atomics dcpop fphp lrcpc||0xd0c
neoverse_v1|neoverse_n1,armv8.4a|ARM|+ asimdfhm bf16 dcpodp dgh dit fcma flagm i8mm ilrcpc jscvt
  rng sha3 sha512 sve svebf16 svei8mm uscat||0xd40
neoverse_v2|neoverse_n1,armv9.0a|ARM|+ asimdfhm bf16 dcpodp fcma flagm flagm2 frint i8mm ilrcpc
  jscvt sb sha3 sha512 sve sve2 svebf16 svei8mm uscat||0xd4f
neoverse_n2|neoverse_n1,armv9.0a|ARM|+ asimdfhm bf16 dcpodp fcma flagm flagm2 frint i8mm ilrcpc
  jscvt sb sha3 sha512 sve sve2 svebf16 svei8mm uscat||0xd49
ampere1|neoverse_n1,armv8.6a|Ampere|+ asimdfhm bf16 bti dcpodp dit ecv fcma flagm flagm2 frint i8mm
  ilrcpc jscvt paca pacg rng sb sha3 sha512 ssbs uscat||0xac3
ampere1a|ampere1|Ampere|+ sm3 sm4||0xac4
neoverse_v3ae|neoverse_v2,armv9.2a|ARM|+ afp bti dgh dit ecv paca pacg sm3 sm4 sveaes svebitperm
  svepmull svesha3 svesm4 wfxt||0xd83
m1|armv8.4a|Apple|aes asimd asimddp asimdfhm asimdhp asimdrdm atomics cpuid crc32 dcpodp dcpop dit
  evtstrm fcma flagm flagm2 fp fphp frint ilrcpc jscvt lrcpc paca pacg pmull sb sha1 sha2 sha3
  sha512 ssbs uscat||0x022
m2|m1,armv8.5a|Apple|+ bf16 bti ecv i8mm||0x032
m3|m2,armv8.6a|Apple|+
m4|m3,armv8.6a|Apple|+ sme sme2
arm||generic
ppc||generic
ppcle||generic
sparc||generic
sparc64||generic
riscv64||generic
u74mc|riscv64|SiFive
x60|riscv64|SpacemiT`

// later lists targets that archspec does not name yet, in the same form; they follow table. No rule
// of archspec's finds them: a CPU is one of them only if it names itself so and shows what the
// target adds, see probe. Features are what compilers use for the name, without what programs do
// not use by themselves. Sources:
//
//   - x86 and POWER: GCC's manual, x86 Options and PowerPC Options, and gcc/config/i386/i386.h; for
//     zen6 and the Atoms also LLVM, llvm/lib/TargetParser/X86TargetParser.cpp. The numbers: Linux,
//     arch/x86/include/asm/intel-family.h and arch/powerpc/kernel/cpu_specs_book3s_64.h.
//   - dhyana: QEMU, target/i386/cpu.c, the model Dhyana: the first Zen without its hashes.
//   - ARM: LLVM, llvm/lib/Target/AArch64/AArch64Processors.td, and GCC,
//     gcc/config/aarch64/aarch64-cores.def: neoverse-v3, neoverse-n3, olympus, fujitsu-monaka.
//   - RISC-V: Linux, Documentation/devicetree/bindings/riscv/cpus.yaml.
//   - z and LoongArch: GCC's manual, S/390 and zSeries Options, LoongArch Options.
const later = `cooperlake|cascadelake|GenuineIntel|+ avx512_bf16
tigerlake|icelake|GenuineIntel|+ avx512_vp2intersect movdir64b movdiri
graniterapids|sapphirerapids|GenuineIntel|+ amx_fp16
diamondrapids|graniterapids|GenuineIntel|+ amx_avx512 amx_complex amx_fp8 amx_movrs amx_tf32 apx_f
  avx10_2 avx512_fp16 avx_ifma avx_ne_convert avx_vnni avx_vnni_int16 avx_vnni_int8 cmpccxadd movrs
  sha512 sm3 sm4
sierraforest|arrowlake|GenuineIntel|+
grandridge|sierraforest|GenuineIntel|+
clearwaterforest|sierraforest,arrowlake_s|GenuineIntel|+
pantherlake|arrowlake_s|GenuineIntel|+
zen6|zen5|AuthenticAMD|+ avx512_fp16 avx_ifma avx_ne_convert avx_vnni_int8
dhyana|x86_64_v3|HygonGenuine|+ adx aes clflushopt clzero fsgsbase pclmulqdq rdrand rdseed sse4a
  xsavec xsaveopt
armv9.1a|armv9.0a,armv8.6a|generic
neoverse_v3|neoverse_v3ae|ARM|+||0xd84
neoverse_n3|neoverse_n2,armv9.2a|ARM|+ afp bti dgh dit ecv paca pacg svebitperm wfxt||0xd8e
olympus|armv9.2a|Nvidia|aes afp asimd asimddp asimdfhm asimdhp asimdrdm atomics bf16 bti cpuid crc32
  dcpodp dcpop dgh dit ecv evtstrm f8dp2 f8dp4 f8fma faminmax fcma flagm flagm2 fp fphp frint i8mm
  ilrcpc jscvt lrcpc lut paca pacg pmull rng sb sha1 sha2 sha3 sha512 sm3 sm4 ssbs sve sve2 sveaes
  svebf16 svebitperm svei8mm svepmull svesha3 svesm4 uscat wfxt||0x010
monaka|armv9.2a|Fujitsu|aes afp asimd asimddp asimdfhm asimdhp asimdrdm atomics bf16 bti cpuid crc32
  dcpodp dcpop dgh dit ecv evtstrm f8dp2 f8dp4 f8fma faminmax fcma flagm flagm2 fp fphp frint hbc
  i8mm ilrcpc jscvt lrcpc lut mops paca pacg pmull rng sb sha1 sha2 sha3 sha512 sm3 sm4 ssbs sve
  sve2 sveaes svebf16 svebitperm svei8mm svepmull svesha3 svesm4 uscat wfxt||0x003
p550|riscv64|SiFive
x100|riscv64|SpacemiT
c920|riscv64|T-Head
sg2044|c920|T-Head
s390x||generic
z13|s390x|IBM
z14|z13|IBM
z15|z14|IBM
z16|z15|IBM
z17|z16|IBM
loongarch64||generic
la464|loongarch64|Loongson
la664|la464|Loongson
power11|power10|IBM||11
power11le|power10le|IBM||11`
