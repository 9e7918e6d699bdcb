package oci

import (
	"encoding/json"
	"slices"
	"strings"
)

// Floor is what the code of an image needs of a CPU, as far as the image itself shows it. What an
// index says of an entry may be less: the plain amd64 entry of AlmaLinux 10 is x86-64-v3 code.
type Floor struct {
	Needs []Need // the greatest first; none if nothing beyond the architecture was found
	Deep  bool   // all programs in PATH were looked at
	Known bool   // from an earlier conversion, not from this one
}

// Need is one need, and how it shows.
type Need struct {
	Word string `json:"needs"` // a level, "x86-64-v3", or a CPU feature, "sse4_2"
	By   string `json:"by"`    // what shows it, for people
}

// floorVersion is the version of the document. Any other counts as absent.
const floorVersion = 1

type floorDocument struct {
	SchemaVersion int    `json:"schemaVersion"`
	Manifest      string `json:"manifest"`
	Deep          bool   `json:"deep"`
	Needs         []Need `json:"needs"`
}

// Document returns the floor of the image with this manifest as a document for caches.
func (f Floor) Document(manifest string) ([]byte, error) {
	needs := append([]Need{}, f.Needs...)
	return json.Marshal(floorDocument{floorVersion, manifest, f.Deep, needs})
}

// Bounds of what a document may say, which messages show.
const (
	maxNeeds = 64
	maxBy    = 512
)

// ParseFloor reads what Document made; ok tells whether it is the one of this manifest.
func ParseFloor(raw []byte, manifest string) (f Floor, ok bool) {
	var d floorDocument
	if json.Unmarshal(raw, &d) != nil || d.SchemaVersion != floorVersion ||
		d.Manifest != manifest || len(d.Needs) > maxNeeds {
		return Floor{}, false
	}
	wrong := func(n Need) bool {
		return !isWord(n.Word) || len(n.Word) > maxToken || len(n.By) > maxBy
	}
	if slices.ContainsFunc(d.Needs, wrong) {
		return Floor{}, false
	}
	return Floor{Needs: d.Needs, Deep: d.Deep, Known: true}, true
}

// Called is what an entry says it is for, without the system: "amd64", "amd64/v2:zen2"; "" if it
// states no platform.
func (e Entry) Called() string {
	_, called, _ := strings.Cut(e.Wants(), "/")
	return called
}
