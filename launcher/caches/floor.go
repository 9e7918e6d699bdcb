package caches

import (
	"path/filepath"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/store"
)

// Floor returns what the caches know of the needs of an image's code; nil if they know nothing. A
// cache that knows of all its programs says more than another.
func (c *Caches) Floor(manifest string) *oci.Floor {
	stores, err := c.Known()
	if err != nil {
		return nil
	}
	var known *oci.Floor
	for _, s := range stores {
		f, ok := oci.ParseFloor(s.Floor(manifest), manifest)
		if ok && f.Deep {
			return &f
		}
		if ok && known == nil {
			known = &f
		}
	}
	return known
}

// Holding returns the cache that has a SIF, if the caller may write to it, else the user's own.
func (c *Caches) Holding(sif string) (*store.Store, error) {
	for _, t := range c.Tiers() {
		if c.Fills(t) && strings.HasPrefix(sif, t.Store.Dir()+string(filepath.Separator)) {
			return t.Store, nil
		}
	}
	return c.Own()
}
