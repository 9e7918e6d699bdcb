package probe

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/hpc3-project/hpc3/probe/facts"
	"github.com/klauspost/cpuid/v2"
)

// cpuFromAuxv reads an ARM CPU from the auxiliary vector, which the kernel hands to every process,
// and from the ID register. qemu-user emulates both, while it shows the host's /proc/cpuinfo. The
// cpuid package names only some of ARM's features: only the register is read through it.
func cpuFromAuxv(fsys fs.FS, info cpuinfo) facts.CPU {
	p := info.processor("aarch64")
	if raw, err := readFile(fsys, "proc/self/auxv", maxAuxv); err == nil {
		if features := auxvFeatures([]byte(raw)); len(features) > 0 {
			p.features = features
		}
	}
	core, ok := registerCore(&cpuid.CPU)
	samePart := func(c armCore) bool { return c.part == core.part }
	if len(info.cores) > 0 && (!ok || slices.ContainsFunc(info.cores, samePart)) {
		return p.armCPU(info.cores)
	}
	var cores []armCore
	if ok {
		cores = append(cores, core)
	}
	cpu := p.armCPU(cores)
	cpu.Emulated = len(info.values) > 0
	return cpu
}

// armCPU finds the target that all kinds of core of one machine share, since a process may run on
// any of them.
func (p processor) armCPU(cores []armCore) facts.CPU {
	p.vendor, p.part, p.silent = "", "", silentFeatures("aarch64", p.features)
	common := p.find()
	for i, core := range cores {
		p.vendor, p.part = implementer(core.implementer), core.part
		f := p.find()
		if i > 0 {
			f.target = commonTarget(common.target, f.target)
			f.strict = commonTarget(common.strict, f.strict)
			f.missing, f.silent = nil, nil
			f = f.lacking(p)
		}
		common = f
	}
	cpu := p.cpu("", common)
	cpu.Model = p.partNumber()
	return cpu
}

// commonTarget returns the deepest target that both are or descend from.
func commonTarget(a, b string) string {
	ta, _ := facts.LookupTarget(a)
	tb, _ := facts.LookupTarget(b)
	var shared []facts.Target
	for _, name := range append(ta.Ancestors(), ta.Name) {
		if t, ok := facts.LookupTarget(name); ok && tb.DescendsFrom(name) {
			shared = append(shared, t)
		}
	}
	return deepest(shared).Name
}

// partNumber returns ARM's part as a number, 0 if it is not known.
func (p processor) partNumber() int {
	n, err := strconv.ParseUint(p.part, 0, 16)
	if err != nil {
		return 0
	}
	return int(n)
}

// registerCore returns the core by MIDR_EL1; false if the kernel does not let a process read it.
func registerCore(c *cpuid.CPUInfo) (armCore, bool) {
	if c.Model == 0 {
		return armCore{}, false
	}
	// Of the register the package keeps the low byte of the upper half, and the lower half, whose
	// upper 12 bits are the part.
	part := fmt.Sprintf("0x%03x", c.Model>>4)
	return armCore{implementer: implementerOf(c.VendorID), part: part}, true
}

// implementerOf returns the number of a vendor in MIDR_EL1; empty for a vendor that the package
// does not know.
func implementerOf(v cpuid.Vendor) string {
	switch v {
	case cpuid.ARM:
		return "0x41"
	case cpuid.Broadcom:
		return "0x42"
	case cpuid.Cavium:
		return "0x43"
	case cpuid.DEC:
		return "0x44"
	case cpuid.Fujitsu:
		return "0x46"
	case cpuid.Infineon:
		return "0x49"
	case cpuid.Motorola:
		return "0x4d"
	case cpuid.NVIDIA:
		return "0x4e"
	case cpuid.AMCC:
		return "0x50"
	case cpuid.Qualcomm:
		return "0x51"
	case cpuid.Marvell:
		return "0x56"
	case cpuid.Intel:
		return "0x69"
	case cpuid.Ampere:
		return "0xc0"
	}
	return ""
}

// maxAuxv limits the auxiliary vector, of some 20 pairs of 16 bytes.
const maxAuxv = 1 << 14

// auxvFeatures reads the features in AT_HWCAP and AT_HWCAP2 of arm64.
func auxvFeatures(auxv []byte) set {
	features := set{}
	for ; len(auxv) >= 16; auxv = auxv[16:] {
		key, bits := binary.LittleEndian.Uint64(auxv), binary.LittleEndian.Uint64(auxv[8:])
		for i, name := range hwcapNames(key) {
			if bits>>i&1 == 1 {
				features[name] = struct{}{}
			}
		}
	}
	return features
}

// hwcapNames returns the names of the bits of an entry of the auxiliary vector, bit 0 first (Linux,
// arch/arm64/kernel/cpuinfo.c).
func hwcapNames(key uint64) []string {
	const hwcap, hwcap2 = 16, 26
	switch key {
	case hwcap:
		return strings.Fields(`fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid
			asimdrdm jscvt fcma lrcpc dcpop sha3 sm3 sm4 asimddp sha512 sve asimdfhm dit uscat
			ilrcpc flagm ssbs sb paca pacg`)
	case hwcap2:
		return strings.Fields(`dcpodp sve2 sveaes svepmull svebitperm svesha3 svesm4 flagm2 frint
			svei8mm svef32mm svef64mm svebf16 i8mm bf16 dgh rng bti mte ecv afp rpres mte3 sme
			smei16i64 smef64f64 smei8i32 smef16f32 smeb16f32 smef32f32 smefa64 wfxt ebf16 sveebf16
			cssc rprfm sve2p1 sme2 sme2p1 smei16i32 smebi32i32 smeb16b16 smef16f16 mops hbc sveb16b16
			lrcpc3 lse128 fpmr lut faminmax f8cvt f8fma f8dp4 f8dp2 f8e4m3 f8e5m2 smelutv2
			smef8f16 smef8f32 smesf8fma smesf8dp4 smesf8dp2 poe`)
	}
	return nil
}
