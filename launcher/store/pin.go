package store

import (
	"encoding/json"
	"path"
	"time"
)

// maxPin bounds the file of a pin: a reference has less than 1 KiB, and the rest is short.
const maxPin = 64 << 10

// pinVersion is the version of the file's format. Any other counts as absent.
const pinVersion = 1

// Pin is what a reference named at a certain time: the digest and the media type of an index, or of
// a manifest.
type Pin struct {
	Reference string    `json:"reference"`
	Digest    string    `json:"digest"`
	MediaType string    `json:"mediaType"`
	Time      time.Time `json:"time"`
}

type pinFile struct {
	SchemaVersion int `json:"schemaVersion"`
	Pin
}

// Pin returns the pin of a reference in its canonical form, and whether there is one. A damaged
// file counts as absent.
func (s *Store) Pin(ref string) (Pin, bool, error) {
	raw, err := s.readSmall(path.Join(dirRefs, pinName(ref)), maxPin)
	if err != nil || raw == nil {
		return Pin{}, false, err
	}
	p, ok := parsePin(raw, ref)
	return p, ok, nil
}

func parsePin(raw []byte, ref string) (p Pin, ok bool) {
	p, ok = decodePin(raw)
	if !ok || p.Reference != ref {
		return Pin{}, false
	}
	return p, true
}

func decodePin(raw []byte) (p Pin, ok bool) {
	var f pinFile
	if json.Unmarshal(raw, &f) != nil || f.SchemaVersion != pinVersion {
		return Pin{}, false
	}
	if _, _, err := splitDigest(f.Digest); err != nil {
		return Pin{}, false
	}
	return f.Pin, true
}

func (p Pin) marshal() ([]byte, error) {
	return json.Marshal(pinFile{SchemaVersion: pinVersion, Pin: p})
}

// SetPin records what a reference names, and replaces the previous pin. A zero Time means now.
func (s *Store) SetPin(p Pin) error {
	if _, _, err := splitDigest(p.Digest); err != nil {
		return err
	}
	if p.Time.IsZero() {
		p.Time = time.Now().UTC()
	}
	raw, err := p.marshal()
	if err != nil {
		return ErrUnusable.New("remembering %q: %w", p.Reference, err)
	}
	if len(raw) > maxPin {
		return ErrUnusable.New("remembering an image: its reference has %d bytes", len(p.Reference))
	}
	return s.writeSmall(dirRefs, pinName(p.Reference), raw)
}

func pinName(ref string) string { return sumOf("sha256", []byte(ref)) + ".json" }
