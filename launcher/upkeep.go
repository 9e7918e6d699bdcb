package launcher

import (
	"context"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/store"
)

// CacheFile is a file of a cache with which something is wrong.
type CacheFile struct {
	Path    string `json:"path"`
	Kind    string `json:"kind"`   // "sif", "blob", "layer"
	Digest  string `json:"digest"` // of a SIF: that of the manifest it was made of
	Why     string `json:"why"`
	Removed bool   `json:"removed,omitempty"`
}

// VerifiedCache is what VerifyCache found.
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

// RemovedFile is a file that CollectCache removed, or would remove.
type RemovedFile struct {
	Path   string `json:"path"`
	Kind   string `json:"kind"` // "sif", "blob", "layer", "pin", "temporary"
	Digest string `json:"digest,omitempty"`
	Size   int64  `json:"size"`
	Why    string `json:"why"`
}

// CollectedCache is what CollectCache did.
type CollectedCache struct {
	SchemaVersion int           `json:"schemaVersion"`
	DryRun        bool          `json:"dryRun"`
	Removed       []RemovedFile `json:"removed"`
	Freed         int64         `json:"freed"` // bytes
	Kept          int64         `json:"kept"`
	InUse         int64         `json:"inUse"`  // of kept: over the limits, and in use
	Spared        []RemovedFile `json:"spared"` // what that is, and how it is in use
}

// VerifyCache reads every SIF and blob of a cache, the user's own if dir is empty, or those only that belong to the images or digests
// named. With repair, what is broken is removed.
func (r *Road) VerifyCache(ctx context.Context, dir string, which []string, repair bool) (VerifiedCache, error) {
	v := VerifiedCache{SchemaVersion: 1, Broken: []CacheFile{}, Unknown: []CacheFile{}}
	s, err := r.cacheAt(dir)
	if err != nil {
		return v, err
	}
	wanted, err := r.digests(s, which)
	if err != nil {
		return v, err
	}
	err = s.Verify(ctx, func(d string) bool { return len(which) == 0 || wanted[d] }, repair, v.add)
	if err == nil && v.Checked == 0 && len(which) > 0 {
		err = fault.New(fault.Cache, "nothing of %s is in the cache %s", strings.Join(which, ", "), s.Dir()).Hint("see what is: hpc3 cache list")
	}
	return v, err
}

// cacheAt opens a cache that the caller named, else his own.
func (r *Road) cacheAt(dir string) (*store.Store, error) {
	if dir == "" {
		return r.Store()
	}
	return store.OpenWith(dir, r.optionsOf(dir))
}

// CollectCache removes from a cache, the user's own if dir is empty, what is not needed and what exceeds the limits of the options.
func (r *Road) CollectCache(ctx context.Context, dir string, dryRun bool) (CollectedCache, error) {
	s, err := r.cacheAt(dir)
	if err != nil {
		return CollectedCache{}, err
	}
	got, err := s.Collect(ctx, store.Collection{
		MaxAge: r.Option.CacheMaxAge.Duration(), MaxSize: r.Option.CacheMaxSize.Bytes, MaxLayers: r.layerLimit(s), DryRun: dryRun,
		InUse: openFiles().has, Links: links, Stale: stale,
	})
	return CollectedCache{
		SchemaVersion: 1, DryRun: dryRun, Removed: files(got.Removed), Freed: got.Freed, Kept: got.Kept, InUse: got.InUse, Spared: files(got.Spared),
	}, err
}

func files(list []store.Removed) []RemovedFile {
	found := make([]RemovedFile, len(list))
	for i, f := range list {
		found[i] = RemovedFile(f)
	}
	return found
}

// stale tells whether a pin is one of a local file that is not the same any more, or gone.
func stale(key string) bool {
	name, _, local := strings.Cut(key, fileSuffix)
	if !local {
		return false
	}
	ref, err := oci.ParseReference(name)
	if err != nil {
		return false
	}
	now, err := cacheKey(ref)
	return err != nil || now != key
}
