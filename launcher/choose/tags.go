package choose

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/match"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/option"
)

// readCandidates reads the index of the reference or, if the variants are told by tags, makes one
// of these.
func (ch *chooser) readCandidates(ctx context.Context) error {
	if ch.Variants == option.IndexVariants || !ch.tagged() {
		return ch.readOwnIndex(ctx)
	}
	list, listed, err := ch.cachedTags()
	if err != nil {
		return err
	}
	gone, err := ch.readPlain(ctx, listed && !slices.Contains(list, ch.Reference.Tag))
	if err != nil {
		return err
	}
	if ch.Variants != option.TagVariants && !ch.mayHaveVariants() {
		return nil // an index says it itself
	}
	if !listed {
		if list, err = ch.askTags(ctx, gone); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(list, func(t string) bool { return t != ch.Reference.Tag }) {
		if err := ch.readPatterns(ctx); err != nil {
			return err
		}
	}
	variants, others := ch.variants(list)
	ch.c.PassedBy = others
	if len(variants) == 0 {
		return ch.withoutVariants(ctx, list, gone)
	}
	ch.enlist(variants, gone == nil)
	return ch.resolve(ctx)
}

// tagged reports whether the reference is a tag of a registry.
func (ch *chooser) tagged() bool {
	return ch.Reference.Transport == oci.Registry && ch.Reference.Digest == ""
}

// mayHaveVariants reports whether tags may be variants of what was read: an index of several images
// says itself which there are.
func (ch *chooser) mayHaveVariants() bool {
	return ch.tagged() && (ch.c.Index.Digest == "" || ch.c.Index.Lone())
}

// errAbsent stands for a tag of which the cache knows that it is not there.
var errAbsent = errors.New("the tag is not in the registry's list")

// readOwnIndex reads the index of the reference itself.
func (ch *chooser) readOwnIndex(ctx context.Context) (err error) {
	ch.c.Index, ch.cached, err = ch.readIndex(ctx, ch.Reference)
	return err
}

// readPlain reads what the reference itself names. That it names nothing is no error here, since
// there may be variants of it: gone says so. A registry may have a tag that it does not list.
func (ch *chooser) readPlain(ctx context.Context, unlisted bool) (gone, err error) {
	if unlisted {
		if raw, err := ch.from.Cached(Name{Reference: ch.Reference}); err != nil || raw == nil {
			return errAbsent, err
		}
	}
	err = ch.readOwnIndex(ctx)
	if namesNone(err) {
		return err, nil
	}
	return nil, err
}

// withoutVariants is for a reference of which no tag is a variant: it stands for itself, as if
// nobody had asked for tags.
func (ch *chooser) withoutVariants(ctx context.Context, list []string, gone error) error {
	switch {
	case errors.Is(gone, errAbsent): // no known tag fits; there may be the plain one by now
		return ch.readOwnIndex(ctx)
	case gone != nil && ch.Variants == option.TagVariants:
		err := fault.New(fault.Reference, "%w", gone)
		if len(list) > 0 {
			return err.Hint("these tags are no variants, "+
				"since they end in no word that is known here: %s", first(list))
		}
		return err.Hint("%s", noVariants(ch.Reference.Tag))
	}
	return gone
}

// askTags asks the registry for its tags and remembers those that matter. Unless tags are all that
// is wanted, an image that was found stands for itself if they cannot be had.
func (ch *chooser) askTags(ctx context.Context, gone error) ([]string, error) {
	ch.asked = true
	all, err := ch.from.Tags(ctx)
	if err == nil {
		list := about(all, ch.Reference.Tag)
		ch.Clock.Done("tags", fmt.Sprintf("%d of %d", len(list), len(all)))
		if variants, _ := ch.variants(list); gone != nil && len(variants) == 0 {
			return list, nil // nothing was found, and nothing is remembered
		}
		return list, ch.rememberTags(list)
	}
	if ch.Variants == option.TagVariants {
		return nil, fault.WithHint(err, "--variants index takes %s as it is", ch.Reference.Name)
	}
	var unlistable *fetch.UnlistableError
	switch {
	case ctx.Err() != nil:
		return nil, err
	case gone != nil:
		return nil, gone
	case errors.As(err, &unlistable):
		ch.Notef("%s is taken as it is, without variants by tag: %v", ch.Reference, err)
		return nil, ch.rememberTags(nil) // or each run would ask again
	case ch.cached && (errors.Is(err, fetch.ErrUnreachable) || // a cached image needs no registry
		ch.c.Index.Digest != "" && errors.Is(err, ErrNotCached)):
		ch.Notef("%s is taken as it is, without variants by tag: %v", ch.Reference, err)
		return nil, nil
	}
	return nil, err // choosing another image because the registry was busy would be chance
}

// about returns the tags that are tag or may be a variant of it, sorted.
func about(all []string, tag string) []string {
	var list []string
	for _, t := range all {
		if match.MayBeVariant(t, tag) {
			list = append(list, t)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// cachedTags returns the tags that the cache holds, and whether it holds a list.
func (ch *chooser) cachedTags() (list []string, listed bool, err error) {
	raw, err := ch.from.Cached(Name{ch.Reference, true})
	if err != nil || raw == nil {
		return nil, false, err
	}
	list, err = oci.ParseTags(raw)
	return list, err == nil, err
}

func (ch *chooser) rememberTags(list []string) error {
	raw, err := oci.FormatTags(ch.Reference.Repository, list)
	if err != nil {
		return err
	}
	return ch.from.Remember(Name{ch.Reference, true}, raw, oci.MediaTypeTags)
}
