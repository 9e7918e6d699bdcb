package upkeep

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/hpc3-project/hpc3/launcher/caches"
	"github.com/hpc3-project/hpc3/launcher/fault"

	"github.com/hpc3-project/hpc3/launcher/convert"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/store"
)

// The kinds of caches.
const (
	kindUser     = "user"
	kindShared   = "shared"   // of the site; its owners fill it as they run images
	kindReadOnly = "readonly" // of the site
)

// CacheDir is a cache that is looked into.
type CacheDir struct {
	Dir  string `json:"dir"`
	Kind string `json:"kind"`
	Why  string `json:"why,omitempty"` // it is passed over
}

// CachedImage is a SIF of a cache.
type CachedImage struct {
	Digest     string    `json:"digest"` // of the manifest
	Arch       string    `json:"arch"`
	Variant    string    `json:"variant,omitempty"`    // by its index, else by its config
	References []string  `json:"references,omitempty"` // in the caches, else what it was made for
	Size       int64     `json:"size"`
	Made       time.Time `json:"made"`
	Used       time.Time `json:"used"` // last start
	Format     int       `json:"format"`
	Cache      string    `json:"cache"`
	Path       string    `json:"path"`
	Trusted    bool      `json:"trusted"`
	Why        string    `json:"why,omitempty"` // it does not count
}

// CacheList is what the caches hold.
type CacheList struct {
	SchemaVersion int           `json:"schemaVersion"`
	Caches        []CacheDir    `json:"caches"`
	Images        []CachedImage `json:"images"`        // used last first
	Bytes         int64         `json:"bytes"`         // of the images
	PartialLayers int           `json:"partialLayers"` // of which a part has come
	PartialBytes  int64         `json:"partialBytes"`
}

// List returns every SIF of every cache, those of the site first.
func (k Keeper) List() (CacheList, error) {
	l := CacheList{SchemaVersion: 1, Caches: []CacheDir{}, Images: []CachedImage{}}
	users, err := k.Caches.Own()
	if err != nil {
		return l, err
	}
	leads := k.references()
	variants := k.entryPlatforms()
	for _, t := range k.Caches.Tiers() {
		c := CacheDir{Dir: t.Dir, Kind: kindReadOnly}
		if t.Err != nil {
			c.Why = fault.Reason(t.Err).Error()
		}
		if t.Write {
			c.Kind = kindShared
		}
		if t.Store != nil {
			if err := l.add(t.Store, leads, variants); err != nil {
				c.Why = err.Error()
			}
		}
		l.Caches = append(l.Caches, c)
	}
	l.Caches = append(l.Caches, CacheDir{Dir: users.Dir(), Kind: kindUser})
	if err := l.add(users, leads, variants); err != nil {
		return l, err
	}
	slices.SortStableFunc(l.Images, func(a, b CachedImage) int {
		return cmp.Or(b.Used.Compare(a.Used), strings.Compare(a.Path, b.Path))
	})
	return l, nil
}

func (l *CacheList) add(
	s *store.Store, leads map[string][]string, variants map[string]string,
) error {
	count, bytes := s.Partials()
	l.PartialLayers, l.PartialBytes = l.PartialLayers+count, l.PartialBytes+bytes
	images, err := s.Images()
	for _, i := range images {
		c := CachedImage{
			Digest: i.Digest, Arch: i.Arch, Variant: variants[i.Digest],
			References: leads[i.Digest], Size: i.Size, Made: i.Made, Used: i.Used,
			Format: i.Version, Cache: s.Dir(), Path: i.Path, Trusted: i.Why == "", Why: i.Why,
		}
		if c.Trusted {
			c.describe()
		}
		l.Bytes += i.Size
		l.Images = append(l.Images, c)
	}
	return err
}

// describe adds what the SIF says of itself and no index says.
func (c *CachedImage) describe() {
	contents, err := convert.Inspect(c.Path)
	if err != nil {
		c.Trusted, c.Why = false, err.Error()
		return
	}
	if config, err := oci.ParseConfig(contents.Config); err == nil && c.Variant == "" {
		p := oci.Platform{OS: config.OS, Architecture: config.Architecture, Variant: config.Variant}
		c.Variant = p.String()
	}
	if len(c.References) == 0 && contents.Provenance.Reference != "" {
		c.References = []string{contents.Provenance.Reference}
	}
}

// references returns, for each digest, the references that lead to it, sorted.
func (k Keeper) references() map[string][]string {
	leads := map[string][]string{}
	stores, err := k.Caches.Known()
	if err != nil {
		return leads
	}
	for _, s := range stores {
		pins, err := s.Pins()
		if err != nil {
			continue // not worth an error of the site's; the user's own gave one before
		}
		for _, p := range pins {
			if p.MediaType == oci.MediaTypeTags {
				continue
			}
			name, _, _ := strings.Cut(p.Reference, caches.FileSuffix)
			k.follow(p.Digest, func(digest string) { leads[digest] = append(leads[digest], name) })
		}
	}
	for digest, names := range leads {
		slices.Sort(names)
		leads[digest] = slices.Compact(names)
	}
	return leads
}

// entryPlatforms returns, for each manifest, what its entry of an index says it is for, as far as
// the caches hold indexes.
func (k Keeper) entryPlatforms() map[string]string {
	platforms := map[string]string{}
	stores, err := k.Caches.Known()
	if err != nil {
		return platforms
	}
	for _, s := range stores {
		pins, err := s.Pins()
		if err != nil {
			continue // as in references
		}
		for _, p := range pins {
			k.follow(p.Digest, func(digest string) {
				raw, err := k.Caches.Blob(digest)
				if err != nil || raw == nil {
					return
				}
				if index, err := oci.ParseIndex(raw); err == nil {
					for _, e := range index.Entries {
						platforms[e.Digest] = e.Wants()
					}
				}
			})
		}
	}
	return platforms
}

// follow calls visit for a digest and all that its blob leads to, as far as the caches hold it.
func (k Keeper) follow(digest string, visit func(digest string)) {
	follow(digest, map[string]bool{}, visit, func(digest string) []byte {
		raw, _ := k.Caches.Blob(digest) // what no cache has leads nowhere
		return raw
	})
}

// follow is for blobs that are read in some other way. It marks what it has seen.
func follow(
	digest string, seen map[string]bool, visit func(digest string), read func(digest string) []byte,
) {
	if seen[digest] {
		return
	}
	seen[digest] = true
	visit(digest)
	for _, next := range links(read(digest)) {
		follow(next, seen, visit, read)
	}
}

// links returns the digests that an index or a manifest names; none for anything else.
func links(raw []byte) []string {
	var digests []string
	kind, err := oci.Sniff(raw, "")
	if err != nil {
		return nil
	}
	if oci.IsIndex(kind) {
		index, err := oci.ParseIndex(raw)
		if err != nil {
			return nil
		}
		for _, e := range index.Entries {
			digests = append(digests, e.Digest)
		}
		return digests
	}
	manifest, err := oci.ParseManifest(raw)
	if err != nil {
		return nil
	}
	digests = append(digests, manifest.Config.Digest)
	for _, l := range manifest.Layers {
		digests = append(digests, l.Digest)
	}
	return digests
}
