package oci

import (
	"fmt"
	"slices"
	"strings"
)

// Index is an image index or Docker manifest list.
type Index struct {
	Digest      string // of the bytes it was read from; empty for an image without an index
	MediaType   string
	Annotations map[string]string
	Entries     []Entry // all of them, in order
}

// Entry is one entry of an index, with its demands on a node.
type Entry struct {
	Position int // in manifests[] of the index, from 0
	// how the image is known; empty for an entry of an index. Without a digest, only the tag was
	// read
	Tag string
	Descriptor
	// demands, all of which must hold: lower case, each once, from every place that can state them;
	// aliases stay as written
	Tokens      []string
	Rank        int      // the author's; 0 if none is given
	Attestation bool     // statements about a build, not an image
	Faults      []string // why the entry can not be used, whatever the node; mostly none
	Notes       []string // oddities that do not keep it from being used
	Config      *Config  // what the image says of itself; nil if that was not read
	Floor       *Floor   // what its code needs; nil if that is not known
	Nested      []Entry  // of an index, what it holds; nil if that was not read
}

// Lone reports whether an index holds one image and nothing else that could run: buildx pushes a
// single image so, beside statements about its build.
func (x Index) Lone() bool {
	images := 0
	for _, e := range x.Entries {
		switch {
		case e.IsIndex():
			return false
		case e.IsImage():
			images++
		}
	}
	return images == 1
}

// Inner returns the entries of the index that e stands for, as candidates: those under a tag carry
// it and, if they state no platform, get the tag's.
func (e Entry) Inner() []Entry {
	if e.Tag == "" {
		return e.Nested
	}
	inner := make([]Entry, len(e.Nested))
	for i, n := range e.Nested {
		if n.Platform == nil && !n.IsIndex() {
			n.Platform = e.Platform
		}
		inner[i] = n.Tagged(e.Position, e.Tag, e.Tokens)
	}
	return inner
}

// IsIndex reports whether the entry is an index itself.
func (e Entry) IsIndex() bool { return IsIndex(e.MediaType) }

// IsImage reports whether the entry is an image by its types. Without a media type it counts as
// one.
func (e Entry) IsImage() bool {
	return !e.Attestation && (e.MediaType == "" || IsManifest(e.MediaType)) &&
		(e.ArtifactType == "" || IsConfig(e.ArtifactType))
}

// Wants returns the platform of the entry with all its tokens, "linux/amd64/v3:zen3"; an empty
// string if it states none.
func (e Entry) Wants() string {
	if e.Platform == nil {
		return ""
	}
	p := *e.Platform
	p.Features = e.Tokens
	return p.String()
}

// ParseIndex reads an index or manifest list. An entry with wrong values is kept with its Faults,
// so that the others remain usable and positions stay true. Anything that is not an index is
// ErrUnusable.
func ParseIndex(raw []byte) (Index, error) {
	d := &decoder{what: "index"}
	m := d.document(raw)
	x := Index{
		Digest:      DigestOf(raw),
		MediaType:   d.text("mediaType", m["mediaType"]),
		Annotations: d.pairs("annotations", m["annotations"]),
	}
	d.checkKind(m, x.MediaType, "manifests", IsIndex)
	for i, item := range d.list("manifests", m["manifests"]) {
		if d.err != nil {
			break
		}
		x.Entries = append(x.Entries,
			newEntry(i, d.descriptor(fmt.Sprintf("manifests[%d]", i), item)))
	}
	if d.err != nil {
		return Index{}, d.err
	}
	if x.MediaType == "" {
		x.MediaType = MediaTypeIndex
	}
	return x, nil
}

// checkKind refuses a document of another kind, or of two kinds at once: one digest could mean
// different images to different clients (CVE-2021-41190).
func (d *decoder) checkKind(m members, mediaType, list string, is func(string) bool) {
	if d.err != nil {
		return
	}
	version := d.number("schemaVersion", m["schemaVersion"])
	index := m.has("manifests")
	image := m.has("layers") || m.has("config")
	switch {
	case version != 0 && version != 2 || mediaType != "" && !is(mediaType):
		d.err = unusable(d.what, mediaType, version)
	case index && image:
		d.fail("it has manifests, as an index has, and layers or a config, as an image has")
	case m[list] == nil:
		d.fail("it has no %s", list)
	}
}

func unusable(what, mediaType string, version int64) error {
	switch {
	case version == 1:
		return unusableType(mediaType, version)
	case version != 0 && version != 2:
		return ErrUnusable.New("reading %s: schema version %d, known is 2", what, version)
	}
	return ErrUnusable.New("reading %s: its media type is %.120q", what, mediaType)
}

func newEntry(position int, desc Descriptor) Entry {
	e := Entry{Position: position, Descriptor: desc}
	if desc.Digest == "" && desc.MediaType == "" && desc.Platform == nil {
		e.Faults = []string{"is empty"}
		return e
	}
	if f := desc.fault(); f != "" {
		e.Faults = append(e.Faults, f)
	} else if desc.Size > MaxDocument {
		e.Faults = append(e.Faults, fmt.Sprintf("a manifest of %d bytes, the limit is %d",
			desc.Size, MaxDocument))
	}
	e.normalize()
	return e
}

// normalize reads the platform in GOARCH spelling, the demands, and whether e is an attestation.
func (e *Entry) normalize() {
	if p := e.Platform; p != nil {
		q := *p
		q.OS, q.Architecture, q.Variant = strings.ToLower(p.OS), Architecture(p.Architecture),
			strings.ToLower(p.Variant)
		e.Platform = &q
		e.Faults = append(e.Faults, platformFaults(q)...)
	}
	_, marked := e.Annotations[annotationAttestation]
	e.Attestation = marked || e.Platform != nil && (e.Platform.OS == "unknown" ||
		e.Platform.Architecture == "unknown")
	e.demands()
}

func platformFaults(p Platform) []string {
	var faults []string
	for _, word := range []string{p.OS, p.Architecture, p.Variant} {
		if word != "" && (!isWord(word) || len(word) > maxToken) {
			faults = append(faults, fmt.Sprintf("%.80q is no part of a platform", word))
		}
	}
	return faults
}

// SingleIndex returns an image without an index as an index of one entry, with cfg as its Config.
// Its demands come from the config: platform, labels, and MetaHub's variable for a
// microarchitecture. Annotations of the descriptor take precedence over the labels.
func SingleIndex(manifest Descriptor, cfg Config) Index {
	manifest.Annotations = mergeLabels(manifest.Annotations, cfg)
	if cfg.OS != "" || cfg.Architecture != "" {
		manifest.Platform = &Platform{
			OS: cfg.OS, Architecture: cfg.Architecture, Variant: cfg.Variant,
			OSVersion:  cfg.OSVersion,
			OSFeatures: slices.Clone(cfg.OSFeatures),
		}
	}
	e := newEntry(0, manifest)
	e.Config = &cfg
	return Index{MediaType: MediaTypeIndex, Entries: []Entry{e}}
}

// mergeLabels merges the annotations over the labels of cfg over the microarchitecture from its
// environment.
func mergeLabels(annotations map[string]string, cfg Config) map[string]string {
	merged := map[string]string{}
	for _, env := range cfg.Env {
		if value, ok := strings.CutPrefix(env, microarchEnv+"="); ok {
			merged[microarchKeys[0]] = value
		}
	}
	for k, v := range cfg.Labels {
		merged[k] = v
	}
	for k, v := range annotations {
		merged[k] = v
	}
	if len(merged) == 0 {
		return nil
	}
	return merged
}
