package launcher

import (
	"fmt"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/store"
)

// The default of layer_cache: a stack of variants of an application, which share most of their layers, fits several times; but no more than a small part
// of what the user has, since each layer is in the image as well.
const (
	mostLayers = int64(4e9)
	layersPart = 10
)

// layerLimit is how many bytes of layers a cache keeps.
func (r *Road) layerLimit(s *store.Store) int64 {
	if !r.Option.LayerCache.Auto {
		return r.Option.LayerCache.Bytes
	}
	room, ok := store.RoomAt(existing(s.Dir()))
	if !ok {
		return mostLayers
	}
	return min(mostLayers, (room.Bytes+s.LayerBytes())/layersPart)
}

// lookAhead settles, before an image is fetched into a directory, how much of its layers is kept beside it, and says where it will not fit itself. A SIF is
// about as large as its layers are.
func (r *Road) lookAhead(target string, layers []oci.Descriptor) {
	own, err := r.Store()
	if err != nil {
		return // the walk will say so
	}
	r.Option.LayerCache.Bytes = r.layerLimit(own)
	need := sizeOf(layers)
	room, ok := store.RoomAt(existing(target))
	if !ok || need <= room.Bytes {
		return
	}
	left := "are free there"
	if room.Quota {
		left = "of your quota are left"
	}
	r.waiting(fmt.Sprintf("warning: %s are to go to %s, and %s %s; see: hpc3 cache rm --help", Amount(need), target, Amount(room.Bytes), left))
}

// sizeOf is how many bytes layers have together.
func sizeOf(layers []oci.Descriptor) (sum int64) {
	for _, d := range layers {
		sum += d.Size
	}
	return sum
}

// Amount writes a number of bytes for people.
func Amount(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f kB", float64(n)/1e3)
}
