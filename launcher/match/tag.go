package match

import (
	"slices"
	"strings"
)

// maxTag bounds what SplitTag takes apart; the distribution specification lets a tag have 128 characters.
const maxTag = 128

// SplitTag takes a tag such as "2021.5_zen3_mpi-mpich" apart into version and tokens, which keep their spelling. Names hold
// the separator themselves, so it splits from the right, the longest known word first. A tag of which the last part is no
// target, alias, demand or label of the site is a version as a whole.
func SplitTag(tag string, labels []string) (version string, tokens []string) {
	c := newChooser(nil, Policy{})
	version = tag
	for version != "" && len(tag) <= maxTag {
		start := c.lastToken(version, labels)
		if start < 0 {
			break
		}
		tokens = append(tokens, version[start:])
		version = strings.TrimSuffix(version[:start], "_")
	}
	slices.Reverse(tokens)
	return version, tokens
}

// lastToken returns where the longest known word at the end of s begins, -1 if there is none.
func (c *chooser) lastToken(s string, labels []string) int {
	for start := 0; start < len(s); {
		word := strings.ToLower(s[start:])
		if c.read(word).kind != kindLabel || slices.ContainsFunc(labels, func(l string) bool { return strings.ToLower(l) == word }) {
			return start
		}
		next := strings.IndexByte(s[start:], '_')
		if next < 0 {
			break
		}
		start += next + 1
	}
	return -1
}
