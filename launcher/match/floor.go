package match

import (
	"fmt"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// floorNeed is a need of an image's code: of a level, or of a feature if target is nil.
type floorNeed struct {
	oci.Need
	target *target
}

// floorOf reads what is known of the code of an entry; nil if it is to be ignored. A word of a
// later version of hpc3 is no need that could be held against a node.
func (c *chooser) floorOf(e *oci.Entry) (needs []floorNeed) {
	if e.Floor == nil || c.policy.Unheard {
		return nil
	}
	root := c.lookup("x86_64")
	for _, n := range e.Floor.Needs {
		level, isLevel := strings.CutPrefix(n.Word, "x86-64-v")
		t := c.lookup("x86_64_v" + level)
		if isLevel && t == nil || root == nil {
			continue
		}
		needs = append(needs, floorNeed{n, t})
	}
	return needs
}

// floorRefusals holds what the code of an image needs against a node, and returns the first need
// that is not met. It counts against nodes whose CPU is known only: that of a node which a platform
// describes without a word for a CPU is not.
func (j *judgement) floorRefusals(h *host) []refusal {
	if len(j.floor) == 0 || h.arch != "amd64" ||
		!h.recorded && (h.target == nil || h.target.Name == "x86_64") {
		return nil
	}
	if p := j.entry.Platform; p != nil && p.Architecture != h.arch {
		return nil
	}
	for _, need := range j.floor {
		if h.meets(need) {
			continue
		}
		return []refusal{{kind: kindCPU, reason: j.unmet(need)}}
	}
	return nil
}

// meets tells whether a node has what the code of an image needs. A level is met by its features as
// well: they are what its code uses, whoever made the CPU.
func (h *host) meets(need floorNeed) bool {
	if need.target == nil {
		return h.features[need.Word]
	}
	return h.target != nil && h.target.is(need.target) ||
		h.recorded && len(h.withoutNiche(h.missing(need.target))) == 0
}

// unmet is the reason that a need of the code gives, which the entry does not state.
func (j *judgement) unmet(need floorNeed) string {
	verb, states, shown := "built for", "its entry states no platform", need.By
	if need.target == nil {
		verb = "needs"
	}
	if called := j.entry.Called(); called != "" {
		states = "its entry says " + clipped(called)
	}
	if j.entry.Floor.Known {
		shown += "; known from an earlier conversion"
	}
	return fmt.Sprintf("%s %s although %s (%s)", verb, need.Word, states, shown)
}

// CodeUnfit returns the reasons why the code of an entry does not fit the nodes; none if it does.
// What its entry and config state is not asked.
func CodeUnfit(nodes []facts.Node, e oci.Entry) (reasons []string) {
	c := newChooser(nodes, Policy{})
	j := judgement{entry: &e, floor: c.floorOf(&e)}
	for i := range c.hosts {
		for _, r := range j.floorRefusals(&c.hosts[i]) {
			reasons = append(reasons, r.reason)
		}
	}
	return reasons
}
