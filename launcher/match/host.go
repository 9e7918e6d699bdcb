package match

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// host is a node prepared for checking entries against it.
type host struct {
	node     *facts.Node
	others   int // further nodes just like it
	arch     string
	target   *target // nil if it is not known
	root     *target // of the family; nil where the architecture has none
	features map[string]bool
	recorded bool // features are of this CPU, not of its target's list
	niche    []string
	labels   []string
	nvidia   []gpu
	amd      []gpu
	driver   version // nil without a driver
	cuda     version // nil where not known
	lookup   func(name string) *target
}

// gpu is a GPU of one vendor; index counts those of all vendors.
type gpu struct {
	index      int
	arch       string
	capability capability
	known      bool
}

func (c *chooser) newHost(n *facts.Node) host {
	h := host{node: n, arch: oci.Architecture(n.Arch), lookup: c.lookup}
	family := facts.FamilyOf(h.arch)
	h.root = c.lookup(family)
	h.target = c.lookup(strings.ToLower(n.CPU.Target))
	h.niche = facts.NicheFeatures(family)
	h.recorded = len(n.CPU.Features) > 0
	h.features = set(n.CPU.Features)
	if !h.recorded && h.target != nil {
		h.features = set(h.target.Features)
	}
	if n.CPU.Rule == facts.RuleSite && h.target != nil {
		for _, f := range h.target.Features {
			h.features[f] = true
		}
	}
	for _, label := range slices.Concat(n.Labels, n.Fabric) {
		h.labels = append(h.labels, strings.ToLower(label))
	}
	h.readGPUs()
	if n.NVIDIA != nil {
		h.driver, h.cuda = parseVersion(n.NVIDIA.Driver), parseVersion(n.NVIDIA.CUDA)
		if h.cuda == nil {
			h.cuda = cudaOfDriver(h.driver)
		}
	}
	return h
}

func set(words []string) map[string]bool {
	m := make(map[string]bool, len(words))
	for _, w := range words {
		m[w] = true
	}
	return m
}

func (h *host) readGPUs() {
	for i, g := range h.node.GPUs {
		one := gpu{index: i, arch: strings.ToLower(g.Arch)}
		switch g.Vendor {
		case "nvidia":
			one.capability, one.known = readCapability(g.Arch)
			h.nvidia = append(h.nvidia, one)
		case "amd":
			one.known = one.arch != ""
			h.amd = append(h.amd, one)
		}
	}
}

// fingerprint is equal for nodes that no entry can tell apart.
func fingerprint(n *facts.Node) string {
	var driver facts.NVIDIA
	if n.NVIDIA != nil {
		driver = *n.NVIDIA
	}
	return fmt.Sprintf("%q", []any{
		n.OS, n.Arch, n.Glibc, n.CPU.Target, n.CPU.Rule == facts.RuleSite, n.CPU.Features,
		n.CPU.Vendor, n.CPU.SVEBits,
		n.GPUs, n.NVIDIA != nil, driver, n.MPI, n.Fabric, n.Labels, n.Unknown,
	})
}

// name names the node, and says how many are like it.
func (h *host) name() string {
	name := cmp.Or(h.node.Hostname, "a node with "+cmp.Or(h.node.CPU.Target, h.node.Arch))
	if h.others > 0 {
		return fmt.Sprintf("%s and %d like it", name, h.others)
	}
	return name
}

// cpu names the CPU of the node in a sentence.
func (h *host) cpu() string { return cmp.Or(h.node.CPU.Target, "not known") }

// unknown returns why a fact could not be determined. what holds facts or first words of facts,
// such as "gpus", or "cpu" for "cpu.features".
func (h *host) unknown(what ...string) (string, bool) {
	for _, u := range h.node.Unknown {
		first, _, _ := strings.Cut(u.What, ".")
		if slices.Contains(what, u.What) || slices.Contains(what, first) {
			return cmp.Or(u.Why, "it could not be asked"), true
		}
	}
	return "", false
}

// check returns why the entry does not fit this node, and its score here.
func (h *host) check(j *judgement, p Policy) ([]refusal, score) {
	var refusals []refusal
	s := score{keyRank: j.entry.Rank}
	refuse := func(k kind, format string, args ...any) {
		refusals = append(refusals, refusal{kind: k, reason: fmt.Sprintf(format, args...)})
	}
	sameArch := h.checkPlatform(j.entry.Platform, refuse)
	gpus := gpuNeedsOf(j.demands)
	foreign := false
	for _, d := range j.demands {
		switch d.kind {
		case kindCPU:
			if sameArch {
				foreign = h.checkCPU(d, p, refuse) || foreign
			}
		case kindFlags:
			if sameArch {
				h.checkFlags(d, refuse)
			}
		case kindGPU:
			h.checkVendor(d, refuse)
			s[keyAccel] = 1
		case kindDriver:
			h.checkDriver(d, refuse)
			s[keyDriver] = max(s[keyDriver], d.version.weight())
		case kindCUDA:
			need := cudaNeed{d.version, gpus.compiled(h.nvidia), j.compat}
			j.byCompat = later(j.byCompat, h.checkCUDA(need, refuse))
		case kindMPI:
			h.checkMPI(d, refuse)
			s[keyMPI]++
		case kindGlibc:
			h.checkGlibc(d, refuse)
		case kindLabel:
			h.checkLabel(d, refuse)
			// A site's own word goes before all else. That an image knows the fabric says less of
			// its speed than code for the GPU does.
			if isFabric(d.token) {
				s[keyFabric]++
			} else {
				s[keySite]++
			}
		}
	}
	if gpus.any() {
		s[keyAccel], s[keyAccelExact] = 1, h.checkGPUs(gpus, refuse)
	}
	t := cmp.Or(j.target, h.root)
	s.cpu(t, foreign)
	if !foreign && len(refusals) == 0 { // it costs time, and orders only what fits
		s[keyLine] = h.nearness(t)
	}
	if h.root != nil {
		s.flagged(t, flagsOf(j.demands, h.root.Name))
	}
	return refusals, s
}

// nearness says how near a target is to the node's own line: by the depth of the nearest target
// that both are or descend from. A target on the line precedes those beside it.
func (h *host) nearness(t *target) int {
	switch {
	case t == nil || h.target == nil:
		return 0
	case h.target.is(t):
		return 2*t.depth + 1
	}
	common := 0
	for _, name := range t.above {
		if a := h.lookup(name); a != nil && h.target.is(a) {
			common = max(common, a.depth)
		}
	}
	return 2 * common
}

// cpu sets the keys of an entry's target.
func (s *score) cpu(t *target, foreign bool) {
	if t == nil {
		return
	}
	s[keyVector], s[keyDepth], s[keyFeatures] = t.vector, t.depth, len(t.Features)
	switch {
	case foreign:
		s[keyAffinity] = 0
	case t.generic:
		s[keyAffinity] = 1
	default:
		s[keyAffinity] = 2
	}
}

// refuser records one reason.
type refuser func(k kind, format string, args ...any)

// checkPlatform checks operating system and architecture, and reports whether the architecture is
// the node's.
func (h *host) checkPlatform(p *oci.Platform, refuse refuser) bool {
	if p == nil {
		return true
	}
	switch {
	case p.OS == "":
		refuse(kindOS, "states no operating system")
	case p.OS != h.node.OS:
		refuse(kindOS, "built for %s, the node runs %s", p.OS,
			cmp.Or(h.node.OS, "an unknown system"))
	}
	switch {
	case p.Architecture == "":
		refuse(kindOS, "states no architecture")
	case p.Architecture != h.arch:
		refuse(kindOS, "built for %s, the node is %s", p.Architecture,
			cmp.Or(h.arch, "of an unknown architecture"))
	}
	return p.Architecture == h.arch
}

// checkCPU checks a demand for a microarchitecture. It reports whether the node takes a foreign one
// by policy.
func (h *host) checkCPU(d *demand, p Policy, refuse refuser) (foreign bool) {
	switch {
	case d.target == nil:
		refuse(kindCPU, "needs %s, a CPU that hpc3 does not know", d.token)
		return false
	case h.root == nil || d.target.root != h.root.Name:
		refuse(kindCPU, "needs %s, which is not a CPU of %s", named(d), h.arch)
		return false
	case d.target.Name == h.root.Name:
		return false
	case h.target != nil && h.target.is(d.target):
		// archspec takes each core of Fujitsu's for an A64FX, and a hypervisor may shorten vectors.
		if why := facts.OtherVectors(h.node.CPU, d.target.Target); why != "" {
			refuse(kindCPU, "needs %s, %s", named(d), why)
		}
		return false
	case h.target == nil && !h.recorded:
		refuse(kindUnknown, "needs %s, and the CPU of this node is unknown", named(d))
		return false
	}
	fits, vectors := h.beside(d.target)
	if fits {
		return false
	}
	if vectors != "" { // no policy makes that fit
		refuse(kindCPU, "needs %s, %s", named(d), vectors)
		return false
	}
	missing := h.missing(d.target)
	// An empty feature list says nothing: ARM's generic levels, POWER and RISC-V have none.
	if p.CPUFeatures && len(d.target.Features) > 0 && len(h.withoutNiche(missing)) == 0 {
		return true
	}
	refuse(kindCPU, "%s", h.whyNot(d, missing))
	return false
}

// runsBeside reports whether the node runs images for a target from which its CPU does not descend.
func (h *host) runsBeside(t *target) bool {
	if t == nil || h.root == nil || t.root != h.root.Name || h.target != nil && h.target.is(t) {
		return false
	}
	fits, _ := h.beside(t)
	return fits
}

// beside reports whether the node runs images for a target from which its own does not descend; if
// only the length of vectors stands against it, it says so.
func (h *host) beside(t *target) (fits bool, vectors string) {
	return facts.Beside(h.node.CPU, func(f string) bool { return h.features[f] }, t.Target)
}

// missing returns what programs for t use and the node lacks. What a level of ARM requires is held
// only against a CPU that shows its own features.
func (h *host) missing(t *target) []string {
	var missing []string
	uses := t.Features
	if h.recorded {
		uses = t.Uses()
	}
	for _, f := range uses {
		if !h.features[f] {
			missing = append(missing, f)
		}
	}
	return missing
}

// withoutNiche leaves out features that compilers do not emit by themselves.
func (h *host) withoutNiche(features []string) []string {
	return slices.DeleteFunc(slices.Clone(features),
		func(f string) bool { return slices.Contains(h.niche, f) })
}

// whyNot says why an image for a known target of this family does not run here.
func (h *host) whyNot(d *demand, missing []string) string {
	if h.target == nil {
		return fmt.Sprintf("needs %s, and the CPU of this node is unknown", named(d))
	}
	if !d.target.generic && !h.target.generic && d.target.Vendor != h.target.Vendor {
		return h.whyNotForeign(d, missing)
	}
	if telling := h.withoutNiche(missing); len(telling) > 0 {
		missing = telling
	}
	switch {
	case d.target.Generation > h.target.Generation:
		return fmt.Sprintf("needs %s, a newer generation than this CPU, %s", named(d), h.cpu())
	case len(missing) > 0:
		return fmt.Sprintf("needs %s of %s, which this CPU, %s, lacks",
			firstFew(wellKnownFirst(missing)),
			named(d), h.cpu())
	case d.target.is(h.target):
		return fmt.Sprintf("needs %s, which is newer than this CPU, %s", named(d), h.cpu())
	}
	return fmt.Sprintf("needs %s, from which this CPU, %s, does not descend", named(d), h.cpu())
}

// whyNotForeign says why an image for another vendor's CPU does not run here. Lists of targets are
// minimal, an AMD one leaves out adx: unless this CPU's own features are known, only vectors can be
// said to lack.
func (h *host) whyNotForeign(d *demand, missing []string) string {
	missing = h.withoutNiche(missing)
	if !h.recorded {
		missing = slices.DeleteFunc(missing, func(f string) bool {
			return !strings.HasPrefix(f, "avx") && !strings.HasPrefix(f, "sve")
		})
	}
	theirs, ours := vendorName(d.target.Vendor)+"'s "+named(d),
		vendorName(h.target.Vendor)+"'s "+h.cpu()
	if len(missing) == 0 {
		return fmt.Sprintf("built for %s; this CPU is %s", theirs, ours)
	}
	return fmt.Sprintf("built for %s; this CPU, %s, lacks %s", theirs, ours,
		firstFew(wellKnownFirst(missing)))
}

// vendorName is how people call a vendor.
func vendorName(vendor string) string {
	switch vendor {
	case "GenuineIntel":
		return "Intel"
	case "AuthenticAMD":
		return "AMD"
	case "HygonGenuine":
		return "Hygon"
	case "Nvidia":
		return "NVIDIA"
	}
	return vendor
}

// wellKnownFirst moves the features by which people know a CPU to the front.
func wellKnownFirst(features []string) []string {
	known := []string{"avx512f", "avx2", "avx", "sse4_2", "sve2", "sve", "atomics"}
	rank := func(f string) int {
		if i := slices.Index(known, f); i >= 0 {
			return i
		}
		return len(known)
	}
	sorted := slices.Clone(features)
	slices.SortStableFunc(sorted, func(a, b string) int { return rank(a) - rank(b) })
	return sorted
}

// named is the entry's name for the target, with the target's own if it differs.
func named(d *demand) string {
	if d.target == nil || d.target.Name == d.token {
		return d.token
	}
	return fmt.Sprintf("%s (%s)", d.token, d.target.Name)
}

// firstFew lists up to four words.
func firstFew(words []string) string {
	const shown = 4
	if len(words) <= shown {
		return strings.Join(words, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(words[:shown], ", "), len(words)-shown)
}
