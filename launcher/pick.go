package launcher

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/match"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// maxNesting bounds how many indexes may stand inside one another. The specification allows nesting and names no bound;
// nobody was seen to need more than one level.
const maxNesting = 3

// pick matches the entries, or takes the one that --variant names, and reads it where it is an index itself: what that holds may change
// the choice.
func (r *Road) pick(ctx context.Context, c *Choice) error {
	for {
		var err error
		if c.Result, err = r.matchEntries(c); err != nil {
			c.Result.Chosen = -1
			return err
		}
		depth := 0
		c.entry, depth = r.meant(c, c.Index.Entries[c.Result.Chosen])
		switch {
		case !c.entry.IsIndex():
			r.Clock.Done("match", platformOf(c.entry))
			r.tellChoice(c)
			return nil
		case c.entry.Nested != nil:
			err := fault.New(fault.NoMatch, "%s is an index that holds no image", c.which())
			c.Result.Chosen, c.Result.Why = -1, err.Error()
			return err
		case depth == maxNesting:
			return fault.New(fault.Registry, "reading %s: indexes are nested more than %d deep", c.Reference, maxNesting)
		}
		raw, err := r.blob(ctx, c, c.entry.Descriptor)
		if err != nil {
			return err
		}
		nested, err := oci.ParseIndex(raw)
		if err != nil {
			return err
		}
		c.learn(c.entry.Digest, func(e *oci.Entry) { e.Nested = append([]oci.Entry{}, nested.Entries...) })
	}
}

// meant returns what an entry stands for, and how deep it lies: where the entry is an index that was read, the best that it holds or, where
// nothing fits, its first image, which --force can run.
func (r *Road) meant(c *Choice, e oci.Entry) (_ oci.Entry, depth int) {
	for e.Nested != nil {
		inner := e.Inner()
		at := r.bestOf(c, inner).Chosen
		if at < 0 {
			at = slices.IndexFunc(inner, oci.Entry.IsImage)
		}
		if at < 0 {
			break
		}
		e = inner[at]
		depth++
	}
	return e, depth
}

// learn notes what was read of an image, or of an index, wherever the choice holds it.
func (c *Choice) learn(digest string, note func(*oci.Entry)) {
	c.Index.Entries = learned(c.Index.Entries, digest, note)
}

func learned(entries []oci.Entry, digest string, note func(*oci.Entry)) []oci.Entry {
	entries = slices.Clone(entries)
	for i := range entries {
		e := &entries[i]
		if e.Nested != nil {
			e.Nested = learned(e.Nested, digest, note)
		}
		if e.Digest == digest {
			note(e)
		}
	}
	return entries
}

func (r *Road) matchEntries(c *Choice) (match.Result, error) {
	result := r.bestOf(c, c.Index.Entries)
	if r.Option.Variant != "" {
		return r.forced(c, result)
	}
	if result.Chosen < 0 {
		return result, fault.New(fault.NoMatch, "no entry of %s fits %s: %s", c.Reference, describe(c.Nodes, r.Option.Platform), result.Why).
			Hint("see what each entry asks for: hpc3 explain %s", c.Reference.Name)
	}
	return result, nil
}

// forced takes the entry that the user named by its position or digest.
func (r *Road) forced(c *Choice, result match.Result) (match.Result, error) {
	at := r.find(c, r.Option.Variant)
	if at < 0 {
		return result, fault.New(fault.NoMatch, "%s has no entry %q", c.Reference, r.Option.Variant).
			Hint("--variant takes a position from 0 to %d, a digest or its beginning: hpc3 explain %s", len(c.Index.Entries)-1, c.Reference.Name)
	}
	if verdict := result.Verdicts[at]; !verdict.Fits && !r.Option.Force {
		return result, fault.New(fault.NoMatch, "entry %s of %s cannot run on %s: %s", r.Option.Variant, c.Reference, describe(c.Nodes, r.Option.Platform), verdict.Reasons[0]).
			Hint("--force runs it all the same")
	}
	result.Chosen, result.Why = at, "--variant "+r.Option.Variant
	return result, nil
}

// leastDigest is how many hexadecimal digits of a digest have to be given: fewer are rather a position that is not there.
const leastDigest = 7

// find returns the entry that a position, a digest or the beginning of a digest names, else -1.
func (r *Road) find(c *Choice, variant string) int {
	n, err := strconv.Atoi(variant)
	if err == nil && n >= 0 && n < len(c.Index.Entries) {
		return n
	}
	begin := variant
	if !strings.Contains(begin, ":") {
		begin = "sha256:" + begin
	}
	if len(begin) < len("sha256:")+leastDigest {
		return -1
	}
	begins := func(e oci.Entry) bool { return strings.HasPrefix(e.Digest, begin) }
	found := -1
	for i, e := range c.Index.Entries {
		leaf, _ := r.meant(c, e)
		switch {
		case !begins(e) && !begins(leaf):
		case found >= 0 && c.Index.Entries[found].Digest != e.Digest && len(begin) < len(e.Digest):
			return -1 // of two
		case found < 0:
			found = i
		}
	}
	return found
}

func (r *Road) bestOf(c *Choice, entries []oci.Entry) match.Result {
	return match.Best(c.Nodes, entries, r.policy())
}

// policy is the site's. By --force what would be chosen is run, whatever it says of itself.
func (r *Road) policy() match.Policy {
	return match.Policy{CPUFeatures: r.Site.CPUFeatures, Unheard: r.Option.Force && r.Option.Variant == ""}
}
