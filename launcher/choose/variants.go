package choose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/match"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// byTag is an image of the repository that is a variant of the reference by its tag.
type byTag struct {
	tag    string
	tokens []string
}

// PassedBy is a tag beside the reference that is none of its variants.
type PassedBy struct {
	Tag    string `json:"tag"`
	Reason string `json:"reason"`
}

// tagsPattern is the label of an image by which its author says how the tags beside its own are
// made, as in [[tags]] of the site's file.
const tagsPattern = "org.supercontainers.hpc3.tags"

// variants returns the tags that say of themselves to be variants of the reference, and the others.
// A word is known if it is one of the vocabulary, of the nodes, or of any node of the site.
func (ch *chooser) variants(list []string) (variants []byTag, others []PassedBy) {
	set := match.Tags{
		Repository: ch.Reference.Registry + "/" + ch.Reference.Repository,
		Labels:     slices.Clone(ch.Labels), Patterns: ch.patterns,
	}
	for _, n := range ch.Nodes {
		set.Labels = append(set.Labels, n.Labels...)
	}
	known, none := set.Of(ch.Reference.Tag, list)
	for _, v := range known {
		variants = append(variants, byTag{v.Tag, v.Tokens})
	}
	for _, o := range none {
		others = append(others, PassedBy{o.Tag, o.Reason})
	}
	return variants, others
}

// readPatterns notes how the tags of the repository are made, if the site says so or, without that,
// a label of the image that the reference names.
func (ch *chooser) readPatterns(ctx context.Context) error {
	at := slices.IndexFunc(ch.c.Index.Entries, oci.Entry.IsImage)
	if len(ch.TagPatterns) > 0 || at < 0 {
		return nil
	}
	e := ch.c.Index.Entries[at]
	said := cmp.Or(ch.c.Index.Annotations[tagsPattern], e.Annotations[tagsPattern])
	if said == "" && ch.mayHaveVariants() { // of an index of several, nobody's label counts for all
		labels, err := ch.labelsOf(ctx, e)
		unread := errors.Is(err, fetch.ErrUnreachable) || errors.Is(err, ErrNotCached)
		if err != nil && (!unread || !ch.cached) { // a cached image needs no registry
			return err
		}
		said = labels[tagsPattern]
	}
	for text := range strings.FieldsSeq(said) {
		p, err := match.ParseTagPattern(text)
		if err != nil {
			ch.Sayf("warning: the label %s of %s is passed over: %v", tagsPattern, ch.Reference, err)
			continue
		}
		ch.patterns = append(ch.patterns, p)
	}
	return nil
}

// labelsOf returns the labels of an image, which is read if it was not before. What turns out to be
// no image, or broken, has none.
func (ch *chooser) labelsOf(ctx context.Context, e oci.Entry) (map[string]string, error) {
	if e.Config != nil {
		return e.Config.Labels, nil
	}
	raw, made, err := ch.from.Config(e.Digest, ch.Nodes[0].Arch)
	if err == nil && !made {
		raw, err = ch.fetchConfig(ctx, e, ch.Reference.String())
	}
	var none notImageError
	if errors.As(err, &none) || errors.Is(err, oci.ErrUnusable) ||
		errors.Is(err, fetch.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	config, err := oci.ParseConfig(raw)
	return config.Labels, err
}

// noVariants says what a tag would have to be called to be one of a variant.
func noVariants(tag string) string {
	return fmt.Sprintf("no tag of the repository holds %s and a word of a CPU or GPU, as %s_zen3 would",
		tag, tag)
}
