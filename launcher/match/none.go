package match

import (
	"fmt"
	"slices"
	"strings"
)

// whyNone says why nothing fits and what would have to change.
func (c *chooser) whyNone(judged []judgement) string {
	images, platforms := 0, []string(nil)
	nearest := -1
	var odd *judgement // the first that might fit, were it usable
	for i := range judged {
		j := &judged[i]
		if j.aside != "" {
			continue
		}
		images++
		if j.refusedFor(kindOS, kindEntry) {
			p := j.entry.Platform
			switch {
			case p == nil || p.Architecture == "" || !j.refusedFor(kindOS):
				if odd == nil {
					odd = j
				}
			case !slices.Contains(platforms, p.OS+"/"+p.Architecture):
				platforms = append(platforms, p.OS+"/"+p.Architecture)
			}
			continue
		}
		if nearest < 0 || j.nearerThan(&judged[nearest]) {
			nearest = i
		}
	}
	switch {
	case len(c.hosts) == 0:
		return "no node was given to choose for"
	case images == 0:
		return "the index holds no image"
	case nearest < 0 && len(platforms) > 0 && odd != nil:
		return fmt.Sprintf("no image for %s that can be used: %s %s; the others are for %s", c.platforms(), place(odd), odd.refusals[0].reason, some(platforms))
	case nearest < 0 && len(platforms) > 0:
		return fmt.Sprintf("no image for %s, only for %s; its author would have to add one", c.platforms(), some(platforms))
	case nearest < 0:
		return fmt.Sprintf("no entry of the index can be used: %s", judgedReason(judged))
	}
	j := &judged[nearest]
	which := "the only image"
	if images > 1 {
		which = fmt.Sprintf("of %d images %s, %s, comes nearest, but", images, place(j), j.entry.Wants())
	}
	return fmt.Sprintf("%s %s; it would take %s", which, j.refusals[0].reason, c.remedy(j))
}

// judgedReason returns the first reason of the first image.
func judgedReason(judged []judgement) string {
	for i := range judged {
		if judged[i].aside == "" && len(judged[i].refusals) > 0 {
			return fmt.Sprintf("%s %s", place(&judged[i]), judged[i].refusals[0].reason)
		}
	}
	return "it is empty"
}

func (j *judgement) refusedFor(kinds ...kind) bool {
	return slices.ContainsFunc(j.refusals, func(r refusal) bool { return slices.Contains(kinds, r.kind) })
}

// nearerThan prefers fewer reasons, then the entry that asks for the lesser CPU.
func (j *judgement) nearerThan(k *judgement) bool {
	if len(j.refusals) != len(k.refusals) {
		return len(j.refusals) < len(k.refusals)
	}
	return j.target != nil && k.target != nil && j.target.depth < k.target.depth
}

// platforms names the platforms of the nodes, each once.
func (c *chooser) platforms() string {
	var names []string
	for i := range c.hosts {
		if name := c.hosts[i].node.OS + "/" + c.hosts[i].arch; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " and ")
}

// remedy says what would let an entry run, by its first reason.
func (c *chooser) remedy(j *judgement) string {
	switch j.refusals[0].kind {
	case kindCPU:
		return "another node, or an image for " + c.common()
	case kindNVIDIA, kindAMD:
		return "a job with such a GPU, or an image without GPU code"
	case kindDriver, kindCUDA:
		return "a newer driver, or an image for an older one"
	case kindMPI:
		return "that MPI on the node, or an image that brings its own"
	case kindGlibc:
		return "a newer system on the node, or an image for an older one"
	case kindLabel:
		return "a node with that label, or an image without the demand"
	}
	return "a node of which this is known, or an image without the demand"
}

// common names the deepest target that all nodes share.
func (c *chooser) common() string {
	first := c.hosts[0].target
	if first == nil {
		return "any CPU of the family"
	}
	best := (*target)(nil)
	for _, name := range append(slices.Clone(first.above), first.Name) {
		t := c.lookup(name)
		shared := t != nil && !slices.ContainsFunc(c.hosts, func(h host) bool { return h.target == nil || !h.target.is(t) })
		if shared && (best == nil || t.depth > best.depth) {
			best = t
		}
	}
	if best == nil {
		return "any CPU of the family"
	}
	return best.Name + " or an ancestor of it"
}
