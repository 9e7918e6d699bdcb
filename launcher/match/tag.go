package match

import (
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// maxTag bounds the tags that SplitTag splits; the distribution specification allows 128
// characters.
const maxTag = 128

// SplitTag splits a tag such as "2021.5_zen3_mpi-mpich" into version and tokens, which keep their
// spelling. Names contain the separator themselves, so it splits from the right, the longest known
// word first. A tag whose last part is no target, alias, demand, variant of an architecture or
// label of the site is a version as a whole.
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

// lastToken returns where the longest known word at the end of s begins; -1 if there is none.
func (c *chooser) lastToken(s string, labels []string) int {
	for start := 0; start < len(s); {
		word := strings.ToLower(s[start:])
		if c.read(c.tagToken(word)).kind != kindLabel ||
			slices.ContainsFunc(labels, func(l string) bool { return strings.ToLower(l) == word }) {
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

// tagToken returns the target that a variant of an architecture stands for, and any other word
// unchanged. The numbers distinguish amd64 from arm64; an architecture alone is the root of its
// family.
func (c *chooser) tagToken(word string) string {
	arch, variant, both := strings.Cut(strings.ToLower(word), "_")
	switch {
	case !both && (arch == "arm64" || arch == "amd64"):
		return facts.FamilyOf(arch)
	case !both:
		arch, variant = "", arch
	}
	number, is := strings.CutPrefix(variant, "v")
	first, _, _ := strings.Cut(number, ".")
	of := map[string]string{
		"1": "amd64", "2": "amd64", "3": "amd64", "4": "amd64", "8": "arm64",
		"9": "arm64",
	}[first]
	if !is || of == "" || arch != "" && oci.Architecture(arch) != of {
		return word
	}
	if t := c.lookup(variantTarget(of, variant)); t != nil {
		return t.Name
	}
	return word
}
