package launcher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/match"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// settle holds what the chosen image says of itself, in its config, against the nodes, and chooses the next best entry where that does not
// fit. It returns the path of the image's SIF where the cache has it, else "". To read a config costs two small requests, layers none.
func (r *Road) settle(ctx context.Context, c *Choice) (sif string, err error) {
	for {
		path, raw, err := r.own(ctx, c)
		var none notImageError
		if errors.As(err, &none) && r.Option.Variant == "" {
			r.passOver(c, none.why)
			if r.next(ctx, c) != nil {
				return "", err // there is no other: what this one is says more
			}
			continue
		}
		if err != nil {
			return "", err
		}
		config, err := oci.ParseConfig(raw)
		if err != nil {
			return "", err
		}
		fits, err := r.accept(c, config)
		if err != nil || fits {
			return path, err
		}
		if err := r.next(ctx, c); err != nil {
			return "", err
		}
	}
}

// next chooses again, after an entry was marked.
func (r *Road) next(ctx context.Context, c *Choice) error {
	if err := r.resolve(ctx, c); err != nil { // the next may be a tag that was not looked at
		return err
	}
	if err := r.pick(ctx, c); err != nil {
		return c.nameTags(err)
	}
	return nil
}

// passOver marks the chosen entry, so that the next choice is another one.
func (r *Road) passOver(c *Choice, why string) {
	at := c.Result.Chosen
	r.note("entry %d of %s is passed over: %s", c.Index.Entries[at].Position, c.Reference, why)
	c.Index.Entries = slices.Clone(c.Index.Entries)
	entry := &c.Index.Entries[at]
	entry.Faults = append(slices.Clone(entry.Faults), why)
}

// maxDamaged bounds in how many caches a SIF may be damaged.
const maxDamaged = 8

// own returns the SIF of the chosen image, where the cache has it, and the image's config.
func (r *Road) own(ctx context.Context, c *Choice) (sif string, config []byte, err error) {
	for range maxDamaged {
		path, err := r.cachedSIF(c.entry.Digest, c.arch())
		if err != nil {
			return "", nil, err
		}
		if path == "" {
			break
		}
		contents, err := inspectCached(path)
		if damaged(err) && r.putAside(c, path, err) {
			continue
		}
		if !vanished(path, err) {
			return path, contents.Config, err
		}
		break
	}
	_, _, config, err = r.document(ctx, c)
	return "", config, err
}

// accept tells whether the image is taken as it describes itself. Where it is not, its entry is marked, so that the next choice passes it
// over. Its labels are the ground truth: an index that says otherwise is wrong, and what else it says may be as well.
func (r *Road) accept(c *Choice, config oci.Config) (bool, error) {
	at := c.Result.Chosen
	which := fmt.Sprintf("entry %d of %s", c.Index.Entries[at].Position, c.Reference)
	if wrong := match.Contradictions(c.entry, config); len(wrong) > 0 {
		text := which + ": " + strings.Join(wrong, "; ")
		if r.Site.LabelMismatch != "warn" && !r.Option.Force {
			return false, fault.New(fault.Policy, "%s", text).Hint("its author has to correct one of them; --variant takes another entry, --force this one")
		}
		r.waiting("warning: " + text)
	}
	if c.every {
		return true, nil
	}
	refusals, notes := match.Config(c.Nodes, c.entry, config, r.policy())
	for _, note := range notes {
		r.note("%s", note)
	}
	if len(refusals) == 0 {
		return true, nil
	}
	why := "by its own config, " + strings.Join(refusals, "; ")
	switch {
	case r.Option.Force:
		r.waiting("warning: " + which + " is run by --force, though, " + why)
		return true, nil
	case r.Option.Variant != "":
		return false, fault.New(fault.NoMatch, "%s cannot run on %s: %s", which, describe(c.Nodes, r.Option.Platform), why).Hint("--force runs it all the same")
	}
	r.passOver(c, why)
	return false, nil
}
