package choose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/match"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// maxResolved bounds how many tags are looked at for one choice. Mostly it is the chosen one;
// others are looked at if an image turns out to be for another architecture than was assumed.
const maxResolved = 64

// MaxNamed bounds how many tags a message names.
const MaxNamed = 12

// enlist makes the index one of tags: first what the reference itself names, if that exists, then
// its variants.
func (ch *chooser) enlist(variants []byTag, plain bool) {
	index := oci.Index{MediaType: oci.MediaTypeIndex}
	if plain {
		plain := asOne(ch.Nodes[0], ch.c.Index, 0, byTag{tag: ch.Reference.Tag})
		index.Entries = append(index.Entries, plain)
	}
	for _, v := range variants {
		platform := assumed(ch.Nodes[0], v.tokens)
		index.Entries = append(index.Entries,
			oci.TagEntry(len(index.Entries), v.tag, v.tokens, platform))
	}
	ch.c.Index = index
}

// assumed is the platform of an image that was not looked at: that of the first CPU among its
// words, else the node's.
func assumed(n facts.Node, tokens []string) oci.Platform {
	for _, t := range tokens {
		if arch := match.ArchOf(t); arch != "" {
			return oci.Platform{OS: n.OS, Architecture: arch}
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

// resolve looks at the tag that would be chosen, and again while that changes the choice. The
// others stay as their tags say.
func (ch *chooser) resolve(ctx context.Context) error {
	for range maxResolved {
		at := ch.wanted()
		if at < 0 || resolved(ch.c.Index.Entries[at]) {
			return nil
		}
		index, err := ch.readTag(ctx, ch.c.Index.Entries[at])
		if err != nil {
			return err
		}
		e := &ch.c.Index.Entries[at]
		v := byTag{e.Tag, e.Tokens}
		if index == nil {
			e.Faults = append(e.Faults, "the registry lists its tag and has no image under it")
			continue
		}
		*e = asOne(ch.Nodes[0], *index, e.Position, v)
	}
	last := ch.c.Index.Entries[len(ch.c.Index.Entries)-1]
	return match.ErrNoMatch.New("%d tags beside %s were looked at, and none was what its tag says",
		maxResolved, ch.Reference).Hint("name the tag that is wanted: %s", last.Tag)
}

// resolved reports whether nothing more is to be learned of an entry.
func resolved(e oci.Entry) bool { return e.Digest != "" || e.Nested != nil || len(e.Faults) > 0 }

// wanted returns the entry that would be chosen, -1 if none. Whether a tag has the digest that
// --variant names is known when it was looked at.
func (ch *chooser) wanted() int {
	if ch.Variant == "" {
		return ch.bestOf(ch.c.Index.Entries).Chosen
	}
	at := ch.find(ch.Variant)
	if at < 0 && oci.ValidDigest(ch.Variant) {
		at = slices.IndexFunc(ch.c.Index.Entries, func(e oci.Entry) bool { return !resolved(e) })
	}
	return at
}

// readTag reads the image of another tag, as an index of one entry if it is none. The index is nil
// if there is no image. What the tag names is remembered as if the user had named it.
func (ch *chooser) readTag(ctx context.Context, e oci.Entry) (*oci.Index, error) {
	ref := ch.Reference
	ref.Tag = e.Tag
	ref.Name = ref.String()
	index, _, err := ch.readIndex(ctx, ref)
	// A user who asked for this one is not given another one instead.
	asked := ch.Variant == strconv.Itoa(e.Position)
	if namesNone(err) && !asked {
		return nil, nil
	}
	return &index, err
}

// resolveAll looks at every tag of a choice among tags. Of an index every entry is taken.
func (ch *chooser) resolveAll(ctx context.Context) error {
	var all []oci.Entry
	for _, e := range ch.c.Index.Entries {
		if e.Tag == "" {
			return nil // an index
		}
		index, err := ch.readTag(ctx, e)
		if err != nil {
			return err
		}
		if index == nil {
			ch.Notef("%s lists the tag %s and has no image under it", ch.Reference.Registry, e.Tag)
			continue
		}
		for _, inner := range index.Entries {
			all = append(all, complete(ch.Nodes[0], inner.Tagged(e.Position, e.Tag, e.Tokens)))
		}
	}
	ch.c.Index.Entries = all
	return nil
}

// nameTags adds to an error that nothing fits the tags among which was chosen.
func (ch *chooser) nameTags(err error) error {
	if !errors.Is(err, match.ErrNoMatch) {
		return err
	}
	var tags []string
	for _, e := range ch.c.Index.Entries {
		if e.Tag != "" {
			tags = append(tags, e.Tag)
		}
	}
	if len(tags) == 0 {
		return err
	}
	return fault.WithHint(err, "the tags are %s", first(tags))
}

// first names the first of many.
func first(tags []string) string {
	if len(tags) > MaxNamed {
		named := strings.Join(tags[:MaxNamed], ", ")
		return fmt.Sprintf("%s and %d more", named, len(tags)-MaxNamed)
	}
	return strings.Join(tags, ", ")
}
