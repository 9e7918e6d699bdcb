package store

import (
	"bytes"
	"path"
	"strings"
)

// maxFloor bounds the document about what an image's code needs.
const maxFloor = 64 << 10

// floorName returns the name of the document of a manifest.
func floorName(digest string) (string, error) {
	algorithm, sum, err := splitDigest(digest)
	return algorithm + "-" + sum + ".json", err
}

// Floor returns the document that KeepFloor kept under a manifest's digest; nil if there is none
// that can be trusted.
func (s *Store) Floor(digest string) []byte {
	name, err := floorName(digest)
	if err != nil {
		return nil
	}
	raw, err := s.readSmall(path.Join(dirFloors, name), maxFloor)
	if err != nil {
		return nil // it is found again by the next conversion
	}
	return raw
}

// KeepFloor keeps a document about what the code of an image needs.
func (s *Store) KeepFloor(digest string, raw []byte) error {
	name, err := floorName(digest)
	if err != nil {
		return err
	}
	if len(raw) > maxFloor {
		return ErrUnusable.New("keeping what %s needs: it has %d bytes", digest, len(raw))
	}
	if bytes.Equal(s.Floor(digest), raw) {
		return nil // one that others can read stays so
	}
	return s.writeSmall(dirFloors, name, raw)
}

// floors removes the documents of images of which nothing else is kept.
func (c *collector) floors(wanted map[string]bool) {
	images := map[string]bool{}
	for _, k := range c.kept {
		images[k.digest] = images[k.digest] || k.kind == KindSIF
	}
	c.eachFloor(func(digest string) bool { return !images[digest] && !wanted[digest] })
}

// eachFloor removes the documents of the images that go.
func (c *collector) eachFloor(goes func(digest string) bool) {
	entries, err := c.s.entries(c.root, dirFloors)
	if err != nil || c.opt.DryRun {
		return
	}
	for _, e := range entries {
		stem, _ := strings.CutSuffix(e.Name(), ".json")
		digest := strings.Replace(stem, "-", ":", 1)
		if info, err := e.Info(); err == nil && goes(digest) && !c.tooYoung(info) {
			_ = c.root.Remove(path.Join(dirFloors, e.Name())) // the next time, else
		}
	}
}
