package oci

import "fmt"

// Manifest is one image: its config and its layers, the lowest first. It may also be an artifact,
// see Artifact.
type Manifest struct {
	MediaType    string
	Config       Descriptor
	Layers       []Descriptor
	Annotations  map[string]string
	ArtifactType string
	Subject      *Descriptor // the manifest this one is about; nil for most
}

// ParseManifest reads a manifest and checks every digest and size in it. Errors are ErrUnusable.
func ParseManifest(raw []byte) (Manifest, error) {
	d := &decoder{what: "manifest"}
	doc := d.document(raw)
	m := Manifest{
		MediaType:    d.text("mediaType", doc["mediaType"]),
		Annotations:  d.pairs("annotations", doc["annotations"]),
		ArtifactType: d.text("artifactType", doc["artifactType"]),
	}
	d.checkKind(doc, m.MediaType, "layers", IsManifest)
	m.Config = d.usableDescriptor("config", doc["config"])
	for i, item := range d.list("layers", doc["layers"]) {
		m.Layers = append(m.Layers, d.usableDescriptor(fmt.Sprintf("layers[%d]", i), item))
		if d.err != nil {
			break
		}
	}
	if kind(doc["subject"]) == "an object" {
		subject := d.usableDescriptor("subject", doc["subject"])
		m.Subject = &subject
	}
	if d.err != nil {
		return Manifest{}, d.err
	}
	if m.MediaType == "" {
		m.MediaType = MediaTypeManifest
	}
	return m, nil
}

// usableDescriptor reads a descriptor that must be fetchable.
func (d *decoder) usableDescriptor(at string, raw []byte) Descriptor {
	desc := d.descriptor(at, raw)
	if f := desc.fault(); f != "" {
		d.fail("%s: %s", at, f)
	}
	return desc
}

// Artifact returns the type of a manifest that is not an image: its artifact type, else the media
// type of its config; empty for an image.
func (m Manifest) Artifact() string {
	switch {
	case IsConfig(m.Config.MediaType):
		return ""
	case m.ArtifactType != "":
		return m.ArtifactType
	case m.Config.MediaType == "":
		return "unknown"
	}
	return m.Config.MediaType
}
