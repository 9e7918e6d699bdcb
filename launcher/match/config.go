package match

import (
	"slices"

	"github.com/hpc3-project/hpc3/launcher/oci"
)

// saidByConfig begins a reason that the image's own config gives.
const saidByConfig = "by its own config, "

// imageConfig is what an image states in its own config: the entry that it would be alone, and what
// it requires of NVIDIA's driver.
type imageConfig struct {
	judgement
	required []requirement
}

// configOf reads the config of an entry; nil if it was not read, or is to be ignored.
func (c *chooser) configOf(e *oci.Entry) *imageConfig {
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
	o := &imageConfig{
		judgement: judgement{entry: alone, notImage: notImage(alone)},
		required:  requirements(cfg.Env),
	}
	o.demands = c.demandsOf(alone)
	o.target = c.targetOf(alone, o.demands)
	return o
}

// configRefusals checks the image's own statements against a node, and returns the reasons that its
// entry does not give already.
func (j *judgement) configRefusals(h *host, p Policy, said []refusal) (refusals []refusal) {
	if j.config == nil {
		return nil
	}
	found, _ := h.check(&j.config.judgement, p)
	brings := func(cuda version, relied bool) bool {
		holds, _, _ := h.byCompat(cudaNeed{cuda, true, j.compat})
		if holds && relied {
			j.byCompat = later(j.byCompat, j.compat.of(cuda))
		}
		return holds
	}
	unmet, note := require(h.node, j.config.required, brings)
	j.byCompat = later(j.byCompat, j.config.byCompat)
	if unmet.reason != "" {
		found = append(found, unmet)
	}
	if note != "" && !slices.Contains(j.notes, note) {
		j.notes = append(j.notes, note)
	}
	if j.config.notImage != "" {
		found = append(found, refusal{kind: kindEntry, reason: j.config.notImage})
	}
	for _, f := range j.config.entry.Faults {
		if !slices.Contains(j.entry.Faults, f) {
			found = append(found, refusal{kind: kindEntry, reason: "cannot be used: " + f})
		}
	}
	for _, r := range found {
		if !slices.Contains(said, r) {
			refusals = append(refusals, refusal{
				kind: r.kind, reason: saidByConfig + r.reason, byConfig: true,
			})
		}
	}
	return refusals
}

// judgeTagged judges a tag that names an index, or an index inside an index that states no platform
// and was read: it counts as the best of its entries or, if none
// fits, is refused as the nearest is.
func (c *chooser) judgeTagged(e *oci.Entry) judgement {
	judged, at := c.judgeAll(e.Inner())
	if at < 0 {
		at = nearMiss(judged)
	}
	if at < 0 {
		at = slices.IndexFunc(judged, func(j judgement) bool { return j.notImage == "" })
	}
	if at < 0 {
		j := judgement{entry: e}
		j.refuse(refusal{kind: kindEntry, reason: "cannot be used: its index holds no image"})
		return j
	}
	j := judged[at]
	if e.Tag == "" {
		inner := *j.entry
		inner.Position = e.Position
		j.entry = &inner
	}
	return j
}

// judgeNested refuses a nested index that was read and of which no entry fits.
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
