package probe

import (
	"maps"
	"slices"

	"github.com/hpc3-project/hpc3/probe/facts"
)

// processor is what a CPU says about itself, by which its target is found.
type processor struct {
	family                  string // root of the targets, "x86_64"
	vendor                  string
	number, model, stepping int // x86: family, model and stepping
	features                set
	part                    string // ARM: "0xd0c"
	generation              int    // POWER
	core                    string // RISC-V, z, LoongArch, later POWER: the target by the text
	// Features that the processor may have although it shows none of them, because what was read
	// does not name them.
	silent set
}

// The ways in which a target is found, in the words of facts.CPU.Rule.
const (
	// archspec's own: the CPU has every feature of the target.
	ruleStrict = "strict"
	// As strict, except for niche features, up to the target that the model number names. Targets
	// newer than archspec are found in this way too.
	ruleBounded = "bounded"
	// As strict, except for niche features.
	ruleRelaxed = "relaxed"
)

// finding is a target, how it was found, and which of its features the CPU does not show.
type finding struct {
	target, strict, rule string
	missing              []string
	silent               []string // features of the target that the CPU has without showing them
}

// find returns the target of a CPU. Archspec's own answer is often too low on a virtual machine,
// because hypervisors and kernels hide features that no compiler emits. Family and model still name
// the core, and limit for how much such features may be assumed: without that limit a broadwell
// would pass for a skylake. A number that is not known cannot be held against them.
func (p processor) find() finding {
	f := finding{strict: p.fit(nil).Name, rule: ruleStrict}
	f.target = f.strict
	niche := newSet(facts.NicheFeatures(p.family))
	aside := niche.with(p.silent)
	deeper := func(t facts.Target) bool { return t.Name != f.target && t.DescendsFrom(f.target) }
	switch p.family {
	case "x86_64":
		if named, known := facts.LookupTarget(p.namedCore()); known {
			f.take(p.bounded(named, aside), ruleBounded, deeper)
		} else {
			f.take(p.fit(niche), ruleRelaxed, deeper)
		}
	case "aarch64":
		if strict, _ := facts.LookupTarget(f.strict); strict.Generic() {
			f.take(p.fit(niche), ruleRelaxed, deeper)
		}
	}
	if t, known := facts.LookupTarget(p.laterCore()); known && p.shows(t, aside) {
		// A part number of ARM names its core alone; archspec looks at features where it does not
		// know the number.
		f.take(t, ruleBounded, func(t facts.Target) bool { return p.part != "" || deeper(t) })
	}
	return f.lacking(p)
}

// take makes t the finding if it is better.
func (f *finding) take(t facts.Target, rule string, better func(facts.Target) bool) {
	if t.Name != "" && better(t) {
		f.target, f.rule = t.Name, rule
	}
}

// lacking adds the features of the target that the CPU does not show.
func (f finding) lacking(p processor) finding {
	if f.rule == ruleStrict {
		return f
	}
	t, _ := facts.LookupTarget(f.target)
	for _, name := range t.Features {
		switch {
		case p.features.has(name):
		case p.silent.has(name):
			f.silent = append(f.silent, name)
		default:
			f.missing = append(f.missing, name)
		}
	}
	return f
}

// fit is archspec's detection (archspec/cpu/detect.py), with some features set aside: the deepest
// target that descends from the deepest generic one that fits.
func (p processor) fit(aside set) facts.Target {
	candidates := p.candidates(aside)
	isOwned := func(t facts.Target) bool { return !t.Generic() }
	generic := deepest(slices.DeleteFunc(slices.Clone(candidates), isOwned))
	samePart := func(t facts.Target) bool { return t.Part == p.part }
	otherPart := func(t facts.Target) bool { return t.Part != p.part }
	if slices.ContainsFunc(candidates, samePart) {
		candidates = slices.DeleteFunc(candidates, otherPart)
	}
	if best := deepest(slices.DeleteFunc(candidates, func(t facts.Target) bool {
		return t.Name == generic.Name || !t.DescendsFrom(generic.Name)
	})); best.Name != "" {
		return best
	}
	if generic.Name == "" {
		generic, _ = facts.LookupTarget(p.family)
	}
	return generic
}

// candidates returns the targets whose features the CPU has, except for those set aside.
func (p processor) candidates(aside set) []facts.Target {
	var fitting []facts.Target
	for _, name := range facts.Family(p.family) {
		t, _ := facts.LookupTarget(name)
		if p.fits(t, aside) {
			fitting = append(fitting, t)
		}
	}
	return fitting
}

func (p processor) fits(t facts.Target, aside set) bool {
	switch p.family {
	case "ppc64", "ppc64le":
		return t.Generation <= p.generation
	case "riscv64":
		return t.Generic() || t.Name == p.core
	case "aarch64":
		if t.Generic() {
			return t.Name == "aarch64" // the others list no features, and would fit everywhere
		}
	}
	return (t.Generic() || t.Vendor == p.vendor) && p.shows(t, aside)
}

// shows reports whether the CPU has all features of t except for those set aside.
func (p processor) shows(t facts.Target, aside set) bool {
	for _, f := range t.Features {
		if !p.features.has(f) && !aside.has(f) {
			return false
		}
	}
	return true
}

// bounded returns the deepest of named and its ancestors whose features the CPU shows, except for
// those set aside.
func (p processor) bounded(named facts.Target, aside set) facts.Target {
	var fitting []facts.Target
	for _, name := range append(named.Ancestors(), named.Name) {
		if t, _ := facts.LookupTarget(name); p.fits(t, aside) {
			fitting = append(fitting, t)
		}
	}
	return deepest(fitting)
}

// deepest returns the target with the most ancestors; of equal ones the one with the most features,
// then the later one. The table has one such tie on a node: neoverse_n2 and neoverse_v2, of which
// archspec takes the latter. Without targets it is the zero target.
func deepest(targets []facts.Target) facts.Target {
	var best facts.Target
	reached := 0
	for _, t := range targets {
		depth := t.Depth()
		if best.Name == "" || depth > reached ||
			depth == reached && len(t.Features) >= len(best.Features) {
			best, reached = t, depth
		}
	}
	return best
}

// set is a set of feature names; the nil set is empty.
type set map[string]struct{}

func newSet(names []string) set {
	s := make(set, len(names))
	for _, n := range names {
		s[n] = struct{}{}
	}
	return s
}

func (s set) has(name string) bool {
	_, ok := s[name]
	return ok
}

// with returns the features of both sets.
func (s set) with(other set) set {
	both := maps.Clone(s)
	maps.Copy(both, other)
	return both
}

// addImplied adds what a feature implies, as archspec's feature_aliases do; the kernel calls sse3
// pni, and apx_f apx.
func (s set) addImplied() {
	if s.has("ssse3") {
		s["sse3"] = struct{}{}
	}
	if s.has("apx") {
		s["apx_f"] = struct{}{}
	}
}
