package match

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Tags is what tags of a repository say.
type Tags struct {
	Repository string       // "docker.io/library/app"; tags may repeat its last part
	Labels     []string     // words of the site
	Patterns   []TagPattern // how the tags are made, if site or author say so
}

// Variant is a tag that is a variant of another one.
type Variant struct {
	Tag    string
	Tokens []string // demands
	Passed []string // words of its own that say nothing of where it runs
}

// NoVariant is a tag that is near to another one and no variant of it.
type NoVariant struct{ Tag, Reason string }

// Of returns the tags that say of themselves to be variants of base, those with the fewest words
// beside their demands first, and those that come near. A word that may as well be something else,
// "5.0_milan", counts only if the words of another such tag leave no doubt.
func (t Tags) Of(base string, tags []string) (variants []Variant, others []NoVariant) {
	r := newTagReader(t.Repository, t.Labels)
	var doubtful []reading
	proof := map[about]map[string]bool{}
	version := r.split(base)
	for _, tag := range tags {
		if tag == base {
			continue
		}
		if len(t.Patterns) > 0 {
			if v, ok := r.byPattern(t.Patterns, tag, base); ok {
				variants = append(variants, v)
			} else {
				others = append(others, NoVariant{tag, "not made by the pattern of its repository"})
			}
			continue
		}
		if !hasParts(tag, base) {
			continue // far from it
		}
		read := r.readTag(tag, version)
		read.prove(proof)
		switch {
		case read.why != "":
			others = append(others, NoVariant{tag, r.apart(tag, base, read.why)})
		case len(read.twofold()) > 0:
			doubtful = append(doubtful, read)
		default:
			variants = append(variants, read.variant)
		}
	}
	for _, read := range doubtful {
		if w, ok := read.doubt(proof); ok {
			others = append(others, NoVariant{read.variant.Tag, fmt.Sprintf("%q may be the name of "+
				"a release as well, and no other tag of %s tells: an image of its own", w, base)})
		} else {
			variants = append(variants, read.variant)
		}
	}
	slices.SortStableFunc(variants, func(a, b Variant) int {
		return cmp.Or(cmp.Compare(len(a.Passed), len(b.Passed)), cmp.Compare(a.Tag, b.Tag))
	})
	slices.SortFunc(others, func(a, b NoVariant) int { return cmp.Compare(a.Tag, b.Tag) })
	return variants, others
}

// reading is a tag that was read.
type reading struct {
	variant Variant
	words   []tagWord // beyond those of the base
	why     string    // it is no variant; "" if it may be one
}

// readTag reads a tag that may be a variant of the one with the words of base.
func (r *tagReader) readTag(tag string, base []tagWord) reading {
	read := reading{variant: Variant{Tag: tag}}
	more, ok := beyond(r.split(tag), base)
	if !ok {
		read.why = "another version"
		return read
	}
	read.words = more
	for _, w := range more {
		switch w.about {
		case aboutNothing:
			if read.why == "" {
				read.why = fmt.Sprintf("%q is no word that is known here", w.text) + r.near(w)
			}
		case aboutBuild:
			read.variant.Passed = append(read.variant.Passed, w.text)
		default:
			if w.token != "" {
				read.variant.Tokens = append(read.variant.Tokens, w.token)
			}
		}
	}
	if read.why == "" {
		read.variant.Tokens, read.why = r.completed(more, read.variant.Tokens)
	}
	return read
}

const misspeltFor = "probably misspelt for"

// near says which word of the vocabulary was probably meant, as the end of a sentence.
func (r *tagReader) near(w tagWord) string {
	if near := r.nearOf(strings.ToLower(w.text))(); near != "" {
		return fmt.Sprintf(", and %s %q", misspeltFor, near)
	}
	return ""
}

// completed adds what words say together: an image with CUDA or ROCm in its tag is built for GPUs.
func (r *tagReader) completed(words []tagWord, tokens []string) (all []string, why string) {
	code, stack, bare := false, "", false
	for _, w := range words {
		bare = bare || strings.EqualFold(w.text, "gpu")
		if w.token == "" {
			continue
		}
		switch d := r.read(w.token); d.kind {
		case kindNVIDIA, kindAMD:
			code = true
		case kindCUDA:
			stack = "cuda"
		case kindGPU:
			stack = cmp.Or(map[string]string{"amd": "rocm"}[d.name], "cuda")
		}
	}
	switch {
	case bare && !code && stack == "":
		return nil, `"gpu" does not say whose`
	case !code && stack == "cuda" && !slices.Contains(tokens, "cuda"):
		tokens = append(tokens, "cuda")
	case len(tokens) == 0:
		return nil, "no word says where it runs"
	}
	return tokens, ""
}

// twofold returns the words that may as well be something else.
func (r reading) twofold() []tagWord {
	return slices.DeleteFunc(slices.Clone(r.words), func(w tagWord) bool { return !w.twofold })
}

// prove notes what the words of a tag show of the scheme: plain ones by the empty word, and the
// code names that may be something else, of which two of a kind are no chance. Levels are numbered
// as revisions are, and prove nothing.
func (r reading) prove(proof map[about]map[string]bool) {
	if r.why != "" {
		return
	}
	for _, w := range r.words {
		if w.about != aboutCPU && w.about != aboutGPU || w.token == "" || w.token == "generic" {
			continue
		}
		if proof[w.about] == nil {
			proof[w.about] = map[string]bool{}
		}
		switch {
		case !w.twofold:
			proof[w.about][""] = true
		case slices.Contains(twofold, strings.ToLower(w.text)) || w.about == aboutGPU:
			proof[w.about][strings.ToLower(w.text)] = true
		}
	}
}

// doubt returns the first word that nothing shows to be of the vocabulary.
func (r reading) doubt(proof map[about]map[string]bool) (string, bool) {
	for _, w := range r.twofold() {
		known := proof[w.about]
		if !known[""] && (len(known) < 2 || isLevel(w.text)) {
			return w.text, true
		}
	}
	return "", false
}

// apart says what a tag is that is no variant of base.
func (r *tagReader) apart(tag, base, why string) string {
	if version, tokens := SplitTag(tag, r.labels); len(tokens) > 0 {
		return fmt.Sprintf("a variant of %s, an image of its own", version)
	}
	if words, ok := strings.CutPrefix(tag, base+"_"); ok && !strings.Contains(why, misspeltFor) {
		return fmt.Sprintf("%q ends in no word that is known here: an image of its own", words)
	}
	return why + ": an image of its own"
}
