package upkeep

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/caches"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/store"
)

// RemovedCache is what Remove did.
type RemovedCache struct {
	SchemaVersion int           `json:"schemaVersion"`
	DryRun        bool          `json:"dryRun"`
	Removed       []RemovedFile `json:"removed"`
	Kept          []RemovedFile `json:"kept"`  // named and in use; Why says how
	Freed         int64         `json:"freed"` // bytes
}

// Remove removes images from a cache, the user's own if dir is empty: with all that was fetched for
// them, and what their references name. An image is named by its reference, its digest or the first
// digits of that, or the path of its SIF. No names stand for all that the cache holds. What is in
// use is kept.
func (k Keeper) Remove(
	ctx context.Context, dir string, which []string, dryRun bool,
) (RemovedCache, error) {
	s, err := k.Caches.At(dir)
	if err != nil {
		return RemovedCache{}, err
	}
	opt := store.Collection{DryRun: dryRun, InUse: openFiles().has, Links: links}
	var got store.Collected
	if len(which) == 0 {
		got, err = s.Collect(ctx, opt)
	} else {
		var wanted map[string]bool
		if wanted, err = k.digests(s, which); err != nil {
			return RemovedCache{}, err
		}
		got, err = s.Remove(ctx, opt, func(digest string) bool { return wanted[digest] })
	}
	if err == nil && len(which) > 0 && len(got.Removed)+len(got.Spared) == 0 {
		err = k.unknown(s, strings.Join(which, ", "))
	}
	return RemovedCache{
		SchemaVersion: 1, DryRun: dryRun, Removed: files(got.Removed), Kept: files(got.Spared),
		Freed: got.Freed,
	}, err
}

// ErrUnknown is in the chain if a cache has nothing by a name.
var ErrUnknown = errors.New("the cache does not know")

// unknown says that a cache has nothing by a name, and which cache of the site has.
func (k Keeper) unknown(s *store.Store, word string) error {
	err := fault.New(fault.Cache, "%w %s", ErrUnknown, word).
		Hint("see what it knows: hpc3 cache list")
	for _, t := range k.Caches.Tiers() {
		if t.Store == nil || t.Store.Dir() == s.Dir() {
			continue
		}
		if digests, bad := named(t.Store, word); bad == nil && len(digests) > 0 {
			hint := fmt.Sprintf("it is in the cache %s: as its owner, --dir %s", t.Dir, t.Dir)
			err.Hints = []string{hint}
		}
	}
	return err
}

// digests returns those that words name in a cache, with all that these lead to.
func (k Keeper) digests(s *store.Store, which []string) (map[string]bool, error) {
	wanted := map[string]bool{}
	for _, word := range which {
		digests, err := named(s, word)
		if err != nil {
			return nil, err
		}
		if len(digests) == 0 {
			return nil, k.unknown(s, word)
		}
		for _, digest := range digests {
			follow(digest, wanted, func(string) {}, func(digest string) []byte {
				raw, _, err := s.Blob(digest)
				if err != nil || raw == nil {
					raw, _ = k.Caches.Blob(digest) // what no cache has leads nowhere
				}
				return raw
			})
		}
	}
	return wanted, nil
}

// leastDigits is how many digits of a digest are enough to name an image: cache list prints twelve.
const leastDigits = 6

// named returns the digests that a word stands for in a cache: a reference, a digest or the first
// digits of one, or the path of a SIF.
func named(s *store.Store, word string) ([]string, error) {
	if oci.ValidDigest(word) {
		return []string{word}, nil
	}
	images, err := s.Images()
	if err != nil {
		return nil, err
	}
	pins, err := s.Pins()
	if err != nil {
		return nil, err
	}
	var digests []string
	if isShort(word) {
		for _, i := range images {
			if strings.HasPrefix(i.Digest, word) {
				digests = append(digests, i.Digest)
			}
		}
		return digests, nil
	}
	ref, err := oci.ParseReference(word)
	switch {
	case err != nil:
		return nil, err
	case ref.Transport == oci.SIF:
		return sifAt(ref, images)
	case ref.Digest != "":
		return []string{ref.Digest}, nil
	}
	return pinnedAs(ref, pins), nil
}

// isShort tells whether a word is a digest of which digits are left out.
func isShort(word string) bool {
	algorithm, digits, _ := strings.Cut(word, ":")
	return (algorithm == "sha256" || algorithm == "sha512") && len(digits) >= leastDigits &&
		strings.Trim(digits, "0123456789abcdef") == ""
}

// sifAt returns the digest of an image by the path of its SIF.
func sifAt(ref oci.Reference, images []store.Image) ([]string, error) {
	path, err := filepath.Abs(ref.Path)
	for _, i := range images {
		if err == nil && i.Path == path {
			return []string{i.Digest}, nil
		}
	}
	return nil, fault.New(fault.Usage, "%s is a file, and not in the cache", ref).
		Hint("name an image or a digest; see hpc3 cache list")
}

// pinnedAs returns what a reference and the tags beside it, its variants, were last seen to name.
// Of a local file it may be several things, of which the file holds one.
func pinnedAs(ref oci.Reference, pins []store.Pin) (digests []string) {
	if path, err := filepath.Abs(ref.Path); ref.Transport != oci.Registry && err == nil {
		ref.Path = path
	}
	list := caches.TagsKey(ref)
	hasList := slices.ContainsFunc(pins, func(p store.Pin) bool { return p.Reference == list })
	for _, p := range pins {
		name, _, _ := strings.Cut(p.Reference, caches.FileSuffix)
		variant := hasList && strings.HasPrefix(name, ref.String()+"_")
		if name == ref.String() || name == list || variant {
			digests = append(digests, p.Digest)
		}
	}
	return digests
}
