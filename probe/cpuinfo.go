package probe

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// maxCPUInfo limits what is read of /proc/cpuinfo: a block has up to 8 KiB, and only ARM's, of 400
// bytes, are all read.
const maxCPUInfo = 1 << 20

// cpuinfo is the text of /proc/cpuinfo: keys and values of the first CPU, and the cores of all.
type cpuinfo struct {
	values  map[string]string
	cores   []armCore // distinct, in order; none if the text is not ARM's
	machine string    // the machine type of IBM Z; empty if the text has none
}

// armCore is a kind of ARM core.
type armCore struct {
	implementer, part string // "0x41", "0xd0c"
}

// parseCPUInfo reads the text of /proc/cpuinfo as archspec does: the first block ends at a line
// without a colon. A core is an implementer and the part that follows it.
func parseCPUInfo(text string) cpuinfo {
	c := cpuinfo{values: map[string]string{}}
	first := true
	core := armCore{}
	for line := range strings.Lines(text) {
		key, value, found := strings.Cut(line, ":")
		if !found {
			// LoongArch names the kind of machine in a block of its own.
			_, machine := c.values["system type"]
			first = first && (len(c.values) == 0 || machine && len(c.values) == 1)
			continue
		}
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if first {
			c.values[key] = value
		}
		switch key {
		case "processor 0": // "version = FF,  identification = …,  machine = 8561"
			if _, machine, ok := strings.Cut(value, "machine = "); ok {
				c.machine = strings.TrimSpace(machine)
			}
		case "CPU implementer":
			core = armCore{implementer: strings.ToLower(value)}
		case "CPU part":
			core.part = strings.ToLower(value)
			if !slices.Contains(c.cores, core) {
				c.cores = append(c.cores, core)
			}
		}
	}
	return c
}

// number returns a decimal value, 0 if there is none.
func (c cpuinfo) number(key string) int {
	n, err := strconv.Atoi(c.values[key])
	if err != nil {
		return 0
	}
	return n
}

// arch returns the architecture that the text describes, in GOARCH spelling; empty if it is not
// known. The text does not state the byte order of POWER; little-endian is assumed.
func (c cpuinfo) arch() string {
	switch {
	case c.values["flags"] != "":
		if slices.Contains(strings.Fields(c.values["flags"]), "lm") {
			return "amd64"
		}
		return "386"
	case c.values["CPU implementer"] != "":
		// A 32-bit kernel calls the SIMD unit neon.
		if slices.Contains(strings.Fields(c.values["Features"]), "asimd") {
			return "arm64"
		}
		return "arm"
	case strings.HasPrefix(c.values["cpu"], "POWER"), strings.HasPrefix(c.values["cpu"], "Power"):
		return "ppc64le"
	case strings.HasPrefix(c.values["isa"], "rv64"):
		return "riscv64"
	case strings.HasPrefix(c.values["vendor_id"], "IBM/S390"):
		return "s390x"
	case strings.HasPrefix(c.values["CPU Family"], "Loongson-64bit"),
		strings.Contains(c.values["isa"], "loongarch64"):
		return "loong64"
	}
	return ""
}

// processor returns what the text says about a CPU of a family.
func (c cpuinfo) processor(family string) processor {
	p := processor{family: family}
	switch family {
	case "x86_64", "x86":
		p.vendor = c.values["vendor_id"]
		p.features = newSet(strings.Fields(c.values["flags"]))
		p.features.addImplied()
		p.number, p.model = c.number("cpu family"), c.number("model")
		p.stepping = c.number("stepping")
	case "aarch64":
		p.features = newSet(strings.Fields(c.values["Features"]))
		p.vendor = implementer(c.values["CPU implementer"])
		p.part = strings.ToLower(c.values["CPU part"])
	case "ppc64", "ppc64le":
		p.generation = powerGeneration(c.values["cpu"])
		p.core = laterPowerCore(family, c.values["cpu"])
	case "riscv64":
		p.core = riscvCore(c.values["uarch"], c.values["model name"], c.values["isa"])
	case "s390x":
		p.core = zCore(c.machine)
	case "loongarch64":
		p.core = loongsonCore(c.name())
	}
	return p
}

// silentFeatures returns the features that the kernel of a text does not name, whether the CPU has
// them or not. Names come in groups, each with a version of the kernel: who prints none of a group
// knows none of it. Of the tiles beyond the first three no kernel prints any.
func silentFeatures(family string, shown set) set {
	var groups []string
	switch family {
	case "x86_64":
		groups = []string{
			"avx_ifma avx_ne_convert avx_vnni_int16 avx_vnni_int8 cmpccxadd sha512 sm3 sm4",
			"amx_avx512 amx_complex amx_fp16 amx_fp8 amx_movrs amx_tf32 avx10_2 movrs",
		}
	case "aarch64": // since Linux 6.10
		groups = []string{"f8dp2 f8dp4 f8fma faminmax lut"}
	}
	silent := set{}
	for _, group := range groups {
		if names := strings.Fields(group); !slices.ContainsFunc(names, shown.has) {
			maps.Copy(silent, newSet(names))
		}
	}
	return silent
}

// name returns the marketing name.
func (c cpuinfo) name() string {
	for _, key := range []string{"model name", "Model Name", "cpu"} {
		if name := c.values[key]; name != "" {
			return name
		}
	}
	return ""
}

// powerGeneration reads "POWER9, altivec supported"; 0 if there is no number.
func powerGeneration(cpu string) int {
	_, after, _ := strings.Cut(cpu, "POWER")
	end := strings.IndexFunc(after, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(after)
	}
	n, err := strconv.Atoi(after[:end])
	if err != nil {
		return 0
	}
	return n
}

// laterPowerCore returns the target of a POWER CPU that is newer than archspec's table; empty if it
// is not. Since this generation the kernel writes "Power11 (architected), altivec supported", from
// which archspec reads no number.
func laterPowerCore(family, cpu string) string {
	word, _, _ := strings.Cut(strings.Trim(strings.ToLower(cpu), " "), " ")
	if strings.TrimSuffix(word, ",") != "power11" {
		return ""
	}
	return "power11" + strings.TrimPrefix(family, "ppc64")
}

// riscvCore returns the target of a RISC-V core; empty if it is not known. The kernel prints the
// first name of the core in the device tree (Documentation/devicetree/bindings/riscv/cpus.yaml);
// some vendors' kernels print that of the SoC.
func riscvCore(uarch, model, isa string) string {
	switch {
	case uarch == "sifive,u74-mc":
		return "u74mc"
	case uarch == "sifive,p550", uarch == "eswin,eic770x":
		return "p550"
	case uarch == "spacemit,x60", model == "Spacemit(R) X60":
		return "x60"
	case uarch == "spacemit,x100", model == "Spacemit(R) X100":
		return "x100"
	case uarch == "thead,c920":
		// SG2042 has the vectors of a draft, which the kernel does not call v, as it does SG2044's.
		letters, _, _ := strings.Cut(strings.TrimPrefix(isa, "rv64"), "_")
		if strings.Contains(letters, "v") {
			return "sg2044"
		}
		return "c920"
	}
	return ""
}

// zCore returns the target of a machine type of IBM Z; empty if it is not known (GCC,
// gcc/config/s390/driver-native.cc).
func zCore(machine string) string {
	switch machine {
	case "2964", "2965":
		return "z13"
	case "3906", "3907":
		return "z14"
	case "8561", "8562":
		return "z15"
	case "3931", "3932":
		return "z16"
	case "9175", "9176":
		return "z17"
	}
	return ""
}

// loongsonCore returns the target of a Loongson; empty if it is not known. Sources: Loongson's
// product pages, by which core is in which; GCC's manual, LoongArch Options.
func loongsonCore(name string) string {
	for _, product := range []string{"3A5000", "3B5000", "3C5000", "3D5000"} {
		if strings.Contains(name, product) {
			return "la464"
		}
	}
	for _, product := range []string{"3A6000", "3B6000", "3C6000", "3D6000", "3E6000"} {
		if strings.Contains(name, product) {
			return "la664"
		}
	}
	return ""
}

// implementer returns the vendor of an ARM core as archspec spells it; an unknown one remains a
// number.
func implementer(number string) string {
	number = strings.ToLower(number)
	switch number {
	case "0x41":
		return "ARM"
	case "0x42":
		return "Broadcom"
	case "0x43":
		return "Cavium"
	case "0x44":
		return "DEC"
	case "0x46":
		return "Fujitsu"
	case "0x48":
		return "HiSilicon"
	case "0x49":
		return "Infineon Technologies AG"
	case "0x4d":
		return "Motorola"
	case "0x4e":
		return "Nvidia"
	case "0x50":
		return "APM"
	case "0x51":
		return "Qualcomm"
	case "0x53":
		return "Samsung"
	case "0x56":
		return "Marvell"
	case "0x61":
		return "Apple"
	case "0x66":
		return "Faraday"
	case "0x68":
		return "HXT"
	case "0x69":
		return "Intel"
	case "0xc0":
		return "Ampere"
	}
	return number
}
