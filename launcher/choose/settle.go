package choose

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/match"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// settle holds the config of the image that would be taken against the nodes, and takes the next
// best entry if that does not fit. To read a config costs two small requests, layers none.
func (ch *chooser) settle(ctx context.Context) error {
	for {
		raw, err := ch.ownConfig(ctx)
		var none notImageError
		if errors.As(err, &none) && ch.Variant == "" {
			fault := func(e *oci.Entry) { e.Faults = append(slices.Clone(e.Faults), none.why) }
			if ch.pickAgain(ctx, fault) != nil {
				return err // there is no other: the reason why this one is none says more
			}
			continue
		}
		if err != nil {
			return err
		}
		config, err := oci.ParseConfig(raw)
		if err == nil {
			err = ch.agrees(config)
		}
		if err != nil {
			return err
		}
		digest := ch.c.Entry.Digest
		floor := ch.from.Floor(digest)
		if ch.c.Entry.Config == nil || ch.c.Entry.Floor == nil && floor != nil {
			note := func(e *oci.Entry) { e.Config, e.Floor = &config, floor }
			if err := ch.pickAgain(ctx, note); err != nil {
				return err
			}
			if ch.c.Entry.Digest != digest {
				continue
			}
		}
		ch.c.Config = config
		ch.warn()
		return nil
	}
}

// ownConfig returns the config of the image that would be taken: out of its SIF if a cache has it.
func (ch *chooser) ownConfig(ctx context.Context) ([]byte, error) {
	config, made, err := ch.from.Config(ch.c.Entry.Digest, ch.c.Arch())
	if made || err != nil {
		return config, err
	}
	return ch.fetchConfig(ctx, ch.c.Entry, ch.c.which())
}

// fetchConfig returns the config of an entry that the source has; name is for messages.
func (ch *chooser) fetchConfig(
	ctx context.Context, e oci.Entry, name string,
) (config []byte, err error) {
	raw, err := ch.from.Blob(ctx, e.Descriptor)
	if err != nil {
		return nil, err
	}
	manifest, err := oci.ParseManifest(raw)
	if err != nil {
		return nil, Broken(ch.Reference, err)
	}
	if kind := artifact(manifest); kind != "" {
		return nil, noImage(name, kind)
	}
	if config, err = ch.from.Blob(ctx, manifest.Config); err == nil {
		_, err = asImage(name, manifest, config)
	}
	return config, err
}

// pickAgain notes what was learned of the image that would be taken, and picks again.
func (ch *chooser) pickAgain(ctx context.Context, note func(*oci.Entry)) error {
	position, was := ch.c.Taken().Position, ch.c.Entry
	note(&was)
	if v := ch.bestOf([]oci.Entry{was}).Verdicts[0]; !v.Fits {
		ch.Notef("entry %d of %s is passed over: %s", position, ch.Reference,
			strings.Join(v.Reasons, "; "))
	}
	ch.learn(was.Digest, note)
	if err := ch.resolve(ctx); err != nil { // the next may be a tag that was not looked at
		return err
	}
	return ch.nameTags(ch.pick(ctx))
}

// agrees holds the labels of an image against what the index says of it: they are the ground truth.
// An index that says otherwise is wrong, and what else it says may be as well.
func (ch *chooser) agrees(config oci.Config) error {
	wrong := match.Contradictions(ch.c.Entry, config)
	if len(wrong) == 0 {
		return nil
	}
	text := ch.c.which() + ": " + strings.Join(wrong, "; ")
	if !ch.WarnMismatch && !ch.Force {
		return fault.New(fault.Policy, "%s", text).
			Hint("its author has to correct one of them; " +
				"--variant takes another entry, --force this one")
	}
	ch.Sayf("warning: %s", text)
	return nil
}

// warn says what speaks against an image that --force takes, and what could not be held against a
// node.
func (ch *chooser) warn() {
	if odd := match.OddVariant(ch.c.Entry); odd != "" {
		ch.Sayf("warning: %s: %s", ch.c.which(), odd)
	}
	policy := match.Policy{CPUFeatures: ch.CPUFeatures}
	v := match.Best(ch.Nodes, []oci.Entry{ch.c.Entry}, policy).Verdicts[0]
	for _, note := range v.Notes {
		if note == match.OddVariant(ch.c.Entry) {
			continue
		}
		ch.Notef("%s", note)
	}
	ch.c.CUDACompat = v.CUDACompat
	if !v.Fits {
		ch.Sayf("warning: %s is run by --force, though, %s", ch.c.which(),
			strings.Join(v.Reasons, "; "))
	}
}
