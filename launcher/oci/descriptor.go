package oci

import (
	"encoding/json"
	"fmt"
)

// Descriptor points at a blob or manifest: its type, digest and size.
type Descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
	// other places to fetch from; hpc3 does not use them
	URLs         []string          `json:"urls,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Platform     *Platform         `json:"platform,omitempty"` // nil if none is stated
	ArtifactType string            `json:"artifactType,omitempty"`
}

// descriptor reads one descriptor. Wrong types are faults of d; wrong values are up to the caller,
// see fault.
func (d *decoder) descriptor(at string, raw json.RawMessage) Descriptor {
	m := d.object(at, raw)
	return Descriptor{
		MediaType:    d.text(at+".mediaType", m["mediaType"]),
		Digest:       d.text(at+".digest", m["digest"]),
		Size:         d.number(at+".size", m["size"]),
		URLs:         d.texts(at+".urls", m["urls"]),
		Annotations:  d.pairs(at+".annotations", m["annotations"]),
		Platform:     d.platform(at+".platform", m["platform"]),
		ArtifactType: d.text(at+".artifactType", m["artifactType"]),
	}
}

func (d *decoder) platform(at string, raw json.RawMessage) *Platform {
	m := d.object(at, raw)
	if len(m) == 0 {
		return nil
	}
	return &Platform{
		OS:           d.text(at+".os", m["os"]),
		Architecture: d.text(at+".architecture", m["architecture"]),
		Variant:      d.text(at+".variant", m["variant"]),
		OSVersion:    d.text(at+".os.version", m["os.version"]),
		OSFeatures:   d.texts(at+".os.features", m["os.features"]),
		Features:     d.texts(at+".features", m["features"]),
	}
}

// fault says why the descriptor cannot be fetched; empty if it can.
func (d Descriptor) fault() string {
	switch {
	case d.Digest == "":
		return "has no digest"
	case !ValidDigest(d.Digest):
		return fmt.Sprintf("%.80q is no digest", d.Digest)
	case d.Size < 0:
		return fmt.Sprintf("a size of %d", d.Size)
	}
	return ""
}
