package launcher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/convert"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/match"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// settle holds what the chosen image says of itself, in its config, against the nodes, and chooses the next best entry where that does not
// fit. It returns the path of the image's SIF where the cache has it, else "". To read a config costs two small requests, layers none.
func (r *Road) settle(ctx context.Context, c *Choice) (sif string, err error) {
	for {
		sif, raw, err := r.own(ctx, c)
		var none notImageError
		if errors.As(err, &none) && r.Option.Variant == "" {
			if r.reconsider(ctx, c, func(e *oci.Entry) { e.Faults = append(slices.Clone(e.Faults), none.why) }) != nil {
				return "", err // there is no other: what this one is says more
			}
			continue
		}
		if err != nil {
			return "", err
		}
		config, err := oci.ParseConfig(raw)
		if err == nil {
			err = r.agrees(c, config)
		}
		if err != nil || c.every {
			return sif, err
		}
		if digest := c.entry.Digest; c.entry.Config == nil {
			if err := r.reconsider(ctx, c, func(e *oci.Entry) { e.Config = &config }); err != nil {
				return "", err
			}
			if c.entry.Digest != digest {
				continue
			}
		}
		r.warn(c)
		return sif, nil
	}
}

// reconsider notes what was learned of the chosen image, and chooses again.
func (r *Road) reconsider(ctx context.Context, c *Choice, note func(*oci.Entry)) error {
	position, was := c.Index.Entries[c.Result.Chosen].Position, c.entry
	note(&was)
	if v := r.bestOf(c, []oci.Entry{was}).Verdicts[0]; !v.Fits {
		r.note("entry %d of %s is passed over: %s", position, c.Reference, strings.Join(v.Reasons, "; "))
	}
	c.learn(was.Digest, note)
	if err := r.resolve(ctx, c); err != nil { // the next may be a tag that was not looked at
		return err
	}
	return c.nameTags(r.pick(ctx, c))
}

// agrees holds the labels of an image against what the index says of it: they are the ground truth. An index that says otherwise is wrong, and
// what else it says may be as well.
func (r *Road) agrees(c *Choice, config oci.Config) error {
	wrong := match.Contradictions(c.entry, config)
	if len(wrong) == 0 {
		return nil
	}
	text := c.which() + ": " + strings.Join(wrong, "; ")
	if r.Site.LabelMismatch != "warn" && !r.Option.Force {
		return fault.New(fault.Policy, "%s", text).Hint("its author has to correct one of them; --variant takes another entry, --force this one")
	}
	r.waiting("warning: " + text)
	return nil
}

// warn says what speaks against an image that --force takes, and what could not be held against a node.
func (r *Road) warn(c *Choice) {
	v := match.Best(c.Nodes, []oci.Entry{c.entry}, match.Policy{CPUFeatures: r.Site.CPUFeatures}).Verdicts[0]
	for _, note := range v.Notes {
		r.note("%s", note)
	}
	if !v.Fits {
		r.waiting("warning: " + c.which() + " is run by --force, though, " + strings.Join(v.Reasons, "; "))
	}
}

// which names the chosen entry in a message.
func (c *Choice) which() string {
	return fmt.Sprintf("entry %d of %s", c.Index.Entries[c.Result.Chosen].Position, c.Reference)
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
		if damaged(err) && !c.looks && r.putAside(c, path, err) {
			continue
		}
		if !vanished(path, err) && (!c.looks || !damaged(err)) {
			return path, contents.Config, err
		}
		break
	}
	_, _, config, err = r.document(ctx, c)
	return "", config, err
}

// foresee settles the choice as a pull and a start would, without changing anything. It returns why what the chosen image says of itself
// could not be read, as without a way to its registry; "" where it was.
func (r *Road) foresee(ctx context.Context, c *Choice) (unread string, err error) {
	if c.Reference.Transport == oci.SIF {
		contents, err := convert.Inspect(c.Reference.Path)
		if err == nil {
			err = r.checkSIF(c.Reference.Path, contents)
		}
		return "", besides("", c.Reference, err)
	}
	c.looks = true
	_, err = r.settle(ctx, c)
	if class, _, _ := fault.Of(err, ""); ctx.Err() == nil && (class == fault.Network || class == fault.Cache) {
		return err.Error(), nil
	}
	return "", err
}
