package choose

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/match"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// maxNesting bounds how many indexes may stand inside one another. The specification allows nesting
// and names no bound; nobody was seen to need more than one level.
const maxNesting = 3

// pick matches the entries, or takes the one that --variant names, and reads it if it is an index
// itself: what that holds may change the choice.
func (ch *chooser) pick(ctx context.Context) error {
	if err := ch.open(ctx); err != nil {
		return err
	}
	for {
		result, err := ch.matchEntries()
		if ch.take(result); err != nil {
			ch.c.At = -1
			return err
		}
		depth := 0
		ch.c.Entry, depth = ch.c.Meaning(ch.c.Taken())
		switch {
		case !ch.c.Entry.IsIndex():
			ch.Clock.Done("match", PlatformOf(ch.c.Entry))
			ch.tellChoice()
			return nil
		case ch.c.Entry.Nested != nil:
			err = match.ErrNoMatch.New("%s is an index that holds no image", ch.c.which())
			ch.c.At, ch.c.Why = -1, err.Error()
			return err
		case depth == maxNesting:
			return oci.ErrUnusable.New("reading %s: indexes are nested more than %d deep",
				ch.Reference, maxNesting)
		}
		nested, err := ch.nested(ctx, ch.c.Entry)
		if err != nil {
			return err
		}
		ch.learn(ch.c.Entry.Digest, func(e *oci.Entry) { e.Nested = nested })
	}
}

// Meaning returns what an entry of the index stands for, and how deep that lies: of an index that
// was read, the best that it holds or, if nothing fits, its first image, which --force can run.
func (c Chosen) Meaning(e oci.Entry) (_ oci.Entry, depth int) {
	for e.Nested != nil {
		inner := e.Inner()
		at := match.Best(c.Nodes, inner, c.policy).Chosen
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

// learn notes what was read of an image, or of an index, wherever the index holds it.
func (ch *chooser) learn(digest string, note func(*oci.Entry)) {
	ch.c.Index.Entries = learned(ch.c.Index.Entries, digest, note)
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

func (ch *chooser) matchEntries() (match.Result, error) {
	result := ch.bestOf(ch.c.Index.Entries)
	if ch.Variant != "" {
		return ch.forced(result)
	}
	if result.Chosen < 0 {
		return result, match.ErrNoMatch.New("no entry of %s fits %s: %s", ch.Reference, ch.where(),
			result.Why).
			Hint("see what each entry asks for: hpc3 explain %s", ch.Reference.Name)
	}
	return result, nil
}

// forced takes the entry that the user named by its position or digest.
func (ch *chooser) forced(result match.Result) (match.Result, error) {
	at := ch.find(ch.Variant)
	if at < 0 {
		return result, match.ErrNoMatch.New("%s has no entry %q", ch.Reference, ch.Variant).
			Hint("--variant takes a position from 0 to %d, a digest or its beginning: "+
				"hpc3 explain %s", len(ch.c.Index.Entries)-1, ch.Reference.Name)
	}
	if verdict := result.Verdicts[at]; !verdict.Fits && !ch.Force {
		return result, match.ErrNoMatch.New("entry %s of %s cannot run on %s: %s", ch.Variant,
			ch.Reference, ch.where(), verdict.Reasons[0]).Hint("--force runs it all the same")
	}
	result.Chosen, result.Why = at, "--variant "+ch.Variant
	return result, nil
}

// leastDigest is how many hexadecimal digits of a digest have to be given: fewer are rather a
// position that does not exist.
const leastDigest = 7

// find returns the entry that a position, a digest or the beginning of a digest names, else -1.
func (ch *chooser) find(variant string) int {
	n, err := strconv.Atoi(variant)
	if err == nil && n >= 0 && n < len(ch.c.Index.Entries) {
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
	entries := ch.c.Index.Entries
	for i, e := range entries {
		leaf, _ := ch.c.Meaning(e)
		switch {
		case !begins(e) && !begins(leaf):
		case found >= 0 && entries[found].Digest != e.Digest && len(begin) < len(e.Digest):
			return -1 // of two
		case found < 0:
			found = i
		}
	}
	return found
}

func (ch *chooser) bestOf(entries []oci.Entry) match.Result {
	return match.Best(ch.Nodes, entries, ch.c.policy)
}

// where names the nodes in a message.
func (ch *chooser) where() string {
	switch {
	case ch.Platform != "":
		return ch.Platform
	case len(ch.Nodes) > 1:
		return fmt.Sprintf("all of %d nodes", len(ch.Nodes))
	}
	return "this node (" + ch.Nodes[0].CPU.Target + ")"
}
