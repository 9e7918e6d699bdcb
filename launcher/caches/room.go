package caches

import "github.com/hpc3-project/hpc3/launcher/store"

// The default of layer_cache: a stack of variants of an application, which share most of their
// layers, fits several times; but no more than a small part of what the user has, since each layer
// is in the image as well.
const (
	mostLayers = int64(4e9)
	layersPart = 10
)

// LayerLimit is how many bytes of layers a cache keeps.
func (c *Caches) LayerLimit(s *store.Store) int64 {
	if !c.set.Option.LayerCache.Auto {
		return c.set.Option.LayerCache.Bytes
	}
	room, ok := store.RoomAt(Existing(s.Dir()))
	if !ok {
		return mostLayers
	}
	return min(mostLayers, (room.Bytes+s.LayerBytes())/layersPart)
}
