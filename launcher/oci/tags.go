package oci

import (
	"encoding/json"
	"slices"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

// MediaTypeTags is the media type of a list of tags in hpc3's cache. The list is the document that
// a registry answers with, which has no media type of its own.
const MediaTypeTags = "application/vnd.hpc3.tags.v1+json"

// ParseTags reads a list of tags in a registry's form and order. Malformed tags are left out: they
// could not be requested. A list has at most 10,000 tags. Errors are ErrUnusable.
func ParseTags(raw []byte) ([]string, error) {
	d := &decoder{what: "list of tags"}
	m := d.document(raw)
	if d.err == nil && m["tags"] == nil {
		d.fail("it has no tags")
	}
	tags := d.texts("tags", m["tags"]) // null stands for none
	if d.err != nil {
		return nil, d.err
	}
	return slices.DeleteFunc(tags, func(t string) bool { return !isTag(t) }), nil
}

// FormatTags returns the list of tags of a repository as ParseTags reads it.
func FormatTags(repository string, tags []string) ([]byte, error) {
	list := struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{repository, tags}
	raw, err := json.Marshal(list)
	if err != nil {
		return nil, fault.New(fault.Cache, "writing a list of tags: %w", err)
	}
	return raw, nil
}

// TagEntry returns an image of which only the tag is known, as an entry without a digest: it runs
// on p, which may be a guess, and its words are its demands.
func TagEntry(position int, tag string, words []string, p Platform) Entry {
	e := Entry{Descriptor: Descriptor{Platform: &p}}
	return e.Tagged(position, tag, words)
}

// Tagged returns e as the image under a tag, whose words are demands beside those of e.
func (e Entry) Tagged(position int, tag string, words []string) Entry {
	e.Position, e.Tag = position, tag
	tokens, faults := foldTokens(slices.Concat(words, e.Tokens))
	e.Tokens, e.Faults = tokens, slices.Concat(e.Faults, faults)
	return e
}
