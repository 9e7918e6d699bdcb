package match

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// TagPattern is how the tags of a repository are made, "{version}-{gpu}": text, and places for
// words. {version} is the tag that the user names, {cpu} and {gpu} are one or more words of a CPU
// or a GPU, {word} any of the vocabulary or of the site, and {any} says nothing of where the image
// runs.
type TagPattern struct {
	text  string
	parts []patternPart
}

// patternPart is a text, or a place of a name.
type patternPart struct{ text, place string }

// maxPattern bounds a pattern, whose tags have 128 characters.
const maxPattern = 2 * maxTag

// ParseTagPattern reads a pattern.
func ParseTagPattern(s string) (TagPattern, error) {
	p := TagPattern{text: s}
	wrong := func(format string, args ...any) (TagPattern, error) {
		return TagPattern{}, fmt.Errorf("the pattern %q %s; an example is {version}-{gpu}",
			clipped(s), fmt.Sprintf(format, args...))
	}
	if len(s) > maxPattern {
		return wrong("is longer than %d characters", maxPattern)
	}
	for rest := s; rest != ""; {
		text, after, open := strings.Cut(rest, "{")
		if strings.Trim(text, tagCharacters) != "" {
			return wrong("has characters that no tag has")
		}
		if text != "" {
			p.parts = append(p.parts, patternPart{text: text})
		}
		if !open {
			break
		}
		name, after, closed := strings.Cut(after, "}")
		if !closed {
			return wrong("has { without }")
		}
		if !slices.Contains([]string{"version", "cpu", "gpu", "word", "any"}, name) {
			return wrong("has a place {%s}, where only {version}, {cpu}, {gpu}, {word} and {any} are "+
				"known", name)
		}
		p.parts = append(p.parts, patternPart{place: name})
		rest = after
	}
	if p.places("version") != 1 || p.places("cpu", "gpu", "word") == 0 {
		return wrong("needs {version} once, and {cpu}, {gpu} or {word}")
	}
	return p, nil
}

const tagCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"

// places counts the places of these names.
func (p TagPattern) places(names ...string) int {
	n := 0
	for _, part := range p.parts {
		if slices.Contains(names, part.place) {
			n++
		}
	}
	return n
}

func (p TagPattern) String() string { return p.text }

// byPattern reads a tag by the first pattern that may have made it for a base.
func (r *tagReader) byPattern(patterns []TagPattern, tag, base string) (Variant, bool) {
	for _, p := range patterns {
		f := filler{tagReader: r, parts: p.parts, tag: tag, base: base, failed: map[[2]int]bool{}}
		if f.fill(0, 0) {
			return Variant{Tag: tag, Tokens: f.tokens, Passed: f.passed}, true
		}
	}
	return Variant{}, false
}

// filler reads one tag by one pattern.
type filler struct {
	*tagReader
	parts  []patternPart
	tag    string
	base   string
	tokens []string
	passed []string
	failed map[[2]int]bool // parts and places in the tag that were tried in vain
}

// fill reads the tag from a place on by the parts from one on, each place as long as can be.
func (f *filler) fill(part, at int) bool {
	if part == len(f.parts) {
		return at == len(f.tag)
	}
	if f.failed[[2]int{part, at}] {
		return false
	}
	p := f.parts[part]
	switch p.place {
	case "version", "":
		text := p.text
		if p.place != "" {
			text = f.base
		}
		if strings.HasPrefix(f.tag[at:], text) && f.fill(part+1, at+len(text)) {
			return true
		}
	default:
		for end := len(f.tag); end > at; end-- {
			if f.place(p.place, part, at, end) {
				return true
			}
		}
	}
	f.failed[[2]int{part, at}] = true
	return false
}

// place reads a part of the tag as the words of a place, and what follows it.
func (f *filler) place(name string, part, at, end int) bool {
	tokens, ok := f.inPlace(name, f.tag[at:end])
	if !ok {
		return false
	}
	wasTokens, wasPassed := len(f.tokens), len(f.passed)
	f.tokens = append(f.tokens, tokens...)
	if name == "any" {
		f.passed = append(f.passed, f.tag[at:end])
	}
	if f.fill(part+1, end) {
		return true
	}
	f.tokens, f.passed = f.tokens[:wasTokens], f.passed[:wasPassed]
	return false
}

// Numbers of GPUs without a word before them, as text-embeddings-inference and E4S have them in
// their tags: a compute capability, and AMD's chips of GFX9, whose numbers are greater. "90a" may
// be either.
//
//nolint:gochecknoglobals // constant once compiled
var (
	bareCapability = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^([1-9]|1[0-2])\.?(\d)$`)
	})
	bareChip = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^9\d\d$`) })
)

// inPlace returns the demands of the text at a place, and whether it can stand there.
func (r *tagReader) inPlace(name, text string) (tokens []string, ok bool) {
	if name == "any" {
		return nil, true
	}
	if m := bareCapability().FindStringSubmatch(text); m != nil && name == "gpu" {
		return []string{"nv-compute-" + m[1] + "-" + m[2]}, true
	}
	if name == "gpu" && bareChip().MatchString(text) {
		return []string{"amd-gfx" + text}, true
	}
	words := r.split(text)
	for _, w := range words {
		is := map[string]bool{
			"cpu": w.about == aboutCPU, "gpu": w.about == aboutGPU || w.token == "generic",
			"word": w.about != aboutNothing && w.about != aboutBuild,
		}[name]
		if !is {
			return nil, false
		}
		if w.token != "" {
			tokens = append(tokens, w.token)
		}
	}
	tokens, why := r.completed(words, tokens)
	return tokens, why == ""
}
