package match

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// Authors write the vocabulary's words in the spellings of compilers and vendors. There is one
// normal form, that of the README; what stands for it is in one table for each kind: compilerNames
// for CPUs, readFlags for flags, products for GPUs, and the patterns of spelled for what holds
// numbers.

// products are the GPUs that go by a name: words|tokens. NVIDIA's stand for their capability
// (developer.nvidia.com/cuda-gpus), AMD's for their LLVM target, by ROCm's manual. A superchip's
// name stands for its CPU too.
const products = `k80|nv-compute-3-7
p100|nv-compute-6-0
p40 p4|nv-compute-6-1
v100 v100s|nv-compute-7-0
t4 rtx6000 rtx8000|nv-compute-7-5
a100 a100x a800 a30|nv-compute-8-0
a40 a10 a10g a16 a2 rtxa6000 rtxa5000|nv-compute-8-6
l4 l40 l40s l20|nv-compute-8-9
h100 h200 h800 h20|nv-compute-9-0
gh200 grace-hopper|nv-compute-9-0 neoverse_v2
b100 b200|nv-compute-10-0
gb200 grace-blackwell|nv-compute-10-0 neoverse_v2
b300|nv-compute-10-3
gb300|nv-compute-10-3 neoverse_v2
mi25|amd-gfx900
mi50 mi60|amd-gfx906
mi100|amd-gfx908
mi200 mi210 mi250 mi250x|amd-gfx90a
mi300 mi300a mi300x mi325x mi30x mi32x|amd-gfx942
mi350 mi350x mi355x mi35x|amd-gfx950`

//nolint:gochecknoglobals // constant once read
var productBook = sync.OnceValue(func() map[string][]string {
	book := map[string][]string{}
	for row := range strings.SplitSeq(products, "\n") {
		words, tokens, _ := strings.Cut(row, "|")
		for _, word := range strings.Fields(words) {
			book[word] = strings.Fields(tokens)
		}
	}
	return book
})

// Words that hold numbers, in the spellings of nvcc, EESSI, wheels, ROCm and Debian's packages.
//
//nolint:gochecknoglobals // constant once compiled
var (
	// what NVIDIA writes behind the name of a GPU: "A100-SXM4-80GB"
	boardName = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(?:-?(?:sxm\d?|pcie|nvl|hbm\d?e?|\d{2,3}gb))+$`)
	})
	archNumber = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(sm|cc|compute|ptx)[-_.]?(\d{1,2})[-_.]?(\d)([af]?)$`)
	})
	gluedNumber = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(cuda|rocm|glibc)[-_]?(\d{1,2})(?:\.(\d{1,2})(?:\.\d{1,2})?|` +
			`-(\d{1,2})-\d{1,2})?$`)
	})
	// "cuda80" is the capability 8.0 for E4S and CUDA 8.0 for others, hence no word.
	wheelNumber = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(?:cu(?:da)?(1\d)(\d{0,2})|cu([89])(\d))$`)
	})
	// "rocm908" is a chip for E4S.
	rocmNumber = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^rocm([5-8])(\d)\d?$`)
	})
	levelNumber = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(?:(x86[-_]?64|amd64|arm64|aarch64)[-_]?)?(v[1-9](?:\.\d)?)$`)
	})
)

// spelled returns the words of the vocabulary for which a word in another spelling stands, mostly
// one; nil if it is none.
func spelled(word string) []string {
	plain := hyphened(word)
	product := strings.TrimPrefix(strings.TrimPrefix(plain, "nvidia-"), "amd-")
	if tokens := productBook()[product]; tokens != nil {
		return tokens
	}
	if name, board, more := strings.Cut(product, "-"); more && productBook()[name] != nil &&
		boardName().MatchString(board) {
		return productBook()[name]
	}
	if plain != word {
		if _, ok := readPattern(plain); ok {
			return []string{plain}
		}
	}
	if strings.Trim(word[max(0, len(word)-1):], "0123456789af") != "" {
		return chipNamed(plain) // all below end in numbers
	}
	if m := archNumber().FindStringSubmatch(word); m != nil {
		form := "nv-compute-" // "compute" is PTX for nvcc, and a GPU for people: the stricter counts
		if m[1] == "ptx" {
			form = "nv-ptx-"
		}
		return []string{form + m[2] + "-" + m[3] + m[4]}
	}
	if m := wheelNumber().FindStringSubmatch(word); m != nil {
		minor := m[2] + m[4]
		if minor == "" {
			minor = "0"
		}
		return []string{"cuda-" + m[1] + m[3] + "-" + minor}
	}
	if m := rocmNumber().FindStringSubmatch(word); m != nil {
		return []string{"rocm-" + m[1] + "-" + m[2]}
	}
	if m := gluedNumber().FindStringSubmatch(word); m != nil {
		minor := m[3] + m[4]
		// "cuda80" is a capability for E4S, "rocm90" a chip.
		if minor == "" && (m[1] == "glibc" || m[1] == "cuda" && m[2] > "2" ||
			m[1] == "rocm" && len(m[2]) > 1 && m[2] > "2") {
			return nil
		}
		if minor == "" {
			minor = "0"
		}
		return []string{m[1] + "-" + m[2] + "-" + minor}
	}
	return chipNamed(plain)
}

// chipNamed returns the word for an AMD GPU that goes by the name of its chip or, as LLVM has them,
// of several; nil if it is none.
func chipNamed(plain string) []string {
	if !strings.HasPrefix(plain, "gfx") {
		return nil
	}
	if _, ok := readPattern("amd-" + plain); ok {
		return []string{"amd-" + plain}
	}
	return nil
}

// levelOf returns the target that a level of an architecture stands for, as "v3", "amd64-v3" and
// "arm64_v8.2"; "" if it is none. The numbers of amd64 and arm64 differ.
func levelOf(word string) string {
	m := levelNumber().FindStringSubmatch(word)
	if m == nil {
		return ""
	}
	arch := "amd64"
	if m[2] >= "v8" {
		arch = "arm64"
	}
	given := oci.Architecture(strings.ReplaceAll(m[1], "_", "-"))
	if given == "x8664" {
		given = "amd64"
	}
	if given != "" && given != arch {
		return ""
	}
	return variantTarget(arch, m[2])
}

// compilerBook is what compilers call CPUs: by name with "_" for "-", a row of compilerTargets or,
// without a bar, the name of a target.
//
//nolint:gochecknoglobals // constant once read
var compilerBook = sync.OnceValue(func() map[string]string {
	book := map[string]string{}
	for row := range unfolded(compilerOthers) {
		_, names, _ := strings.Cut(row, "|")
		for _, name := range strings.Fields(names) {
			// Shorter ones are words of other kinds as well: "g5", "970".
			if len(name) > 4 && strings.Trim(name[:1], "0123456789") != "" {
				book[underscored(name)] = ""
			}
		}
	}
	for row := range unfolded(compilerTargets) {
		name, _, _ := strings.Cut(row, "|")
		book[underscored(name)] = row
	}
	for row := range unfolded(compilerNames) {
		target, names, _ := strings.Cut(row, "|")
		for _, name := range strings.Fields(names) {
			book[underscored(name)] = target
		}
	}
	book["native"] = "" // the machine of the author
	return book
})

// unfolded returns the rows of a table, each as one line.
func unfolded(table string) func(yield func(string) bool) {
	return strings.SplitSeq(strings.ReplaceAll(table, "\n  ", " "), "\n")
}

func underscored(name string) string { return strings.ReplaceAll(name, "-", "_") }

// armLevel matches the levels of ARM's architecture as compilers write them.
//
//nolint:gochecknoglobals // constant once compiled
var armLevel = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^armv([89])(\.\d)?[-_]?a$`)
})

// riscvProfile matches the profiles of RISC-V, "rva23u64".
//
//nolint:gochecknoglobals // constant once compiled
var riscvProfile = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^rv[ab]\d\d[us]64$`)
})

// cpuNamed returns the target of a name that compilers use; known tells that it is the name of a
// CPU, of which nothing more may be known.
func (c *chooser) cpuNamed(name string) (t *facts.Target, known bool) {
	if m := armLevel().FindStringSubmatch(name); m != nil && strings.HasPrefix(name, "armv") {
		level := "armv" + m[1] + m[2] + "a"
		switch {
		case m[1] == "8" && (m[2] == "" || m[2] == ".0"):
			level = "aarch64"
		case m[2] == "":
			level = "armv9.0a"
		}
		return found(level), true
	}
	if level := levelOf(name); level != "" {
		t := found(level)
		return t, t != nil
	}
	switch name {
	case "arm64", "x64", "x86_64":
		return found(map[string]string{"arm64": "aarch64"}[name]), name == "arm64"
	}
	if riscvProfile().MatchString(name) { // what a node has of it is not known
		return nil, true
	}
	plain := underscored(name)
	if t := found(plain); t != nil {
		return t, true
	}
	row, known := compilerBook()[plain]
	if !known || row == "" {
		return nil, known
	}
	if !strings.Contains(row, "|") {
		if t := found(row); t != nil {
			return t, true
		}
		return c.cpuNamed(row)
	}
	return compilerTarget(row), true
}

// found returns a target of package facts.
func found(name string) *facts.Target {
	if t, ok := facts.LookupTarget(name); ok {
		return &t
	}
	return nil
}

// compilerTarget reads a row of compilerTargets.
func compilerTarget(row string) *facts.Target {
	field := strings.Split(row, "|")
	parent, ok := facts.LookupTarget(field[1])
	if !ok {
		return nil
	}
	t := facts.Target{
		Name: field[0], Vendor: field[2], Parents: []string{field[1]},
		Features: slices.Concat(parent.Features, strings.Fields(field[3])),
	}
	slices.Sort(t.Features)
	t.Features = slices.Compact(t.Features)
	return &t
}

// normal returns words in their normal form, sorted and each once: targets by their names, other
// words as the README has them. What is no word of the vocabulary stays.
func normal(words []string) []string {
	c := newChooser(nil, Policy{})
	var all []string
	for _, word := range words {
		token, _ := oci.Token(word)
		if t := c.lookup(token); t != nil {
			all = append(all, t.Name)
		} else if tokens := spelled(token); tokens != nil {
			all = append(all, tokens...)
		} else {
			all = append(all, token)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// ArchOf returns the architecture of the images that a word is for, in GOARCH spelling: that of a
// CPU or a flag that one family alone has. It is "" for any other word.
func ArchOf(word string) string {
	token, _ := oci.Token(word)
	d := newChooser(nil, Policy{}).read(token)
	for _, d := range append([]*demand{d}, d.also...) {
		switch {
		case d.target != nil:
			return facts.ArchOf(d.target.root)
		case len(d.flags) == 1:
			for family := range d.flags {
				return facts.ArchOf(family)
			}
		}
	}
	return ""
}
