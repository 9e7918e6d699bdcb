package caches

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/site"
	"github.com/hpc3-project/hpc3/launcher/store"
)

// Tier is a cache that the site puts before the user's own.
type Tier struct {
	site.Cache
	Store *store.Store // nil if it cannot be used
	Err   error        // why; nil if it can be used
	Home  bool         // the cache in the caller's home, which cannot be written here
}

// Tiers returns the caches before the user's own: the site's in their order, without the one that
// is the user's own, and then the one in a home that cannot be written here. They are opened at the
// first call.
func (c *Caches) Tiers() []Tier {
	if c.opened {
		return c.tiers
	}
	c.opened = true
	for _, s := range c.set.Site.Caches {
		if SameDir(s.Dir, c.Dir()) {
			continue
		}
		t := Tier{Cache: s}
		if t.Store, t.Err = c.OpenShared(s); t.Err != nil {
			t.Store = nil
			c.passBy(fmt.Sprintf("warning: site cache %s is not used: %v; see: hpc3 doctor", s.Dir,
				fault.Reason(t.Err)))
		}
		c.tiers = append(c.tiers, t)
	}
	c.addHomeCache()
	return c.tiers
}

// passBy says that a cache is not used. The submission of a job leaves that to the nodes, on which
// it may be otherwise.
func (c *Caches) passBy(text string) {
	if !c.set.Host.NoStart || !c.set.Host.Plugin {
		c.tell.Sayf("%s", text)
	}
}

// OpenShared opens a cache of the site.
func (c *Caches) OpenShared(s site.Cache) (*store.Store, error) {
	if _, err := os.Stat(s.Dir); err != nil {
		return nil, fault.Reason(err)
	}
	return store.OpenWith(s.Dir, store.Options{Owners: s.UIDs(), Shared: true, Public: c.Anonymous})
}

// addHomeCache adds the cache in a home on a read-only file system, whose images need no copy in
// TMPDIR.
func (c *Caches) addHomeCache() {
	dir := homeCache(c.set.Host)
	named := c.set.Host.Getenv("HPC3_CACHEDIR") != "" || c.set.Site.CacheDir != ""
	if dir == "" || named || SameDir(dir, c.Dir()) {
		return
	}
	if _, err := os.Stat(dir); err != nil {
		return
	}
	if s, err := store.OpenWith(dir, store.Options{Public: c.Anonymous}); err == nil {
		c.tiers = append(c.tiers, Tier{Cache: site.Cache{Dir: dir}, Store: s, Home: true})
	}
}

// SameDir tells whether two paths lead to the same directory.
func SameDir(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	inA, errA := os.Stat(a)
	inB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(inA, inB)
}

// Known returns the caches that may know a reference: the user's own first, since the user asked
// for what it says.
func (c *Caches) Known() ([]*store.Store, error) {
	own, err := c.Own()
	if err != nil {
		return nil, err
	}
	stores := []*store.Store{own}
	for _, t := range c.Tiers() {
		if t.Store != nil {
			stores = append(stores, t.Store)
		}
	}
	return stores, nil
}

// Pinned returns what a key stands for as far as the caches know; nil if none does.
func (c *Caches) Pinned(key string) ([]byte, error) {
	stores, err := c.Known()
	for i, s := range stores {
		pin, ok, err := s.Pin(key)
		if err != nil && i == 0 {
			return nil, err
		}
		if err != nil || !ok {
			continue
		}
		if raw, err := c.Blob(pin.Digest); err != nil || raw != nil {
			return raw, err
		}
	}
	return nil, err
}

// Blob returns a blob that one of the caches holds; nil if none does. Those of the site are not
// worth an error.
func (c *Caches) Blob(digest string) ([]byte, error) {
	if raw := c.held[digest]; raw != nil {
		return raw, nil
	}
	stores, err := c.Known()
	for i, s := range stores {
		raw, ok, err := s.Blob(digest)
		if err != nil && i == 0 {
			return nil, err
		}
		if err != nil || !ok {
			continue
		}
		if len(c.set.Site.Caches) > 0 && !s.PublicBlob(digest) { // else nobody asks
			c.UsesPrivate()
		}
		return raw, nil
	}
	return nil, err
}

// SIF returns the path of a SIF, of the site's caches first; "" if there is none. One that a start
// of the caller's has found damaged is passed over.
func (c *Caches) SIF(digest, arch string) (string, error) {
	own, err := c.Own()
	if err != nil {
		return "", err
	}
	for _, t := range c.Tiers() {
		if t.Store == nil {
			continue
		}
		if path, ok, err := t.Store.SIF(digest, arch); err == nil && ok && !own.Damaged(path) {
			return path, nil
		}
	}
	path, _, err := own.SIF(digest, arch)
	return path, err
}

// Fills tells whether the caller puts SIFs into a cache of the site.
func (c *Caches) Fills(t Tier) bool { return t.Store != nil && c.Writes(t.Cache) }

// Writes tells whether the caller may put SIFs into a cache of the site, and the site wants that.
func (c *Caches) Writes(s site.Cache) bool {
	if !s.Write || !writable(s.Dir) {
		return false
	}
	info, err := os.Stat(s.Dir)
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	uid := uint32(c.set.Host.UID)
	return ok && (st.Uid == uid || slices.Contains(s.UIDs(), uid))
}
