package match

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// kind is what a demand is about.
type kind int

const (
	kindEntry   kind = iota // the entry itself is unusable
	kindOS                  // operating system or architecture
	kindCPU                 // a microarchitecture
	kindFlags               // flags of a CPU
	kindGeneric             // "generic": no demand
	kindNVIDIA              // NVIDIA GPU code
	kindAMD                 // AMD GPU code
	kindGPU                 // any GPU of a vendor
	kindDriver              // NVIDIA driver
	kindCUDA                // CUDA of the driver
	kindCompat              // the image has cuda-compat: no demand
	kindMPI
	kindGlibc
	kindLabel   // any other word
	kindUnknown // needs a fact that could not be asked
)

// demand is one parsed token of an entry.
type demand struct {
	token   string
	kind    kind
	target  *target // kindCPU; nil if no such target is known
	version version // kindDriver, kindCUDA, kindCompat, kindMPI, kindGlibc
	code    gpuCode // kindNVIDIA
	// kindAMD: "gfx90a", "gfx11-generic"; kindGPU: "nvidia", "amd"; kindMPI: "openmpi", "mpich",
	// "mpiabi"
	name string
	// kindFlags: the flags by family, in the spelling of /proc/cpuinfo
	flags map[string][]string
	also  []*demand     // what the word demands beside this
	near  func() string // kindLabel: see nearOf; nil if that is not asked for
}

// target is a microarchitecture with its frequently used properties.
type target struct {
	facts.Target
	root    string
	depth   int
	vector  int
	above   []string // ancestors
	generic bool     // a level that no vendor owns
}

// is reports whether t is other or descends from it.
func (t *target) is(other *target) bool {
	return t.Name == other.Name || slices.Contains(t.above, other.Name)
}

// lookup returns the target of a name or alias, nil if there is none.
func (c *chooser) lookup(name string) *target {
	if t, ok := c.targets[name]; ok {
		return t
	}
	var t *target
	found := found(name)
	if found == nil {
		found, _ = c.cpuNamed(name)
	}
	if found != nil {
		t = &target{
			Target: *found, root: found.Root(), above: found.Ancestors(),
			generic: found.Vendor == "" || found.Vendor == "generic",
		}
		// archspec has no Armv9.1, which is all that these two ask for.
		if t.Name != "armv9.1a" && slices.Contains(t.above, "armv9.0a") &&
			slices.Contains(t.above, "armv8.6a") {
			t.above = append(t.above, "armv9.1a")
		}
		t.depth = len(t.above)
		t.vector = vectorClass(t)
	}
	c.targets[name] = t
	return t
}

// vectorClass orders targets by the width of their vectors; for POWER it is the generation.
func vectorClass(t *target) int {
	has := func(feature string) bool { return slices.Contains(t.Features, feature) }
	from := func(level string) bool { return t.Name == level || slices.Contains(t.above, level) }
	switch {
	case t.Generation > 0:
		return t.Generation
	case t.root == "x86_64":
		return firstOf(has("avx512f"), has("avx2"), has("avx"), has("sse4_2"))
	case t.root == "aarch64":
		return firstOf(has("sve2") || from("armv9.0a"), has("sve"), has("atomics") ||
			from("armv8.1a"))
	}
	return 0
}

// firstOf returns the number of conditions from the first true one on.
func firstOf(conditions ...bool) int {
	i := slices.Index(conditions, true)
	if i < 0 {
		return 0
	}
	return len(conditions) - i
}

// demandsOf reads the variant and the tokens of an entry.
func (c *chooser) demandsOf(e *oci.Entry) []*demand {
	demands := make([]*demand, 0, len(e.Tokens)+1)
	if e.Platform != nil && e.Platform.Variant != "" && !oddVariant(e) {
		v := e.Platform.Variant
		demands = append(demands, &demand{
			token: v, kind: kindCPU,
			target: c.lookup(variantTarget(e.Platform.Architecture, v)),
		})
	}
	for _, token := range e.Tokens {
		d, ok := c.known[token]
		if !ok {
			d = c.read(token)
			c.known[token] = d
		}
		demands = append(demands, d)
		demands = append(demands, d.also...)
	}
	if e.Platform != nil && e.Platform.Architecture == "ppc64le" {
		for i, d := range demands {
			demands[i] = c.littleEndian(d)
		}
	}
	return demands
}

// oddVariant reports whether an entry for amd64 has a variant of arm64: podman on Apple silicon
// writes v8 on all that it pulls and pushes (podman#22730). It says nothing of the image.
func oddVariant(e *oci.Entry) bool {
	return e.Platform != nil && e.Platform.Architecture == "amd64" &&
		(e.Platform.Variant == "v8" || e.Platform.Variant == "v8.0")
}

// OddVariant says what is odd about the variant of an entry, as a sentence; "" if nothing is. The
// entry fits as one without a variant, after all others.
func OddVariant(e oci.Entry) string {
	if !oddVariant(&e) {
		return ""
	}
	return fmt.Sprintf("its variant %s is one of arm64, as podman on Apple silicon writes it; "+
		"it is taken as one for any amd64", clip(e.Platform.Variant))
}

// littleEndian returns the demand of an image for ppc64le: compilers call POWER's cores alike for
// both byte orders.
func (c *chooser) littleEndian(d *demand) *demand {
	if d.kind != kindCPU || d.target == nil || d.target.root != "ppc64" {
		return d
	}
	le := *d
	if t := c.lookup(d.target.Name + "le"); t != nil {
		le.target = t
	}
	return &le
}

// variantTarget returns the target that a variant of the image specification means; another variant
// may itself be a target's name.
func variantTarget(arch, variant string) string {
	level, numbered := strings.CutPrefix(variant, "v")
	switch {
	case arch == "amd64" && variant == "v1":
		return "x86_64"
	case arch == "amd64" && numbered:
		return "x86_64_v" + level
	case arch == "arm64" && (variant == "v8" || variant == "v8.0"):
		return "aarch64"
	case arch == "arm64" && variant == "v9":
		return "armv9.0a"
	case arch == "arm64" && numbered:
		return "armv" + level + "a"
	case arch == "ppc64le" && strings.HasPrefix(variant, "power") &&
		!strings.HasSuffix(variant, "le"):
		return variant + "le"
	}
	return variant
}

// read parses one token. A word outside the vocabulary is a label.
func (c *chooser) read(token string) *demand {
	if token == "generic" {
		return &demand{token: token, kind: kindGeneric}
	}
	d, ok := readPattern(token) // no name of a CPU is one, and most words are
	if !ok {
		if t := c.lookup(token); t != nil {
			return &demand{token: token, kind: kindCPU, target: t}
		}
		d = c.readSpelled(token)
	}
	d.token = token
	return &d
}

// readSpelled parses a word that is not in the normal form.
func (c *chooser) readSpelled(token string) demand {
	if _, known := c.cpuNamed(token); known {
		return demand{kind: kindCPU}
	}
	if words := spelled(token); len(words) > 0 {
		d := *c.read(words[0])
		for _, word := range words[1:] {
			also := *c.read(word)
			also.token = token
			d.also = append(d.also, &also)
		}
		return d
	}
	switch token {
	case "cuda":
		return demand{kind: kindGPU, name: "nvidia"}
	case "rocm":
		return demand{kind: kindGPU, name: "amd"}
	}
	if flags := readFlag(token); flags != nil {
		return demand{kind: kindFlags, flags: flags}
	}
	return demand{kind: kindLabel, near: c.nearOf(token)}
}

// readPattern parses the tokens that hold numbers.
func readPattern(token string) (demand, bool) {
	prefix, rest, ok := strings.Cut(token, "-")
	if !ok {
		return demand{}, false
	}
	switch prefix {
	case "nv":
		code, ok := readGPUCode(rest)
		return demand{kind: kindNVIDIA, code: code}, ok
	case "nvidia":
		v, ok := numbers(rest, 2, 3)
		return demand{kind: kindDriver, version: v}, ok
	case "cuda":
		if compat, number, versioned := strings.Cut(rest, "-"); compat == "compat" {
			v, ok := numbers(number, 2, 2)
			return demand{kind: kindCompat, version: v}, ok || !versioned
		}
		v, ok := numbers(rest, 2, 2)
		return demand{kind: kindCUDA, version: v}, ok
	case "rocm":
		v, ok := numbers(rest, 1, 3)
		return demand{kind: kindGPU, version: v, name: "amd"}, ok
	case "glibc":
		v, ok := numbers(rest, 2, 2)
		return demand{kind: kindGlibc, version: v}, ok
	case "amd":
		return demand{kind: kindAMD, name: rest}, isGFX(rest)
	case "mpi":
		name, number, given := strings.Cut(rest, "-")
		v, ok := numbers(number, 1, 8)
		return demand{kind: kindMPI, name: name, version: v},
			slices.Contains([]string{"openmpi", "mpich", "mpiabi"}, name) && (ok || !given)
	}
	return demand{}, false
}

// readGPUCode reads what follows "nv-": "compute-9-0a", "ptx-8-0".
func readGPUCode(s string) (gpuCode, bool) {
	form, rest, _ := strings.Cut(s, "-")
	var code gpuCode
	switch form {
	case "compute":
		if trimmed := strings.TrimRight(rest, "af"); len(rest)-len(trimmed) == 1 {
			code.exact = rest[len(trimmed)] == 'a'
			code.suffix = rest[len(trimmed):]
			rest = trimmed
		}
	case "ptx":
		code.ptx = true
	default:
		return gpuCode{}, false
	}
	v, ok := numbers(rest, 2, 2)
	if ok {
		code.capability = capability{v[0], v[1]}
	}
	return code, ok
}

// numbers parses low to high numbers separated by hyphens, of at most six digits each.
func numbers(s string, low, high int) (version, bool) {
	parts := strings.Split(s, "-")
	if len(parts) < low || len(parts) > high {
		return nil, false
	}
	v := make(version, len(parts))
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 32)
		if err != nil || len(part) > 6 {
			return nil, false
		}
		v[i] = int(n)
	}
	return v, true
}

// targetOf returns the deepest CPU demand, by ancestors and then features, else the root of the
// family.
func (c *chooser) targetOf(e *oci.Entry, demands []*demand) *target {
	var deepest *target
	for _, d := range demands {
		if t := d.target; t != nil && (deepest == nil || t.depth > deepest.depth ||
			t.depth == deepest.depth && len(t.Features) > len(deepest.Features)) {
			deepest = t
		}
	}
	if deepest != nil {
		return deepest
	}
	if e.Platform == nil {
		return nil
	}
	return c.lookup(facts.FamilyOf(e.Platform.Architecture))
}

// clip shortens and quotes a word from an index.
func clip(s string) string {
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return fmt.Sprintf("%q", s)
}
