// Package match chooses the image of an index that runs fastest on a node, or on several nodes at
// once. It is a pure function of facts, index and policy: no I/O, no randomness, nothing modified.
// For every entry it says why it was taken, passed over or refused.
package match

import (
	"slices"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// Policy is what a site may decide about the choice. The zero value is the safe default.
type Policy struct {
	// CPUFeatures also accepts an image built for a CPU that the node's does not descend from, such
	// as another vendor's, if the node has all features of that CPU.
	CPUFeatures bool

	// Unheard ignores what images state of themselves: the user runs them regardless.
	Unheard bool
}

// Verdict is the outcome for one entry.
type Verdict struct {
	Position int      // in manifests[] of the index
	Fits     bool     // every demand holds on every node
	Skipped  bool     // not an image, hence neither taken nor refused
	Reasons  []string // sentences; at least one
	Notes    []string // what could not be held against a node; mostly none
	// The CUDA release that the image's cuda-compat has to bring, "12.9"; empty if the nodes'
	// drivers need none.
	CUDACompat string
}

// Result is a choice, or a refusal.
type Result struct {
	Chosen   int       // index into the entries given; -1 if none fits
	Why      string    // why the chosen one; if none, what would have to change
	Verdicts []Verdict // one for each entry, in the order given
}

// Best chooses the entry that fits all nodes and comes first in the order of keys, see score.
// Entries keep the order of their index, which breaks ties.
func Best(nodes []facts.Node, entries []oci.Entry, p Policy) Result {
	c := newChooser(nodes, p)
	judged, best := c.judgeAll(entries)
	return c.explain(judged, best)
}

// judgeAll judges the entries of one index, and returns which is the best; -1 if none fits.
func (c *chooser) judgeAll(entries []oci.Entry) (judged []judgement, best int) {
	judged, best = make([]judgement, len(entries)), -1
	alone := onlyCandidate(entries)
	for i := range entries {
		judged[i] = c.judge(&entries[i], i == alone)
		if judged[i].fits() && (best < 0 || judged[i].before(&judged[best])) {
			best = i
		}
	}
	return judged, best
}

// judgement is what is known about one entry.
type judgement struct {
	entry   *oci.Entry
	demands []*demand
	// the deepest CPU demand, else the root of the family; nil if the architecture has no family
	target   *target
	notImage string       // why the entry is no image; empty for images
	config   *imageConfig // what the image says itself; nil if that is not known
	compat   cudaCompat   // of the image, by the entry's words and its own
	byCompat version      // the CUDA release that it has to bring to some node
	floor    []floorNeed  // what its code needs, as far as it is known
	refusals []refusal
	notes    []string
	score    score
}

// before reports whether an entry that fits is preferred to an earlier one.
func (j *judgement) before(k *judgement) bool {
	if odd := oddVariant(j.entry); odd != oddVariant(k.entry) {
		return !odd
	}
	return j.score.first(k.score) > 0
}

func (j judgement) fits() bool { return j.notImage == "" && len(j.refusals) == 0 }

// refusal is one reason why an entry does not fit.
type refusal struct {
	kind     kind
	reason   string // a sentence
	byConfig bool   // the image says so itself
}

// chooser holds what is computed once a choice: the nodes, and the tokens met so far.
type chooser struct {
	policy  Policy
	hosts   []host
	known   map[string]*demand
	targets map[string]*target
	nears   int // words for which the nearest known one was looked for
}

func newChooser(nodes []facts.Node, p Policy) *chooser {
	c := &chooser{policy: p, known: map[string]*demand{}, targets: map[string]*target{}}
	seen := map[string]int{}
	for i := range nodes {
		key := fingerprint(&nodes[i])
		if at, alike := seen[key]; alike && len(nodes) > 1 {
			c.hosts[at].others++
			continue
		}
		seen[key] = len(c.hosts)
		c.hosts = append(c.hosts, c.newHost(&nodes[i]))
	}
	return c
}

// onlyCandidate returns the index of the only entry that is an image; -1 if there are more or none.
func onlyCandidate(entries []oci.Entry) int {
	alone := -1
	for i := range entries {
		if notImage(&entries[i]) != "" {
			continue
		}
		if alone >= 0 {
			return -1
		}
		alone = i
	}
	return alone
}

// judge checks an entry against every node. An entry without a platform is taken only if it is
// alone in the index: its config will tell.
func (c *chooser) judge(e *oci.Entry, alone bool) judgement {
	if e.Nested != nil && (e.Tag != "" || e.Platform == nil && !alone) {
		return c.judgeTagged(e)
	}
	j := judgement{entry: e, notImage: notImage(e)}
	if j.notImage != "" {
		return j
	}
	for _, f := range e.Faults {
		j.refuse(refusal{kind: kindEntry, reason: "cannot be used: " + f})
	}
	if e.Platform == nil && !alone {
		j.refuse(refusal{kind: kindOS, reason: statesNoPlatform(e) +
			", and is not the only image of the index"})
		return j
	}
	if len(c.hosts) == 0 {
		j.refuse(refusal{kind: kindEntry, reason: "no node was given"})
	}
	j.demands = c.demandsOf(e)
	j.target = c.targetOf(e, j.demands)
	j.config = c.configOf(e)
	j.compat = compatOf(j.demands, nil)
	if j.config != nil {
		j.compat = compatOf(slices.Concat(j.demands, j.config.demands), e.Config)
		j.config.compat = j.compat
	}
	if odd := OddVariant(*e); odd != "" {
		j.notes = append(j.notes, odd)
	}
	if why := c.contradiction(j.demands); why != "" {
		j.refuse(refusal{kind: kindCPU, reason: why})
	}
	j.floor = c.floorOf(e)
	c.check(&j)
	c.judgeNested(&j)
	return j
}

// statesNoPlatform says that an entry states no platform; a nested index would have to be read.
func statesNoPlatform(e *oci.Entry) string {
	if e.IsIndex() {
		return "is an index itself, states no platform"
	}
	return "states no platform"
}

// check checks an entry against each node. A reason common to all nodes is given once, others name
// their node.
func (c *chooser) check(j *judgement) {
	found := make([][]refusal, len(c.hosts))
	for i := range c.hosts {
		var s score
		found[i], s = c.hosts[i].check(j, c.policy)
		found[i] = append(found[i], j.configRefusals(&c.hosts[i], c.policy, found[i])...)
		found[i] = append(found[i], j.floorRefusals(&c.hosts[i])...)
		if i == 0 {
			j.score = s
		}
		j.score = j.score.min(s)
	}
	for i, refusals := range found {
		for _, r := range refusals {
			everywhere := !slices.ContainsFunc(found,
				func(other []refusal) bool { return !slices.Contains(other, r) })
			if !everywhere {
				r.reason = "on " + c.hosts[i].name() + ": " + r.reason
			}
			j.refuse(r)
		}
	}
}

// refuse adds a reason unless it is there.
func (j *judgement) refuse(r refusal) {
	if !slices.Contains(j.refusals, r) {
		j.refusals = append(j.refusals, r)
	}
}

// notImage says why an entry is not an image. A nested index is checked by what its entry states.
func notImage(e *oci.Entry) string {
	switch {
	case e.Attestation:
		return "attestation, not an image"
	case e.IsIndex() || e.IsImage():
		return ""
	case e.ArtifactType != "":
		return clip(e.ArtifactType) + ": an artifact, not an image"
	}
	return clip(e.MediaType) + ": not the media type of an image"
}
