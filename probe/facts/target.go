package facts

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Target is one microarchitecture in the sense of archspec. A binary for target T is safe on a host
// of target H if H descends from T.
type Target struct {
	Name       string
	Vendor     string   // as the CPU names itself, ARM's by name; "generic" if no vendor owns it
	Parents    []string // nearest ancestors; none for the root of a family
	Features   []string // complete, sorted, distinct; minimal: a host of this target may have more
	Generation int      // POWER generation; 0 elsewhere
	Part       string   // ARM part number as in /proc/cpuinfo, "0xd0c"; empty if unknown or no ARM
}

// book is the table. It parses a row when that is looked up: a node needs its own family's rows,
// a launcher often none.
type book struct {
	rows   map[string]string // by name
	newer  []string          // those that archspec does not name, parents first
	rooted map[string]string // the root of each

	mu   sync.Mutex
	read map[string]Target
}

//nolint:gochecknoglobals // constant once read
var targets = sync.OnceValue(func() *book {
	size := strings.Count(table, "\n") + strings.Count(later, "\n") + 2
	b := &book{
		rows: make(map[string]string, size), rooted: make(map[string]string, size),
		read: map[string]Target{},
	}
	for _, text := range []string{table, later} {
		for row := range rows(text) {
			name, rest, _ := strings.Cut(row, "|")
			parents, _, _ := strings.Cut(rest, "|")
			parent, _, _ := strings.Cut(parents, ",")
			b.rows[name] = row
			b.rooted[name] = cmp.Or(b.rooted[parent], name) // a parent precedes its children
			if text == later {
				b.newer = append(b.newer, name)
			}
		}
	}
	return b
})

// rows returns the rows of a table, each as one line.
func rows(text string) iter.Seq[string] {
	return strings.SplitSeq(strings.ReplaceAll(text, "\n  ", " "), "\n")
}

func (b *book) target(name string) (Target, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.find(name)
}

func (b *book) find(name string) (Target, bool) {
	if t, ok := b.read[name]; ok {
		return t, true
	}
	row, ok := b.rows[name]
	if !ok {
		return Target{}, false
	}
	t := parseTarget(row, b.find)
	b.read[name] = t
	return t, true
}

// parseTarget reads a row of the table; find returns its parents.
func parseTarget(row string, find func(name string) (Target, bool)) Target {
	var field [6]string
	copy(field[:], strings.Split(row, "|"))
	t := Target{
		Name: field[0], Vendor: field[2], Features: strings.Fields(field[3]), Part: field[5],
	}
	if field[1] != "" {
		t.Parents = strings.Split(field[1], ",")
	}
	if len(t.Features) > 0 && t.Features[0] == "+" {
		t.Features = t.Features[1:]
		for _, p := range t.Parents {
			above, _ := find(p)
			t.Features = append(t.Features, above.Features...)
		}
		slices.Sort(t.Features)
		t.Features = slices.Compact(t.Features)
	}
	t.Generation, _ = strconv.Atoi(field[4]) // empty is 0
	return t
}

// root returns the target without parents to which the first parents lead.
func (b *book) root(name string) string { return cmp.Or(b.rooted[name], name) }

// LookupTarget returns the target of a name or an alias, in any case.
func LookupTarget(nameOrAlias string) (Target, bool) {
	t, ok := targets().target(CanonicalAlias(nameOrAlias))
	t.Parents, t.Features = slices.Clone(t.Parents), slices.Clone(t.Features)
	return t, ok
}

// Targets returns the names of all targets that archspec knows, sorted.
func Targets() []string {
	b := targets()
	isNewer := func(name string) bool { return slices.Contains(b.newer, name) }
	return slices.DeleteFunc(slices.Sorted(maps.Keys(b.rows)), isNewer)
}

// Family returns the names of the targets that archspec knows with this root, sorted.
func Family(root string) []string {
	b := targets()
	var names []string
	for name := range b.rows {
		if b.root(name) == root && !slices.Contains(b.newer, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Later returns the names of the targets that are newer than archspec's table, parents first.
func Later() []string { return slices.Clone(targets().newer) }

// CanonicalAlias returns the name that an alias stands for, and any other name in lower case. An
// alias is the same core under the name of a product or of another tool, never an older core: an
// image built for it may use all its features.
func CanonicalAlias(name string) string {
	name = strings.ToLower(name)
	switch name {
	case "x86-64", "x86_64_v1", "amd64":
		return "x86_64"
	case "x86-64-v2", "x86-64-v3", "x86-64-v4":
		return "x86_64_" + name[len(name)-2:]
	case "skylake-avx512", "skylake_sp":
		return "skylake_avx512"
	case "emeraldrapids":
		return "sapphirerapids"
	case "knl":
		return "mic_knl"
	case "znver1", "naples":
		return "zen"
	case "znver2", "rome":
		return "zen2"
	case "znver3", "milan":
		return "zen3"
	case "znver4", "genoa", "bergamo":
		return "zen4"
	case "znver5", "turin":
		return "zen5"
	case "znver6", "venice":
		return "zen6"
	case "graviton":
		return "cortex_a72"
	case "graviton2", "altra":
		return "neoverse_n1"
	case "graviton3", "graviton3e":
		return "neoverse_v1"
	// Two cores are called Axion, so that only Google's machine types tell them apart.
	case "graviton4", "grace", "c4a", "axion-c4a", "axion_c4a":
		return "neoverse_v2"
	case "cobalt100", "cobalt-100":
		return "neoverse_n2"
	case "graviton5", "cobalt200", "cobalt-200":
		return "neoverse_v3"
	case "n4a", "axion-n4a", "axion_n4a":
		return "neoverse_n3"
	case "vera":
		return "olympus"
	case "fujitsu-monaka":
		return "monaka"
	case "ampereone":
		return "ampere1a"
	case "loong64":
		return "loongarch64"
	case "sg2042", "c920v1":
		return "c920"
	case "c920v2":
		return "sg2044"
	}
	return name
}

// Ancestors returns all targets from which t descends, each once: its parents, then their parents,
// and so on.
func (t Target) Ancestors() []string {
	above := slices.Clone(t.Parents)
	for i := 0; i < len(above); i++ {
		t, _ := targets().target(above[i])
		for _, p := range t.Parents {
			if !slices.Contains(above, p) {
				above = append(above, p)
			}
		}
	}
	return above
}

// DescendsFrom reports whether name is t's own name or that of an ancestor.
func (t Target) DescendsFrom(name string) bool {
	return t.Name == name || slices.Contains(t.Ancestors(), name)
}

// Depth is the number of ancestors, by which archspec orders the targets of a family.
func (t Target) Depth() int { return len(t.Ancestors()) }

// Root returns the family, the ancestor that has no parent: "x86_64", "aarch64", "ppc64le" …
func (t Target) Root() string {
	if _, ok := targets().rows[t.Name]; !ok && len(t.Parents) > 0 { // one that a caller made
		return targets().root(t.Parents[0])
	}
	return targets().root(t.Name)
}

// Generic reports whether no vendor owns t.
func (t Target) Generic() bool { return t.Vendor == "generic" }

// FamilyOf returns the root of the targets of an architecture in GOARCH spelling; empty if there is
// none.
func FamilyOf(goarch string) string {
	switch goarch {
	case "amd64":
		return "x86_64"
	case "arm64":
		return "aarch64"
	case "386":
		return "x86"
	case "loong64":
		return "loongarch64"
	case "ppc64", "ppc64le", "riscv64", "arm", "s390x":
		return goarch
	}
	return ""
}

// ArchOf returns the architecture of a family in GOARCH spelling; empty if it is no family.
func ArchOf(family string) string {
	for _, arch := range []string{
		"amd64", "arm64", "386", "ppc64", "ppc64le", "riscv64", "arm", "s390x", "loong64",
	} {
		if FamilyOf(arch) == family {
			return arch
		}
	}
	return ""
}

// NicheFeatures returns the features of a family that hypervisors and kernels hide and that
// compiled programs do not use by themselves: only intrinsics, the kernel and code that checks at
// run time use them. A node may lack them and still be of a target that lists them, if more than
// its features says so.
func NicheFeatures(family string) []string {
	switch family {
	case "x86_64":
		return []string{
			"cldemote", "clflushopt", "clwb", "clzero", "flush_l1d", "fsgsbase", "movdir64b",
			"movdiri", "pku", "rdpid", "rdrand", "rdseed", "serialize", "tsc_adjust", "waitpkg",
			"xsavec", "xsaveopt",
		}
	case "aarch64":
		return []string{"cpuid", "dgh", "dit", "evtstrm", "rng", "ssbs"}
	}
	return nil
}
