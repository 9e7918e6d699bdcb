package launcher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// maxResolved bounds how many tags are looked at for one choice. Mostly it is the chosen one; others are where an image turns out
// to be for another architecture than was assumed.
const maxResolved = 64

// maxNamed bounds how many tags a message names.
const maxNamed = 12

// readCandidates reads the index of the reference or, where the variants are told by tags, makes one of these.
func (r *Road) readCandidates(ctx context.Context, c *Choice) error {
	if r.Option.Variants == option.IndexVariants || c.Reference.Transport != oci.Registry || c.Reference.Digest != "" {
		return r.readIndex(ctx, c)
	}
	list, listed, err := r.cachedTags(c)
	if err != nil {
		return err
	}
	gone, err := r.readPlain(ctx, c, listed && !slices.Contains(list, c.Reference.Tag))
	if err != nil {
		return err
	}
	if r.Option.Variants != option.TagVariants && c.Index.Digest != "" {
		return nil // an index says it itself
	}
	if !listed {
		if list, err = r.askTags(ctx, c, gone); err != nil {
			return err
		}
	}
	variants, others := r.variants(c, list)
	c.passedBy = others
	if len(variants) == 0 {
		return r.withoutVariants(ctx, c, list, gone)
	}
	r.enlist(c, variants, gone == nil)
	return r.resolve(ctx, c)
}

// errAbsent stands for a tag of which the cache knows that it is not there.
var errAbsent = errors.New("the tag is not in the registry's list")

// readPlain reads what the reference itself names. That it names nothing is no error here, since there may be variants of it: gone
// says so.
func (r *Road) readPlain(ctx context.Context, c *Choice, unlisted bool) (gone, err error) {
	if unlisted {
		if raw, err := r.pinned(c.Reference.String()); err != nil || raw == nil { // a registry may have what it does not list
			return errAbsent, err
		}
	}
	err = r.readIndex(ctx, c)
	if class, _, _ := fault.Of(err, ""); class == fault.Reference {
		return err, nil
	}
	return nil, err
}

// withoutVariants is for a reference of which no tag is a variant: it stands for itself, as if nobody had asked for tags.
func (r *Road) withoutVariants(ctx context.Context, c *Choice, list []string, gone error) error {
	switch {
	case errors.Is(gone, errAbsent): // the tags that are known are none for this node; there may be the plain one by now
		return r.readIndex(ctx, c)
	case gone != nil && r.Option.Variants == option.TagVariants:
		err := fault.New(fault.Reference, "%w", gone)
		if len(list) > 0 {
			return err.Hint("these tags are no variants, since they end in no word that is known here: %s", some(list))
		}
		return err.Hint("no tag of the repository begins with %s_, as %s_zen3 would", c.Reference.Tag, c.Reference.Tag)
	}
	return gone
}

// askTags asks the registry for its tags and remembers those that matter. Unless tags are all that is wanted, an image that was
// found stands for itself where they cannot be had.
func (r *Road) askTags(ctx context.Context, c *Choice, gone error) ([]string, error) {
	all, err := r.listTags(ctx, c)
	if err == nil {
		list := about(all, c.Reference.Tag)
		r.Clock.Done("tags", fmt.Sprintf("%d of %d", len(list), len(all)))
		if variants, _ := r.variants(c, list); gone != nil && len(variants) == 0 {
			return list, nil // nothing was found, and nothing is remembered
		}
		return list, r.rememberTags(c, list)
	}
	if r.Option.Variants == option.TagVariants {
		return nil, fault.New(fault.Registry, "%w", err).Hint("--variants index takes %s as it is", c.Reference.Name)
	}
	var unlistable *fetch.UnlistableError
	class, _, _ := fault.Of(err, "")
	switch {
	case ctx.Err() != nil:
		return nil, err
	case gone != nil:
		return nil, gone
	case errors.As(err, &unlistable):
		r.note("%s is taken as it is, without variants by tag: %v", c.Reference, err)
		return nil, r.rememberTags(c, nil) // or each run would ask again
	case c.Cached && class == fault.Network: // a cached image needs no registry
		r.note("%s is taken as it is, without variants by tag: %v", c.Reference, err)
		return nil, nil
	}
	return nil, err // choosing another image because the registry was busy would be chance
}

func (r *Road) listTags(ctx context.Context, c *Choice) ([]string, error) {
	if r.Option.Pull == option.Never {
		return nil, fault.New(fault.Cache, "the tags beside %s are not in the cache, and --pull never forbids to ask for them", c.Reference).
			Hint("run it once with --pull missing, or: hpc3 pull %s", c.Reference.Name)
	}
	src, err := r.open(ctx, c)
	if err != nil {
		return nil, err
	}
	return fetch.Tags(ctx, src)
}

// about returns the tags that are tag or may be a variant of it, sorted.
func about(all []string, tag string) []string {
	var list []string
	for _, t := range all {
		if t == tag || strings.HasPrefix(t, tag+"_") {
			list = append(list, t)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// tagsKey is the name under which the cache knows the tags beside a reference. No reference reads so.
func tagsKey(ref oci.Reference) string { return ref.String() + " tags" }

// cachedTags returns the tags that the cache holds, and whether it holds a list.
func (r *Road) cachedTags(c *Choice) (list []string, listed bool, err error) {
	if r.Option.Pull == option.Always {
		return nil, false, nil
	}
	raw, err := r.pinned(tagsKey(c.Reference))
	if err != nil || raw == nil {
		return nil, false, err
	}
	list, err = oci.ParseTags(raw)
	return list, err == nil, err
}

func (r *Road) rememberTags(c *Choice, list []string) error {
	raw, err := oci.FormatTags(c.Reference.Repository, list)
	if err != nil {
		return err
	}
	return r.remember(tagsKey(c.Reference), raw, oci.MediaTypeTags)
}

// enlist makes the index of c one of tags: first what the reference itself names, if it is there, then its variants.
func (r *Road) enlist(c *Choice, variants []byTag, plain bool) {
	index := oci.Index{MediaType: oci.MediaTypeIndex}
	if plain {
		index.Entries = append(index.Entries, asOne(c.Nodes[0], c.Index, 0, byTag{tag: c.Reference.Tag}))
	}
	for _, v := range variants {
		index.Entries = append(index.Entries, oci.TagEntry(len(index.Entries), v.tag, v.tokens, assumed(c.Nodes[0], v.tokens)))
	}
	c.Index = index
}

// assumed is the platform of an image that was not looked at: that of the first CPU among its words, else the node's.
func assumed(n facts.Node, tokens []string) oci.Platform {
	for _, t := range tokens {
		if target, ok := facts.LookupTarget(t); ok {
			return oci.Platform{OS: n.OS, Architecture: facts.ArchOf(target.Root())}
		}
	}
	return oci.Platform{OS: n.OS, Architecture: n.Arch}
}

// asOne returns what a tag names as one entry. An index is as good as the best of its entries.
func asOne(n facts.Node, index oci.Index, position int, v byTag) oci.Entry {
	if index.Digest == "" { // a single image
		return complete(n, index.Entries[0].Tagged(position, v.tag, v.tokens))
	}
	e := oci.TagEntry(position, v.tag, v.tokens, assumed(n, v.tokens))
	e.Nested = append([]oci.Entry{}, index.Entries...)
	return e
}

// complete gives an entry that states no platform the one that was assumed.
func complete(n facts.Node, e oci.Entry) oci.Entry {
	if e.Platform == nil {
		p := assumed(n, e.Tokens)
		e.Platform = &p
	}
	return e
}

// resolve looks at the tag that would be chosen, and again while that changes the choice. The others stay as their tags say.
func (r *Road) resolve(ctx context.Context, c *Choice) error {
	for range maxResolved {
		at := r.wanted(c)
		if at < 0 || resolved(c.Index.Entries[at]) {
			return nil
		}
		index, err := r.readTag(ctx, c, c.Index.Entries[at])
		if err != nil {
			return err
		}
		e := &c.Index.Entries[at]
		v := byTag{e.Tag, e.Tokens}
		if index == nil {
			e.Faults = append(e.Faults, "the registry lists its tag and has no image under it")
			continue
		}
		*e = asOne(c.Nodes[0], *index, e.Position, v)
	}
	return fault.New(fault.NoMatch, "%d tags beside %s were looked at, and none was what its tag says", maxResolved, c.Reference).
		Hint("name the tag that is wanted: %s", c.Index.Entries[len(c.Index.Entries)-1].Tag)
}

// resolved reports whether nothing more is to be learned of an entry.
func resolved(e oci.Entry) bool { return e.Digest != "" || e.Nested != nil || len(e.Faults) > 0 }

// wanted returns the entry that would be chosen, -1 if none. Whether a tag has the digest that --variant names, is known when it
// was looked at.
func (r *Road) wanted(c *Choice) int {
	if r.Option.Variant == "" {
		return r.bestOf(c, c.Index.Entries).Chosen
	}
	at := r.find(c, r.Option.Variant)
	if at < 0 && oci.ValidDigest(r.Option.Variant) {
		at = slices.IndexFunc(c.Index.Entries, func(e oci.Entry) bool { return !resolved(e) })
	}
	return at
}

// readTag reads the image of another tag, as an index of one entry if it is none. The index is nil where there is no image. What
// the tag names is remembered as if the user had named it.
func (r *Road) readTag(ctx context.Context, c *Choice, e oci.Entry) (*oci.Index, error) {
	src, err := r.open(ctx, c) // which asks nothing yet
	if err != nil {
		return nil, err
	}
	one := &Choice{Reference: c.Reference, Nodes: c.Nodes, source: fetch.Tagged(src, e.Tag)}
	one.Reference.Tag = e.Tag
	one.Reference.Name = one.Reference.String()
	err = r.readIndex(ctx, one)
	asked := r.Option.Variant == strconv.Itoa(e.Position) // by the user, who is not given another one instead
	if class, _, _ := fault.Of(err, ""); class == fault.Reference && !asked {
		return nil, nil
	}
	return &one.Index, err
}

// resolveAll looks at every tag of a choice among tags. Of an index every entry is taken.
func (r *Road) resolveAll(ctx context.Context, c *Choice) error {
	var all []oci.Entry
	for _, e := range c.Index.Entries {
		if e.Tag == "" {
			return nil // an index
		}
		index, err := r.readTag(ctx, c, e)
		if err != nil {
			return err
		}
		if index == nil {
			r.note("%s lists the tag %s and has no image under it", c.Reference.Registry, e.Tag)
			continue
		}
		for _, inner := range index.Entries {
			all = append(all, complete(c.Nodes[0], inner.Tagged(e.Position, e.Tag, e.Tokens)))
		}
	}
	c.Index.Entries = all
	return nil
}

// nameTags adds to an error that nothing fits the tags among which was chosen.
func (c *Choice) nameTags(err error) error {
	if class, _, _ := fault.Of(err, ""); class != fault.NoMatch {
		return err
	}
	var tags []string
	for _, e := range c.Index.Entries {
		if e.Tag != "" {
			tags = append(tags, e.Tag)
		}
	}
	if len(tags) == 0 {
		return err
	}
	return fault.New(fault.NoMatch, "%w", err).Hint("the tags are %s", some(tags))
}

// some names the first of many.
func some(tags []string) string {
	if len(tags) > maxNamed {
		return fmt.Sprintf("%s and %d more", strings.Join(tags[:maxNamed], ", "), len(tags)-maxNamed)
	}
	return strings.Join(tags, ", ")
}
