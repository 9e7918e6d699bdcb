package probe

import (
	"slices"
	"strconv"
	"strings"
)

// maxCPUInfo limits what is read of /proc/cpuinfo: a block has up to 8 KiB, and only ARM's, of 400
// bytes, are all read.
const maxCPUInfo = 1 << 20

// cpuinfo is the text of /proc/cpuinfo: keys and values of the first CPU, and the cores of all.
type cpuinfo struct {
	values map[string]string
	cores  []armCore // distinct, in order; none if the text is not ARM's
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
			first = first && len(c.values) == 0
			continue
		}
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if first {
			c.values[key] = value
		}
		switch key {
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
		p.core = riscvCore(c.values["uarch"], c.values["model name"])
	}
	return p
}

// name returns the marketing name.
func (c cpuinfo) name() string {
	if name := c.values["model name"]; name != "" {
		return name
	}
	return c.values["cpu"]
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

// riscvCore returns the target of a RISC-V core; empty if it is not known.
func riscvCore(uarch, model string) string {
	switch {
	case uarch == "sifive,u74-mc":
		return "u74mc"
	case uarch == "spacemit,x60", model == "Spacemit(R) X60":
		return "x60"
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
