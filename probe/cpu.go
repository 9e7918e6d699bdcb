package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"runtime"
	"slices"

	"github.com/hpc3-project/hpc3/probe/facts"
	"github.com/klauspost/cpuid/v2"
)

// nativeCPU reads the CPU on which this runs, from itself and from /proc/cpuinfo.
func nativeCPU(fsys fs.FS) (facts.CPU, []facts.Unknown) {
	var unknown []facts.Unknown
	text, err := readCPUInfo(fsys)
	if err != nil {
		unknown = append(unknown, facts.Unknown{What: "cpu.cpuinfo", Why: err.Error()})
	}
	info := parseCPUInfo(text)
	family := facts.FamilyOf(runtime.GOARCH)
	switch runtime.GOARCH {
	case "amd64", "386":
		return cpuFromCPUID(&cpuid.CPU, thisCPU(), family, info), unknown
	case "arm64":
		return cpuFromAuxv(fsys, info), unknown
	}
	if family == "" {
		why := "there is no table of " + runtime.GOARCH + " CPUs"
		return facts.CPU{Target: runtime.GOARCH}, append(unknown,
			facts.Unknown{What: "cpu", Why: why})
	}
	if arch := info.arch(); arch != runtime.GOARCH && family != "ppc64" {
		cpu := facts.CPU{Target: family, Strict: family, Rule: ruleStrict, Emulated: arch != ""}
		return cpu, unknown
	}
	return info.cpu(family), unknown
}

// recordedCPU reads the CPU of another machine from its /proc/cpuinfo, and returns its
// architecture.
func recordedCPU(fsys fs.FS) (facts.CPU, string, error) {
	text, err := readCPUInfo(fsys)
	if err != nil {
		return facts.CPU{}, "", err
	}
	info := parseCPUInfo(text)
	arch := info.arch()
	if arch == "" {
		return facts.CPU{}, "", errors.New("proc/cpuinfo tells of no architecture that is known")
	}
	return info.cpu(facts.FamilyOf(arch)), arch, nil
}

// cpu returns the CPU that the text describes.
func (c cpuinfo) cpu(family string) facts.CPU {
	p := c.processor(family)
	if family == "aarch64" {
		return p.armCPU(c.cores)
	}
	p.silent = silentFeatures(family, p.features)
	return p.cpu(c.name(), p.find())
}

// cpu returns the facts of a processor and of the target found for it. What the target has and the
// text cannot show counts as shown, as it would be on the machine itself.
func (p processor) cpu(name string, f finding) facts.CPU {
	for _, feature := range f.silent {
		p.features[feature] = struct{}{}
	}
	c := facts.CPU{
		Vendor: p.vendor, Family: p.number, Model: p.model, Stepping: p.stepping, Name: name,
		Target: f.target, Strict: f.strict, Rule: f.rule, Missing: f.missing,
		Features: slices.Sorted(maps.Keys(p.features)),
	}
	if t, ok := facts.LookupTarget(f.target); ok && c.Vendor == "" && !t.Generic() {
		c.Vendor = t.Vendor
	}
	if p.family == "x86_64" {
		c.Level = p.level()
	}
	return c
}

// level returns the x86-64 level of the psABI.
func (p processor) level() int {
	for level := 4; level > 1; level-- {
		if t, _ := facts.LookupTarget(fmt.Sprintf("x86_64_v%d", level)); p.shows(t, nil) {
			return level
		}
	}
	return 1
}
