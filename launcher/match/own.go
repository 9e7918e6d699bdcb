package match

import (
	"slices"

	"github.com/hpc3-project/hpc3/launcher/oci"
)

// byOwn begins a reason that an image gives itself.
const byOwn = "by its own config, "

// own is what an image says of itself, in its config: the entry that it would be alone, and what it requires of NVIDIA's driver.
type own struct {
	judgement
	required []requirement
}

// ownOf reads the config of an entry; nil where nobody has read it, or it is not to be heard.
func (c *chooser) ownOf(e *oci.Entry) *own {
	if e.Config == nil || c.policy.Unheard {
		return nil
	}
	cfg := *e.Config
	if cfg.OS == "" && cfg.Architecture != "" {
		cfg.OS = "linux" // as engines take it
	}
	self := e.Descriptor
	self.Annotations, self.Platform = nil, nil
	alone := &oci.SingleIndex(self, cfg).Entries[0]
	o := &own{judgement{entry: alone, aside: aside(alone)}, requirements(cfg.Env)}
	o.demands = c.demandsOf(alone)
	o.target = c.targetOf(alone, o.demands)
	return o
}

// heldOwn holds what the image says of itself against a node, and returns what its entry has not said already.
func (j *judgement) heldOwn(h *host, p Policy, said []refusal) (refusals []refusal) {
	if j.own == nil {
		return nil
	}
	found, _ := h.hold(&j.own.judgement, p)
	unmet, note := require(h.node, j.own.required)
	if unmet.reason != "" {
		found = append(found, unmet)
	}
	if note != "" && !slices.Contains(j.notes, note) {
		j.notes = append(j.notes, note)
	}
	if j.own.aside != "" {
		found = append(found, refusal{kind: kindEntry, reason: j.own.aside})
	}
	for _, f := range j.own.entry.Faults {
		if !slices.Contains(j.entry.Faults, f) {
			found = append(found, refusal{kind: kindEntry, reason: "cannot be used: " + f})
		}
	}
	for _, r := range found {
		if !slices.Contains(said, r) {
			refusals = append(refusals, refusal{kind: r.kind, reason: byOwn + r.reason, own: true})
		}
	}
	return refusals
}

// judgeTagged judges a tag that names an index: it is as good as the best of its entries or, where none fits, refused as the nearest is.
func (c *chooser) judgeTagged(e *oci.Entry) judgement {
	judged, at := c.judgeAll(e.Inner())
	if at < 0 {
		at = nearMiss(judged)
	}
	if at < 0 {
		at = slices.IndexFunc(judged, func(j judgement) bool { return j.aside == "" })
	}
	if at < 0 {
		j := judgement{entry: e}
		j.refuse(refusal{kind: kindEntry, reason: "cannot be used: its index holds no image"})
		return j
	}
	return judged[at]
}

// judgeNested refuses an index inside the index of which no entry fits, where it was read.
func (c *chooser) judgeNested(j *judgement) {
	if j.entry.Nested == nil {
		return
	}
	judged, best := c.judgeAll(j.entry.Nested)
	if best >= 0 {
		return
	}
	why, k := c.obstacle(judged)
	j.refuse(refusal{kind: k, reason: "is an index of which no entry fits: " + why})
}
