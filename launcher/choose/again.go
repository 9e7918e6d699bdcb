package choose

import (
	"context"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/match"
	"github.com/hpc3-project/hpc3/launcher/notes"
)

// Unfit says why a chosen image does not fit its nodes by what its conversion has shown of its
// code; "" if it does, or the choice knew that already.
func Unfit(c Chosen, from Source) string {
	entry, knew := c.Entry, c.Entry.Floor
	entry.Floor = from.Floor(entry.Digest)
	if entry.Floor == nil || knew != nil && knew.Deep == entry.Floor.Deep {
		return ""
	}
	if reasons := match.CodeUnfit(c.Nodes, entry); len(reasons) > 0 {
		return reasons[0]
	}
	return ""
}

// Again holds what a conversion has shown of the chosen image's code against the nodes. If the
// image fits, or is run by --force, it is returned, else the next best. If the user named the entry
// or the nodes, or none is left, the error is match.ErrNoMatch.
func Again(
	ctx context.Context, c Chosen, req Request, from Source, tell notes.Notes,
) (Chosen, error) {
	why := Unfit(c, from)
	switch {
	case why == "":
		return c, nil
	case req.Force:
		tell.Sayf("warning: %s is run by --force, though, %s", c.which(), why)
		return c, nil
	case req.Variant != "" || req.NoNext:
		ch := newChooser(req, from, tell)
		return c, match.ErrNoMatch.New("%s cannot run on %s: %s", c.which(), ch.where(), why).
			Hint("--force runs it all the same")
	}
	next, err := Image(ctx, req, from, tell)
	if err == nil {
		tell.Sayf("%s %s, so %s, %s, is taken in its place", c.which(), sentence(why), next.which(),
			next.Platform())
	}
	return next, err
}

// sentence is a reason behind a subject.
func sentence(why string) string {
	if strings.HasPrefix(why, "built ") {
		return "is " + why
	}
	return why
}
