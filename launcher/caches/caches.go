// Package caches is the directories in which a walk looks for images before it asks a registry, and
// in which it keeps what it fetched: the user's own, those of the site, and one in a home that can
// only be read.
package caches

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/notes"
	"github.com/hpc3-project/hpc3/launcher/settings"
	"github.com/hpc3-project/hpc3/launcher/store"
)

// Caches are those of one walk. Each is opened at its first use.
type Caches struct {
	set  *settings.Settings
	tell *notes.Notes

	dir     string // see Dir
	own     *store.Store
	tiers   []Tier // see Tiers
	opened  bool   // these
	sources []fetch.Source
	private atomic.Bool       // something was used that not everybody may read
	held    map[string][]byte // blobs by digest that the user's cache could not take
}

// New returns the caches of a walk. What it goes by may be completed until they are used.
func New(set *settings.Settings, tell *notes.Notes) *Caches { return &Caches{set: set, tell: tell} }

// Dir returns the directory of the user's cache: HPC3_CACHEDIR, the site's choice,
// $XDG_CACHE_HOME/hpc3, ~/.cache/hpc3. For a user without a home it is a directory in TMPDIR that
// only the user can read.
func (c *Caches) Dir() string {
	if c.dir != "" {
		return c.dir
	}
	if c.dir = c.set.Host.Getenv("HPC3_CACHEDIR"); c.dir != "" {
		return c.dir
	}
	if c.dir = c.set.Site.CacheDir; c.dir != "" {
		return c.dir
	}
	if dir := homeCache(c.set.Host); dir != "" && usableBelow(filepath.Dir(dir)) {
		c.dir = dir
		return c.dir
	}
	c.dir = filepath.Join(c.set.Host.TempDir(), "hpc3-"+strconv.Itoa(c.set.Host.UID))
	c.tell.Notef("there is no home that can be written, so the cache is %s", c.dir)
	return c.dir
}

// homeCache returns the cache in the caller's home, whether or not it can be written; "" without a
// home.
func homeCache(h settings.Host) string {
	dir := h.XDG("XDG_CACHE_HOME", ".cache")
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "hpc3")
}

// usableBelow tells whether dir, or what exists of its parents, can be written: a cluster's
// accounts may have a HOME that exists on the login nodes only, or none at all ("/nonexistent").
func usableBelow(dir string) bool {
	dir = Existing(dir)
	info, err := os.Stat(dir)
	return err == nil && info.IsDir() && writable(dir)
}

// Existing returns a directory or, if it does not exist, the nearest one above it that does: a
// cache is made when something is put into it.
func Existing(dir string) string {
	for {
		_, err := os.Stat(dir)
		parent := filepath.Dir(dir)
		if !os.IsNotExist(err) || parent == dir {
			return dir
		}
		dir = parent
	}
}

func writable(dir string) bool { return unix.Access(dir, unix.W_OK) == nil }

// Own returns the user's cache.
func (c *Caches) Own() (*store.Store, error) {
	if c.own != nil {
		return c.own, nil
	}
	s, err := store.OpenWith(c.Dir(), c.optionsOf(c.Dir()))
	if err != nil {
		return nil, err
	}
	s.OnWait = func(string) {
		c.tell.Progress.At(notes.Wait)
		c.tell.Sayf("another process is converting this image; waiting for it")
	}
	c.own = s
	return s, nil
}

// At opens a cache that the caller named, else the user's own.
func (c *Caches) At(dir string) (*store.Store, error) {
	if dir == "" {
		return c.Own()
	}
	return store.OpenWith(dir, c.optionsOf(dir))
}

// optionsOf are those of a cache that the caller writes to. An administrator's may be one of the
// site's.
func (c *Caches) optionsOf(dir string) store.Options {
	opt := store.Options{Public: c.Anonymous}
	for _, s := range c.set.Site.Caches {
		if SameDir(s.Dir, dir) {
			opt.Shared, opt.Owners = true, s.UIDs()
		}
	}
	return opt
}

// Uses has the caches know a registry or archive that something of the walk comes from.
func (c *Caches) Uses(src fetch.Source) { c.sources = append(c.sources, src) }

// UsesPrivate notes that something was used which not everybody may read.
func (c *Caches) UsesPrivate() { c.private.Store(true) }

// Anonymous tells whether all that was used so far may be read by anyone: it came from registries
// that took no credentials for it, or from a cache that remembers this of it.
func (c *Caches) Anonymous() bool {
	private := func(s fetch.Source) bool { return !fetch.Anonymous(s) }
	return !c.private.Load() && !slices.ContainsFunc(c.sources, private)
}

// Proven tells whether the user's cache remembers that something has worked.
func (c *Caches) Proven(name string) bool {
	s, err := c.Own()
	return err == nil && s.Answer(name) != nil
}

// Prove remembers that something has worked. If that cannot be kept, it is tried again.
func (c *Caches) Prove(name string) {
	if s, err := c.Own(); err == nil {
		_ = s.KeepAnswer(name, []byte("it works\n")) // see above
	}
}

// KeepFile writes a file that containers of any node have bound while they run.
func (c *Caches) KeepFile(raw []byte) (file string, err error) {
	s, err := c.Own()
	if err != nil {
		return "", err
	}
	return s.KeepFile(raw)
}
