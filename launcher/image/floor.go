package image

import (
	"os"

	"github.com/hpc3-project/hpc3/launcher/choose"
	"github.com/hpc3-project/hpc3/launcher/convert"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/floor"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/outside"
	"github.com/hpc3-project/hpc3/launcher/run/inside"
	"github.com/hpc3-project/hpc3/launcher/store"
)

// Floor returns what is known of the needs of an image's code: from a conversion of this walk, else
// from the caches. It is nil if nothing is known.
func (s *Source) Floor(manifest string) *oci.Floor {
	if f, looked := s.floors[manifest]; looked {
		return f
	}
	f := s.Caches.Floor(manifest)
	s.floors[manifest] = f
	return f
}

// learn reads what the code of an image needs from its new SIF, and keeps it in the cache that gets
// the SIF, before others can see that. An image of which it cannot be read runs all the same.
func (s *Source) learn(to *store.Store, f *os.File, c choose.Chosen, deep bool) {
	contents, err := convert.InspectFile(f)
	if err != nil {
		s.Notef("what the image needs of a CPU is not known: %v", err)
		return
	}
	fs, err := inside.OpenImage(f, contents.Offset, inside.Checksums(contents.Sums))
	if err != nil {
		s.Notef("what the image needs of a CPU is not known: %v", err)
		return
	}
	config, err := oci.ParseConfig(contents.Config)
	if err != nil {
		return // the conversion has parsed it
	}
	found, err := floor.Find(fs, config, deep)
	if err != nil {
		s.Notef("what the image needs of a CPU is known in part: %v", err)
	}
	for _, need := range found.Needs {
		s.Detailf("floor: %s: %s", need.Word, need.By)
	}
	s.floors[c.Entry.Digest] = &found
	raw, err := found.Document(c.Entry.Digest)
	if err == nil && to != nil {
		err = to.KeepFloor(c.Entry.Digest, raw)
	}
	if err != nil {
		s.Notef("what the image needs of a CPU is not remembered: %v", fault.Reason(err))
	}
}

// Learn reads what the code of an image needs from the SIF of a cache, unless that is known. A
// start does not: it would have to read the file system for that.
func (s *Source) Learn(img Image, c choose.Chosen, deep bool) {
	known := s.Floor(c.Entry.Digest)
	if known != nil && (known.Deep || !deep) {
		return
	}
	f := img.Held
	if f == nil {
		var err error
		if f, err = outside.Open(img.Path); err != nil {
			return
		}
		defer f.Close()
	}
	to, err := s.Caches.Holding(img.Path)
	if err != nil {
		to = nil
	}
	s.learn(to, f, c, deep)
}
