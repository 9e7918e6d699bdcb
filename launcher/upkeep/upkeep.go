// Package upkeep is what the tools do with caches: list, verify and clear them, and make those of a
// site.
package upkeep

import (
	"context"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/caches"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/notes"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/settings"
	"github.com/hpc3-project/hpc3/launcher/store"
)

// Keeper looks after the caches of a walk.
type Keeper struct {
	settings.Settings
	notes.Notes
	Caches *caches.Caches
}

// CacheFile is a file of a cache with which something is wrong.
type CacheFile struct {
	Path    string `json:"path"`
	Kind    string `json:"kind"`   // "sif", "blob", "layer"
	Digest  string `json:"digest"` // of a SIF: that of the manifest it was made of
	Why     string `json:"why"`
	Removed bool   `json:"removed,omitempty"`
}

// VerifiedCache is what Verify found.
type VerifiedCache struct {
	SchemaVersion int         `json:"schemaVersion"`
	Checked       int         `json:"checked"`
	Bytes         int64       `json:"bytes"`
	Broken        []CacheFile `json:"broken"`
	Unknown       []CacheFile `json:"unknown"` // could not be read, or not be removed
}

func (v *VerifiedCache) add(c store.Checked) {
	v.Checked++
	v.Bytes += c.Size
	if c.Broken != "" {
		v.Broken = append(v.Broken, CacheFile{c.Path, c.Kind, c.Digest, c.Broken, c.Removed})
	}
	if c.Unknown != nil {
		v.Unknown = append(v.Unknown, CacheFile{c.Path, c.Kind, c.Digest, c.Unknown.Error(), false})
	}
}

// RemovedFile is a file that Collect removed, or would remove.
type RemovedFile struct {
	Path   string `json:"path"`
	Kind   string `json:"kind"` // "sif", "blob", "layer", "pin", "temporary"
	Digest string `json:"digest,omitempty"`
	Size   int64  `json:"size"`
	Why    string `json:"why"`
}

// CollectedCache is what Collect did.
type CollectedCache struct {
	SchemaVersion int           `json:"schemaVersion"`
	DryRun        bool          `json:"dryRun"`
	Removed       []RemovedFile `json:"removed"`
	Freed         int64         `json:"freed"` // bytes
	Kept          int64         `json:"kept"`
	InUse         int64         `json:"inUse"`  // of kept: over the limits, and in use
	Spared        []RemovedFile `json:"spared"` // what that is, and how it is in use
}

// Verify reads every SIF and blob of a cache, the user's own if dir is empty, or only those that
// belong to the named images or digests. With repair, what is broken is removed.
func (k Keeper) Verify(
	ctx context.Context, dir string, which []string, repair bool,
) (VerifiedCache, error) {
	v := VerifiedCache{SchemaVersion: 1, Broken: []CacheFile{}, Unknown: []CacheFile{}}
	s, err := k.Caches.At(dir)
	if err != nil {
		return v, err
	}
	wanted, err := k.digests(s, which)
	if err != nil {
		return v, err
	}
	err = s.Verify(ctx, func(d string) bool { return len(which) == 0 || wanted[d] }, repair, v.add)
	if err == nil && v.Checked == 0 && len(which) > 0 {
		err = fault.New(fault.Cache, "nothing of %s is in the cache %s", strings.Join(which, ", "),
			s.Dir()).
			Hint("see what is: hpc3 cache list")
	}
	return v, err
}

// Collect removes from a cache, the user's own if dir is empty, what is not needed and what exceeds
// the limits of the options.
func (k Keeper) Collect(ctx context.Context, dir string, dryRun bool) (CollectedCache, error) {
	s, err := k.Caches.At(dir)
	if err != nil {
		return CollectedCache{}, err
	}
	got, err := s.Collect(ctx, store.Collection{
		MaxAge: k.Option.CacheMaxAge.Duration(), MaxSize: k.Option.CacheMaxSize.Bytes,
		MaxLayers: k.Caches.LayerLimit(s), DryRun: dryRun, InUse: openFiles().has, Links: links,
		Stale: stale,
	})
	return CollectedCache{
		SchemaVersion: 1, DryRun: dryRun, Removed: files(got.Removed), Freed: got.Freed,
		Kept: got.Kept, InUse: got.InUse, Spared: files(got.Spared),
	}, err
}

func files(list []store.Removed) []RemovedFile {
	found := make([]RemovedFile, len(list))
	for i, f := range list {
		found[i] = RemovedFile(f)
	}
	return found
}

// stale tells whether a pin is one of a local file that has changed, or is gone.
func stale(key string) bool {
	name, _, local := strings.Cut(key, caches.FileSuffix)
	if !local {
		return false
	}
	ref, err := oci.ParseReference(name)
	if err != nil {
		return false
	}
	now, err := caches.Key(ref)
	return err != nil || now != key
}
