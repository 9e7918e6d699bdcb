package image

import (
	"github.com/hpc3-project/hpc3/launcher/caches"
	"github.com/hpc3-project/hpc3/launcher/notes"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/store"
)

// lookAhead settles, before an image is fetched into a directory, how much of its layers is kept
// beside it.
func (s *Source) lookAhead(target string, layers []oci.Descriptor) {
	own, err := s.Caches.Own()
	if err != nil {
		return // the walk will say so
	}
	s.layers.limit = s.Caches.LayerLimit(own)
	s.warnOfRoom(target, layers)
	s.layers.tight = s.ref.Transport == oci.Registry && s.tooTight(own, layers)
}

// warnOfRoom warns if an image will not fit into a directory. A SIF is about as large as its layers
// are.
func (s *Source) warnOfRoom(target string, layers []oci.Descriptor) {
	need := sizeOf(layers)
	room, ok := store.RoomAt(caches.Existing(target))
	if !ok || need <= room.Bytes {
		return
	}
	left := "are free there"
	if room.Quota {
		left = "of your quota are left"
	}
	s.Sayf("warning: %s are to go to %s, and %s %s; see: hpc3 cache rm --help",
		notes.Amount(need), target, notes.Amount(room.Bytes), left)
}

// sizeOf is how many bytes layers have together.
func sizeOf(layers []oci.Descriptor) (sum int64) {
	for _, d := range layers {
		sum += d.Size
	}
	return sum
}

// tooTight tells beforehand whether the user's cache has no room for an image and for copies of its
// layers, which take as much again.
func (s *Source) tooTight(own *store.Store, layers []oci.Descriptor) bool {
	room, ok := store.RoomAt(caches.Existing(own.Dir()))
	if !ok || room.Bytes/2 >= sizeOf(layers) {
		return false
	}
	s.Notef("%s are left for %s, too little to keep layers beside the image: "+
		"an interrupted fetch begins anew",
		notes.Amount(room.Bytes), own.Dir())
	return true
}
