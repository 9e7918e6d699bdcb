package match

import (
	"fmt"
	"slices"
	"strings"
)

// whyNone says why nothing fits and what would have to change.
func (c *chooser) whyNone(judged []judgement) string {
	why, _ := c.obstacle(judged)
	if at := nearMiss(judged); at >= 0 && len(c.hosts) > 0 {
		return why + "; it would take " + c.remedy(&judged[at])
	}
	return why
}

// obstacle says why nothing fits, and what that is about.
func (c *chooser) obstacle(judged []judgement) (why string, about kind) {
	images, platforms := 0, []string(nil)
	var odd *judgement // the first that might fit, were it usable
	for i := range judged {
		j := &judged[i]
		if j.notImage != "" {
			continue
		}
		images++
		switch j.standing() {
		case unusable:
			if odd == nil {
				odd = j
			}
		case otherPlatform:
			if p := j.entry.Platform; !slices.Contains(platforms, p.OS+"/"+p.Architecture) {
				platforms = append(platforms, p.OS+"/"+p.Architecture)
			}
		}
	}
	at := nearMiss(judged)
	switch {
	case len(c.hosts) == 0:
		return "no node was given to choose for", kindEntry
	case images == 0:
		return "the index holds no image", kindEntry
	case at < 0 && len(platforms) > 0 && odd != nil:
		return fmt.Sprintf("no image for %s that can be used: %s %s; the others are for %s",
			c.platforms(), nameOf(odd), odd.refusals[0].reason, firstFew(platforms)), kindEntry
	case at < 0 && len(platforms) > 0:
		return fmt.Sprintf("no image for %s, only for %s; its author would have to add one",
			c.platforms(), firstFew(platforms)), kindOS
	case at < 0:
		return fmt.Sprintf("no entry of the index can be used: %s %s", nameOf(odd),
			odd.refusals[0].reason), kindEntry
	}
	j, which := &judged[at], "the only image"
	switch first := j.refusals[0]; {
	case images > 1:
		which = fmt.Sprintf("of %d images %s, %s, comes nearest, but", images, nameOf(j),
			j.entry.Wants())
	case first.byConfig:
		which += ","
	}
	return which + " " + j.refusals[0].reason, j.refusals[0].kind
}

// standing is how close an unfit image is to fitting.
type standing int

const (
	otherPlatform standing = iota // it says that it is for another system or architecture
	// it is broken, does not state its platform, or only its own config does
	unusable
	near // it lacks something on the node
)

func (j *judgement) standing() standing {
	p := j.entry.Platform
	switch {
	case !j.refusedFor(kindOS, kindEntry):
		return near
	case p == nil || p.Architecture == "":
		return unusable
	case slices.ContainsFunc(j.refusals,
		func(r refusal) bool { return r.kind == kindOS && !r.byConfig }):
		return otherPlatform
	}
	return unusable
}

// nearMiss returns the image that comes closest to fitting; -1 if each lacks more than something on
// the node.
func nearMiss(judged []judgement) int {
	at := -1
	for i := range judged {
		j := &judged[i]
		if j.notImage == "" && !j.fits() && j.standing() == near &&
			(at < 0 || j.nearerThan(&judged[at])) {
			at = i
		}
	}
	return at
}

func (j *judgement) refusedFor(kinds ...kind) bool {
	return slices.ContainsFunc(j.refusals,
		func(r refusal) bool { return slices.Contains(kinds, r.kind) })
}

// nearerThan prefers fewer reasons, then the lesser CPU.
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

// remedy says what would make an entry fit, by its first reason.
func (c *chooser) remedy(j *judgement) string {
	switch j.refusals[0].kind {
	case kindCPU:
		return "another node, or an image for " + c.common()
	case kindFlags:
		return "a node whose CPU has that, or an image for " + c.common()
	case kindNVIDIA, kindAMD, kindGPU:
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
		shared := t != nil && !slices.ContainsFunc(c.hosts,
			func(h host) bool { return h.target == nil || !h.target.is(t) })
		if shared && (best == nil || t.depth > best.depth) {
			best = t
		}
	}
	if best == nil {
		return "any CPU of the family"
	}
	return best.Name + " or an ancestor of it"
}
