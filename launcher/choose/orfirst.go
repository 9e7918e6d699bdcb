package choose

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/hpc3-project/hpc3/launcher/match"
	"github.com/hpc3-project/hpc3/launcher/notes"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// OrFirst is Image for callers that look at an image and start nothing: if no entry fits, it takes
// the first one that is an image, and fits tells so. What --variant names is taken in any case.
func OrFirst(
	ctx context.Context, req Request, from Source, tell notes.Notes,
) (c Chosen, fits bool, err error) {
	c, err = Image(ctx, req, from, tell)
	if !errors.Is(err, match.ErrNoMatch) {
		return c, err == nil, err
	}
	if req.Variant == "" {
		at := slices.IndexFunc(c.Index.Entries, usable)
		if at < 0 {
			return c, false, err
		}
		req.Variant = strconv.Itoa(c.Index.Entries[at].Position)
	}
	req.Force, tell.Say = true, nil // nothing is run, so there is nothing to warn of
	c, again := Image(ctx, req, from, tell)
	if errors.Is(again, match.ErrNoMatch) {
		return c, false, err
	}
	return c, false, again
}

// usable tells whether an entry may be an image, or hold some.
func usable(e oci.Entry) bool {
	return len(e.Faults) == 0 && !e.Attestation && (e.IsImage() || e.IsIndex() || e.Tag != "")
}
