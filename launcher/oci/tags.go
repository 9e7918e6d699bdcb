package oci

import (
	"encoding/json"
	"slices"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

// MediaTypeTags is what hpc3's cache calls a list of tags. It is the document with which a registry answers, which has no
// media type of its own.
const MediaTypeTags = "application/vnd.hpc3.tags.v1+json"

// ParseTags reads a list of tags as a registry writes it: the tags in its order. What is no tag is left out, since nothing could be
// asked for by it. A list has at most 10,000 tags. Errors are of class fault.Registry.
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

// TagEntry returns an image that is known by its tag only, as an entry without a digest: it runs on p, which may be a guess, and its
// words are its demands.
func TagEntry(position int, tag string, words []string, p Platform) Entry {
	e := Entry{Descriptor: Descriptor{Platform: &p}}
	return e.Tagged(position, tag, words)
}

// Tagged returns e as the image that a tag names: the words of the tag are demands beside those of e.
func (e Entry) Tagged(position int, tag string, words []string) Entry {
	e.Position, e.Tag = position, tag
	tokens, faults := foldTokens(slices.Concat(words, e.Tokens))
	e.Tokens, e.Faults = tokens, slices.Concat(e.Faults, faults)
	return e
}
