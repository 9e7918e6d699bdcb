package match

import (
	"fmt"
	"slices"
	"strings"
)

// explain turns judgements into sentences.
func (c *chooser) explain(judged []judgement, best int) Result {
	r := Result{Chosen: best, Verdicts: make([]Verdict, len(judged))}
	if best < 0 {
		r.Why = c.whyNone(judged)
	} else {
		r.Why = strings.Join(append([]string{c.whyChosen(judged, best)},
			c.sayCompat(&judged[best])...), "; ")
	}
	for i := range judged {
		r.Verdicts[i] = Verdict{
			Position: judged[i].entry.Position,
			Fits:     judged[i].fits(),
			Skipped:  judged[i].notImage != "",
			Reasons:  c.reasons(judged, i, best),
			Notes:    judged[i].notes,
		}
		if judged[i].fits() {
			r.Verdicts[i].CUDACompat = judged[i].byCompat.String()
		}
	}
	if best >= 0 {
		r.Verdicts[best].Reasons = []string{r.Why}
	}
	return r
}

func (c *chooser) reasons(judged []judgement, i, best int) []string {
	j := &judged[i]
	if j.notImage != "" {
		return []string{j.notImage}
	}
	var reasons []string
	if j.fits() && i != best {
		return append([]string{c.whyPassedOver(j, &judged[best])}, c.sayCompat(j)...)
	}
	for _, r := range j.refusals {
		reasons = append(reasons, r.reason)
	}
	return reasons
}

// sayCompat says that a fitting entry relies on its cuda-compat; nothing if it does not.
func (c *chooser) sayCompat(j *judgement) []string {
	if j.byCompat == nil {
		return nil
	}
	var drivers []string
	for i := range c.hosts {
		h := &c.hosts[i]
		if h.cuda.compare(j.byCompat) < 0 && !slices.Contains(drivers, h.node.NVIDIA.Driver) {
			drivers = append(drivers, h.node.NVIDIA.Driver)
		}
	}
	return []string{fmt.Sprintf("its cuda-compat brings CUDA %s, which driver %s lacks", j.byCompat,
		strings.Join(drivers, " and "))}
}

// whyPassedOver says what the chosen entry has over another one that fits: the first key that
// differs, with both values.
func (c *chooser) whyPassedOver(j, chosen *judgement) string {
	if oddVariant(j.entry) && !oddVariant(chosen.entry) {
		return fmt.Sprintf("fits, but comes last: %s", OddVariant(*j.entry))
	}
	key := j.score.differs(chosen.score)
	if key == keyCount {
		return samePlace(j, chosen)
	}
	shown := key
	if key == keyLine && j.score[key]%2 == 1 && chosen.score[key]%2 == 1 {
		shown = keyDepth // both on the node's own line, which depth orders
	}
	values := fmt.Sprintf(" (%s %d < %d)", keyName(shown), j.score[shown], chosen.score[shown])
	other := nameOf(chosen)
	mine, theirs := c.tuning(j), c.tuning(chosen)
	switch key {
	case keyRank:
		return "fits, but its author ranks " + other + " higher" + values
	case keySite:
		return "fits, but " + other + " names more labels of " + c.here() + values
	case keyAccel:
		return "fits, but " + other + " has code for the GPU of " + c.here() + values
	case keyAccelExact:
		return "fits, but the GPU code of " + other + " is nearer to the GPU" + values
	case keyFabric:
		return "fits, but " + other + " knows more of the fabric of " + c.here() + values
	case keyMPI:
		return "fits, but " + other + " uses the MPI of " + c.here() + values
	case keyVector:
		return "fits, but " + c.vectorsApart(j, chosen) + values
	case keyDriver:
		return "fits, but " + other + " asks for a newer NVIDIA driver, which " + c.here() + " has"
	}
	if key == keyAffinity && j.score[key] == 0 {
		return "fits, but is tuned for " + mine + ", a CPU of another vendor; " + theirs +
			" comes first" + values
	}
	if key == keyFeatures && flagWords(chosen)+flagWords(j) != "" {
		return "fits, but " + theirs + " uses more of " + c.cpus() + " than " + mine + values
	}
	if c.exact(chosen) {
		return "fits, but " + theirs + " is exactly this CPU" + values
	}
	return "fits, but " + theirs + " is nearer to " + c.cpus() + " than " + mine + values
}

// vectorsApart says how the vectors of two targets differ.
func (c *chooser) vectorsApart(j, chosen *judgement) string {
	mine, theirs := c.tuning(j), c.tuning(chosen)
	if j.target == nil || chosen.target == nil || chosen.target.Generation > 0 {
		return theirs + " is newer than " + mine
	}
	return fmt.Sprintf("%s has %s, %s only %s", theirs, vectorName(chosen), mine, vectorName(j))
}

// vectorName names the class of an entry's vectors.
func vectorName(j *judgement) string {
	names := [...]string{"SSE2", "SSE4.2", "AVX", "AVX2", "AVX-512"}
	if j.target.root == "aarch64" {
		names = [...]string{"ARMv8.0", "ARMv8.1", "SVE", "SVE2", ""}
	}
	return names[min(j.score[keyVector], len(names)-1)]
}

// exact reports whether an entry is built for exactly the nodes' CPU.
func (c *chooser) exact(j *judgement) bool {
	return len(c.hosts) == 1 && c.hosts[0].target != nil && j.target != nil &&
		c.hosts[0].target.Name == j.target.Name
}

func samePlace(j, chosen *judgement) string {
	switch {
	// a tag that was not read has no digest
	case j.entry.Digest == chosen.entry.Digest && j.entry.Digest != "":
		return fmt.Sprintf("fits, and is the same image as %s, which comes earlier", nameOf(chosen))
	case chosen.entry.Tag != "":
		return fmt.Sprintf("fits as well as %s, which comes earlier", nameOf(chosen))
	}
	return fmt.Sprintf("fits as well as %s, which comes earlier in the index", nameOf(chosen))
}

// nameOf names an entry in a sentence about another one.
func nameOf(j *judgement) string {
	if j.entry.Tag != "" {
		return "the tag " + j.entry.Tag
	}
	return fmt.Sprintf("entry %d", j.entry.Position)
}

// tuning names the CPU that an entry was built for, in the entry's own word.
func (c *chooser) tuning(j *judgement) string {
	if j.target == nil {
		return "no particular CPU"
	}
	name := j.target.Name
	for _, d := range j.demands {
		if d.target == j.target && d.kind == kindCPU && c.lookup(d.token) == d.target {
			name = d.token
			break
		}
	}
	if flags := flagWords(j); flags != "" {
		return name + " with " + flags
	}
	return name
}

// flagWords lists the words of an entry that stand for CPU flags.
func flagWords(j *judgement) string {
	var words []string
	for _, d := range j.demands {
		if d.kind == kindFlags {
			words = append(words, d.token)
		}
	}
	return strings.Join(words, ", ")
}

// here says "this node" or "these nodes".
func (c *chooser) here() string {
	if len(c.hosts) == 1 && c.hosts[0].others == 0 {
		return "this node"
	}
	return "these nodes"
}

// cpus names the CPUs of the nodes, each once.
func (c *chooser) cpus() string {
	var names []string
	for i := range c.hosts {
		if name := c.hosts[i].cpu(); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " and ")
}

// whyChosen says what put the chosen entry before the next best.
func (c *chooser) whyChosen(judged []judgement, best int) string {
	chosen := &judged[best]
	if chosen.entry.Platform == nil {
		if chosen.config != nil {
			return "the only image of the index; it states no platform, and by its own config is " +
				"for " + chosen.config.entry.Wants()
		}
		return "the only image of the index; it states no platform, which its config decides"
	}
	fitting, alike := 0, 0
	var next *judgement
	for i := range judged {
		j := &judged[i]
		if !j.fits() {
			continue
		}
		fitting++
		if j.score == chosen.score && oddVariant(j.entry) == oddVariant(chosen.entry) {
			alike++
		} else if next == nil || j.before(next) {
			next = j
		}
	}
	why := c.label(chosen) + ": "
	if fitting == 1 {
		if chosen.entry.Tag != "" {
			return why + c.fit(chosen) + "the only tag that fits"
		}
		if len(judged) == 1 {
			return why + c.fit(chosen) + "the only one there is"
		}
		return why + c.fit(chosen) + "the only one of the index that fits"
	}
	if next != nil {
		why += c.merit(judged, chosen, next) + ", "
	}
	if alike > 1 {
		why += fmt.Sprintf("the first of %d alike, ", alike)
	}
	return why + fmt.Sprintf("among %d that fit", fitting)
}

// label names an entry in a sentence: its tag, else its demands, else its platform.
func (c *chooser) label(j *judgement) string {
	if j.entry.Tag != "" {
		return j.entry.Tag
	}
	if len(j.entry.Tokens) > 0 {
		return strings.Join(j.entry.Tokens, ", ")
	}
	return j.entry.Wants()
}

// fit says how the entry's target relates to the CPU, as the beginning of a sentence; empty if it
// is only the root of its family.
func (c *chooser) fit(j *judgement) string {
	switch {
	case j.target == nil || j.target.depth == 0 || len(c.hosts) != 1:
		return ""
	case c.exact(j):
		return "made for this very CPU, and "
	}
	if h := &c.hosts[0]; h.runsBeside(j.target) {
		return besideCPU(j.target, h) + ", and "
	}
	return "an ancestor of this CPU, " + c.hosts[0].cpu() + ", and "
}

// besideCPU says what a target is that the node runs although its CPU does not descend from it.
func besideCPU(t *target, h *host) string {
	if t.generic {
		return "a level of which this CPU, " + h.cpu() + ", shows all features"
	}
	return "a CPU of which this one, " + h.cpu() + ", shows all features"
}

// merit names the key by which the chosen entry precedes the next.
func (c *chooser) merit(judged []judgement, chosen, next *judgement) string {
	if oddVariant(next.entry) && !oddVariant(chosen.entry) {
		return "the others have a variant of another architecture"
	}
	key := chosen.score.differs(next.score)
	switch key {
	case keyRank:
		return fmt.Sprintf("ranked highest by its author (%d)", chosen.score[key])
	case keySite:
		return "names the most labels of " + c.here()
	case keyAccel:
		return "has code for the GPU of " + c.here()
	case keyAccelExact:
		return "has the GPU code nearest to the GPU of " + c.here()
	case keyFabric:
		return "knows the fabric of " + c.here()
	case keyMPI:
		return "uses the MPI of " + c.here()
	case keyDriver:
		return "asks for the newest NVIDIA driver that " + c.here() + " has"
	}
	return c.nearness(judged, chosen)
}

// nearness says how the chosen entry's target relates to the CPU, if that decided.
func (c *chooser) nearness(judged []judgement, chosen *judgement) string {
	name := c.tuning(chosen)
	prefix := ""
	if len(chosen.entry.Tokens) != 1 || chosen.entry.Tokens[0] != name {
		prefix = name + " is "
	}
	if len(c.hosts) > 1 {
		if slices.ContainsFunc(c.hosts, func(h host) bool { return h.runsBeside(chosen.target) }) {
			return prefix + "the nearest of those that run on each of " + c.cpus()
		}
		return prefix + "the nearest common ancestor of " + c.cpus()
	}
	h := &c.hosts[0]
	switch {
	case flagWords(chosen) != "":
		return "needs " + c.tuning(chosen) + ", which this CPU, " + h.cpu() + ", has"
	case c.exact(chosen) && h.target.generic:
		return prefix + "exactly the level of this CPU"
	case c.exact(chosen):
		return prefix + "exactly this CPU"
	case h.runsBeside(chosen.target):
		return prefix + besideCPU(chosen.target, h)
	case h.target == nil || !h.target.is(chosen.target):
		return prefix + "a foreign CPU, of which " + h.cpu() + " has all features"
	case nearest(judged, chosen) || chosen.target.Generation > 0:
		return prefix + "the nearest ancestor of this CPU, " + h.cpu()
	}
	return prefix + "an ancestor of this CPU, " + h.cpu() + ", with " + vectorName(chosen)
}

// nearest reports whether the chosen entry's target descends from that of every other fitting entry
// with equal keys before the CPU's.
func nearest(judged []judgement, chosen *judgement) bool {
	return !slices.ContainsFunc(judged, func(j judgement) bool {
		return j.fits() && j.target != nil && j.score.differs(chosen.score) >= keyVector &&
			!chosen.target.is(j.target)
	})
}
