package choose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/match"
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

// variants returns the tags that say of themselves to be variants of the reference, and the others.
// A word is known if it is one of the vocabulary, of the nodes, or of any node of the site.
func (ch *chooser) variants(list []string) (variants []byTag, others []PassedBy) {
	labels := slices.Clone(ch.Labels)
	for _, n := range ch.Nodes {
		labels = append(labels, n.Labels...)
	}
	for _, tag := range list {
		if tag == ch.Reference.Tag {
			continue
		}
		version, tokens := split(tag, ch.Reference.Tag, labels)
		switch {
		case version == ch.Reference.Tag:
			variants = append(variants, byTag{tag, match.TagTokens(tokens, labels)})
		case len(tokens) > 0:
			others = append(others,
				PassedBy{tag, fmt.Sprintf("a variant of %s, an image of its own", version)})
		default:
			words := strings.TrimPrefix(tag, ch.Reference.Tag+"_")
			why := fmt.Sprintf("%q ends in no word that is known here: an image of its own", words)
			others = append(others, PassedBy{tag, why})
		}
	}
	return variants, others
}

// split takes a tag apart. A release may be called as a variant is, 1_v2: asked for by that name it
// is the version.
func split(tag, version string, labels []string) (string, []string) {
	base, tokens := match.SplitTag(tag, labels)
	name, words := match.SplitTag(version, labels)
	if name == base && name != version && isLevel(words) {
		if rest, ok := strings.CutPrefix(tag, version+"_"); ok {
			if before, tokens := match.SplitTag(rest, labels); before == "" {
				return version, tokens
			}
		}
	}
	return base, tokens
}

// isLevel tells whether words are bare variants of an architecture, as v2 is.
func isLevel(words []string) bool {
	return !slices.ContainsFunc(words, func(w string) bool {
		return strings.Trim(w, "v0123456789.") != ""
	})
}
