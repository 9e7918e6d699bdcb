package match

// The names of CPUs in the options -march and -mcpu of gcc 12 to 15 and clang 14, 19 and 21, and in
// the functions cpu_dispatch of clang. testdata/compilers holds the lists, and how they were made.
// Those of s390x and of vendors' compilers for RISC-V are from their manuals; beside them stand the
// names that vendors have for these cores.

// compilerNames are names of targets in the table of package facts, and of compilerTargets:
// target|names. A name with "-" for "_" is found without. Where a compiler has one name for several
// cores, it is that of the newest: an image may use all that has.
const compilerNames = `nehalem|corei7 core_i7_sse4_2
westmere|core_aes_pclmulqdq
sandybridge|corei7-avx core_2nd_gen_avx
ivybridge|core-avx-i core_3rd_gen_avx
haswell|core-avx2 core_4th_gen_avx core_4th_gen_avx_tsx
broadwell|core_5th_gen_avx core_5th_gen_avx_tsx
core2|core_2_duo_ssse3
penryn|core_2_duo_sse4_1
skylake_avx512|skx skylake-x
mic_knl|knl mic_avx512
cascadelake|cascade-lake cascadelake-sp cascadelake-ap
cooperlake|cooper-lake
icelake|icelake-client icelake-server rocketlake ice-lake icelake-sp
tigerlake|tiger-lake
graniterapids|granite-rapids
sierraforest|sierra-forest
alderlake|raptorlake meteorlake gracemont alder-lake raptor-lake
arrowlake_s|lunarlake
silvermont|slm atom_sse4_2 atom_sse4_2_movbe
bonnell|atom
k10|amdfam10 barcelona
bulldozer|bdver1
piledriver|bdver2
steamroller|bdver3
excavator|bdver4
k8|opteron athlon64 athlon-fx
k8-sse3|opteron-sse3 athlon64-sse3
nano|nano-1000 nano-2000
nano-3000|nano-x2 eden-x4 nano-x4
sapphirerapids|emeraldrapids sapphire-rapids emerald-rapids
zen4|siena
neoverse_n1|ares ampere-altra
tsv110|kunpeng920 kunpeng-920
neoverse_v1|zeus neoverse-512tvb
neoverse_v2|demeter grace
neoverse_n2|cobalt-100
thunderx2|thunderx2t99 thunderx2t99p1 vulcan
m1|apple-m1 apple-a14
m2|apple-m2 apple-a15
m3|apple-m3
m4|apple-m4
falkor|qdf24xx
thunderx|thunderxt88 thunderxt88p1 octeontx octeontx81 octeontx83 thunderxt81 thunderxt83
octeontx2|octeontx2t98 octeontx2t96 octeontx2t93 octeontx2f95 octeontx2f95n octeontx2f95mm
cortex-a57|cortex-a57.cortex-a53
cortex_a72|cortex-a72.cortex-a53
cortex-a73|cortex-a73.cortex-a35 cortex-a73.cortex-a53
cortex-a75|cortex-a75.cortex-a55
cortex-a76|cortex-a76.cortex-a55
u74mc|sifive-u74
x60|spacemit-x60
x100|spacemit-x100
p550|sifive-p550
c920|thead-c920
z13|arch11
z14|arch12
z15|arch13
z16|arch14
z17|arch15
riscv64|generic-rv64 rv64gc
aarch64|generic-armv8-a
armv9.0a|generic-armv9-a
ppc64|powerpc64
ppc64le|powerpc64le
power7|pwr7
power8|pwr8
power9|pwr9
power10|pwr10
power11|pwr11`

// compilerTargets are CPUs that archspec does not name: name|parent|vendor|features beside those of
// the parent. Features are what gcc 15 predefines for -march=NAME, for ARM the extensions that gcc
// -mcpu=NAME -S writes behind .arch, with those of the level of the architecture. Features that
// compilers do not use by themselves are left out.
const compilerTargets = `graniterapids-d|graniterapids|GenuineIntel|amx_complex
bonnell|x86_64|GenuineIntel|cx16 lahf_lm mmx movbe sse sse2 sse3 ssse3
silvermont|x86_64_v2|GenuineIntel|movbe pclmulqdq rdrand sse3
goldmont|x86_64_v2|GenuineIntel|aes clflushopt fsgsbase movbe pclmulqdq rdrand rdseed sha_ni sse3
  xsave xsavec xsaveopt
goldmont-plus|x86_64_v2|GenuineIntel|aes clflushopt fsgsbase movbe pclmulqdq rdpid rdrand rdseed
  sha_ni sse3 xsave xsavec xsaveopt
tremont|x86_64_v2|GenuineIntel|aes cldemote clflushopt clwb fsgsbase gfni movbe movdir64b movdiri
  pclmulqdq rdpid rdrand rdseed sha_ni sse3 waitpkg xsave xsavec xsaveopt
eden-x2|x86_64|CentaurHauls|lahf_lm mmx sse sse2 sse3
nano|x86_64|CentaurHauls|lahf_lm mmx sse sse2 sse3 ssse3
nano-3000|x86_64|CentaurHauls|lahf_lm mmx sse sse2 sse3 sse4_1 ssse3
lujiazui|x86_64_v2|CentaurHauls|abm adx aes bmi1 bmi2 fsgsbase movbe pclmulqdq rdrand rdseed sse3
  xsave xsaveopt
yongfeng|x86_64_v3|CentaurHauls|adx aes fsgsbase pclmulqdq rdrand rdseed sha_ni sse3 xsaveopt
shijidadao|x86_64_v3|CentaurHauls|adx aes fsgsbase pclmulqdq rdrand rdseed sha_ni sse3 xsaveopt
k8|x86_64|AuthenticAMD|mmx sse sse2
k8-sse3|x86_64|AuthenticAMD|mmx sse sse2 sse3
btver1|x86_64|AuthenticAMD|abm cx16 lahf_lm mmx popcnt sse sse2 sse3 sse4a ssse3 xsave
btver2|x86_64_v2|AuthenticAMD|abm aes avx bmi1 f16c movbe pclmulqdq sse3 sse4a xsave xsaveopt
c86-4g-m4|x86_64_v3|HygonGenuine|adx aes clflushopt clzero fsgsbase pclmulqdq rdrand rdseed sha_ni
  sse3 sse4a xsavec xsaveopt
c86-4g-m6|x86_64_v3|HygonGenuine|adx aes clflushopt clzero fsgsbase pclmulqdq rdrand rdseed sha_ni
  sse3 sse4a xsavec xsaveopt
c86-4g-m7|x86_64_v4|HygonGenuine|adx aes avx512_bf16 avx512_bitalg avx512_vbmi2 avx512_vnni
  avx512_vp2intersect avx512_vpopcntdq avx512ifma avx512vbmi avx_vnni clflushopt clwb clzero
  fsgsbase gfni pclmulqdq rdrand rdseed sha_ni sse3 sse4a vaes vpclmulqdq xsavec xsaveopt
penryn|core2|GenuineIntel|sse4_1
knm|mic_knl|GenuineIntel|avx512_4fmaps avx512_4vnniw avx512_vpopcntdq
cortex-a34|aarch64|ARM|asimd crc32 fp
cortex-a35|aarch64|ARM|asimd crc32 fp
cortex-a53|aarch64|ARM|asimd crc32 fp
cortex-a57|aarch64|ARM|asimd crc32 fp
cortex-a73|aarch64|ARM|asimd crc32 fp
thunderx|aarch64|Cavium|aes asimd crc32 fp pmull sha1 sha2
ampere1b|armv8.6a|Ampere|aes asimd asimddp asimdhp asimdrdm atomics bf16 crc32 cssc fcma flagm
  flagm2 fp fphp frint i8mm ilrcpc jscvt lrcpc pmull rng sb sha1 sha2 sha3 sha512 sm3 sm4 uscat
emag|aarch64|APM|aes asimd crc32 fp pmull sha1 sha2
xgene1|aarch64|APM|asimd fp
falkor|aarch64|Qualcomm|aes asimd asimdrdm crc32 fp pmull sha1 sha2
exynos-m1|aarch64|Samsung|aes asimd crc32 fp pmull sha1 sha2
phecda|aarch64|HXT|aes asimd crc32 fp pmull sha1 sha2
cortex-a55|armv8.2a|ARM|asimd asimddp asimdhp asimdrdm atomics crc32 fp fphp lrcpc
cortex-a75|armv8.2a|ARM|asimd asimddp asimdhp asimdrdm atomics crc32 fp fphp lrcpc
cortex-a76|armv8.2a|ARM|asimd asimddp asimdhp asimdrdm atomics crc32 fp fphp lrcpc
cortex-a76ae|armv8.2a|ARM|asimd asimddp asimdhp asimdrdm atomics crc32 fp fphp lrcpc ssbs
cortex-a77|armv8.2a|ARM|asimd asimddp asimdhp asimdrdm atomics crc32 fp fphp lrcpc ssbs
cortex-a78|armv8.2a|ARM|asimd asimddp asimdhp asimdrdm atomics crc32 fp fphp lrcpc ssbs
cortex-a78ae|armv8.2a|ARM|asimd asimddp asimdhp asimdrdm atomics crc32 fp fphp lrcpc ssbs
cortex-a78c|armv8.2a|ARM|asimd asimddp asimdhp asimdrdm atomics crc32 flagm fp fphp lrcpc paca
  pacg ssbs
cortex-a65|armv8.2a|ARM|asimd asimddp asimdhp asimdrdm atomics crc32 fp fphp lrcpc ssbs
cortex-a65ae|armv8.2a|ARM|asimd asimddp asimdhp asimdrdm atomics crc32 fp fphp lrcpc ssbs
cortex-x1|armv8.2a|ARM|asimd asimddp asimdhp asimdrdm atomics crc32 fp fphp lrcpc ssbs
cortex-x1c|armv8.2a|ARM|asimd asimddp asimdhp asimdrdm atomics crc32 fp fphp lrcpc paca pacg ssbs
neoverse-e1|armv8.2a|ARM|asimd asimddp asimdhp asimdrdm atomics crc32 fp fphp lrcpc ssbs
octeontx2|armv8.2a|Cavium|aes asimd asimdrdm atomics crc32 fp pmull sha1 sha2
hip12|armv8.6a|HiSilicon|aes asimd asimddp asimdrdm atomics bf16 crc32 fcma flagm flagm2 fp frint
  i8mm ilrcpc jscvt lrcpc lrcpc3 pmull rng sb sha1 sha2 sha3 sha512 sm3 sm4 sve sve2 sveaes
  svebitperm svepmull svesha3 svesm4 uscat
tsv110|armv8.2a|HiSilicon|aes asimd asimdhp asimdrdm atomics crc32 fp fphp pmull sha1 sha2
thunderx3t110|armv8.3a|Marvell|aes asimd asimdfhm asimdhp asimdrdm atomics crc32 fcma fp fphp
  jscvt lrcpc pmull sha1 sha2 sha3 sha512 sm3 sm4
saphira|armv8.4a|Qualcomm|aes asimd asimddp asimdrdm atomics crc32 fcma flagm fp ilrcpc jscvt
  lrcpc pmull sha1 sha2 uscat
oryon-1|armv8.6a|Qualcomm|aes asimd asimddp asimdhp asimdrdm atomics bf16 crc32 fcma flagm flagm2
  fp fphp frint i8mm ilrcpc jscvt lrcpc pmull sb sha1 sha2 sha3 sha512 sm3 sm4 uscat
apple-a12|armv8.3a|Apple|asimd asimdrdm atomics crc32 fcma fp jscvt lrcpc
cortex-a510|armv9.0a|ARM|asimd asimddp asimdhp asimdrdm atomics bf16 crc32 fcma flagm flagm2 fp
  fphp frint i8mm ilrcpc jscvt lrcpc sb sve sve2 svebitperm uscat
cortex-a520|armv9.2a|ARM|asimd asimddp asimdhp asimdrdm atomics bf16 crc32 fcma flagm flagm2 fp
  fphp frint i8mm ilrcpc jscvt lrcpc sb sve sve2 svebf16 svebitperm svei8mm uscat
cortex-a520ae|armv9.2a|ARM|asimd asimddp asimdhp asimdrdm atomics bf16 crc32 fcma flagm flagm2 fp
  fphp frint i8mm ilrcpc jscvt lrcpc sb sve sve2 svebf16 svebitperm svei8mm uscat
cortex-a710|armv9.0a|ARM|asimd asimddp asimdhp asimdrdm atomics bf16 crc32 fcma flagm flagm2 fp
  fphp frint i8mm ilrcpc jscvt lrcpc sb sve sve2 svebitperm uscat
cortex-a715|armv9.0a|ARM|asimd asimddp asimdhp asimdrdm atomics bf16 crc32 fcma flagm flagm2 fp
  fphp frint i8mm ilrcpc jscvt lrcpc sb sve sve2 svebitperm uscat
cortex-a720|armv9.2a|ARM|asimd asimddp asimdhp asimdrdm atomics bf16 crc32 fcma flagm flagm2 fp
  fphp frint i8mm ilrcpc jscvt lrcpc sb sve sve2 svebf16 svebitperm svei8mm uscat
cortex-a720ae|armv9.2a|ARM|asimd asimddp asimdhp asimdrdm atomics bf16 crc32 fcma flagm flagm2 fp
  fphp frint i8mm ilrcpc jscvt lrcpc sb sve sve2 svebf16 svebitperm svei8mm uscat
cortex-a725|armv9.2a|ARM|asimd asimddp asimdhp asimdrdm atomics bf16 crc32 fcma flagm flagm2 fp
  fphp frint i8mm ilrcpc jscvt lrcpc sb sve sve2 svebf16 svebitperm svei8mm uscat
cortex-x2|armv9.0a|ARM|asimd asimddp asimdhp asimdrdm atomics bf16 crc32 fcma flagm flagm2 fp fphp
  frint i8mm ilrcpc jscvt lrcpc sb sve sve2 svebitperm uscat
cortex-x3|armv9.0a|ARM|asimd asimddp asimdhp asimdrdm atomics bf16 crc32 fcma flagm flagm2 fp fphp
  frint i8mm ilrcpc jscvt lrcpc sb sve sve2 svebitperm uscat
cortex-x4|armv9.2a|ARM|asimd asimddp asimdhp asimdrdm atomics bf16 crc32 fcma flagm flagm2 fp fphp
  frint i8mm ilrcpc jscvt lrcpc sb sve sve2 svebf16 svebitperm svei8mm uscat
cortex-x925|armv9.2a|ARM|asimd asimddp asimdhp asimdrdm atomics bf16 crc32 fcma flagm flagm2 fp
  fphp frint i8mm ilrcpc jscvt lrcpc sb sve sve2 svebf16 svebitperm svei8mm uscat
armagicpu|armv9.2a|ARM|asimd asimddp asimdhp asimdrdm atomics bf16 crc32 fcma flagm flagm2 fp fphp
  frint i8mm ilrcpc jscvt lrcpc rng sb sve sve2 svebf16 svebitperm svei8mm uscat
gb10|armv9.2a|ARM|aes asimd asimddp asimdhp asimdrdm atomics bf16 crc32 fcma flagm flagm2 fp fphp
  frint i8mm ilrcpc jscvt lrcpc pmull sb sha1 sha2 sha3 sha512 sm3 sm4 sve sve2 sveaes svebf16
  svebitperm svei8mm svepmull svesha3 svesm4 uscat`

// compilerOthers are names of CPUs of which nothing is known that could be held against a node:
// those of 32 bits, and those that no cluster has.
const compilerOthers = `amd64|athlon athlon-4 athlon-mp athlon-tbird athlon-xp c3 c3-2 c7 esther
  geode i386 i486 i586 k6 k6-2 k6-3 lakemont nehemiah pentium pentium-m
  pentium-mmx pentium3m pentium4m pentium_4 pentium_4_sse3 pentium_ii
  pentium_iii pentium_iii_no_xmm_regs pentium_m pentium_mmx pentium_pro
  pentiumpro samuel-2 winchip-c6 winchip2 yonah
arm64|apple-a10 apple-a11 apple-a13 apple-a16 apple-a17 apple-a18 apple-a7 apple-a8 apple-a9
  apple-latest apple-s10 apple-s4 apple-s5 apple-s6 apple-s7 apple-s8 apple-s9 armv8-r carmel
  cortex-a320 cortex-r82 cortex-r82ae cyclone exynos-m3 exynos-m4 exynos-m5 kryo
ppc64le|401 403 405 405fp 440 440fp 450 464 464fp 476 476fp 505 601 602 603 603e 603ev 604 604e
  620 630 740 7400 7450 750 801 821 823 8540 8548 860 970 a2 cell e300c2 e300c3 e500 e500mc
  e500mc64 e5500 e6500 ec603e g3 g4 g4+ g5 power3 power4 power5 power5+ power6 power6x powerpc
  ppc32 pwr3 pwr4 pwr5 pwr5x pwr6 pwr6x rs64 titan
riscv64|andes-45-series andes-a25 andes-a45 andes-ax25 andes-ax45 andes-ax45mpv andes-n45
  andes-nx45 generic-rv32 mips-p8700 rocket rocket-rv32 rocket-rv64 rp2350-hazard3 sifive-7-rv32
  sifive-7-rv64 sifive-7-series sifive-e20 sifive-e21 sifive-e24 sifive-e31 sifive-e34 sifive-e76
  sifive-p450 sifive-p470 sifive-p670 sifive-p870 sifive-s21 sifive-s51 sifive-s54
  sifive-s76 sifive-u54 sifive-x280 sifive-x390 syntacore-scr1-base syntacore-scr1-max
  syntacore-scr3-rv32 syntacore-scr3-rv64 syntacore-scr4-rv32 syntacore-scr4-rv64
  syntacore-scr5-rv32 syntacore-scr5-rv64 syntacore-scr7 thead-c906 tt-ascalon-d8 tt-ascalon-x
  tt-ascalon-xg veyron-v1 xiangshan-kunminghu xiangshan-nanhu`

// compilerAny are names that say nothing of a CPU, or of which the image's author alone knows which
// it was.
const compilerAny = `future generic generic-ooo generic-rv32 intel native powerpc ppc rocket size`
