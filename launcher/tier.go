package launcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/hpc3-project/hpc3/launcher/convert"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/outside"
	"github.com/hpc3-project/hpc3/launcher/site"
	"github.com/hpc3-project/hpc3/launcher/store"
)

// tier is a cache that the site puts before the user's own.
type tier struct {
	site.Cache
	store *store.Store // nil where it cannot be used
	err   error        // why; nil where it can
	home  bool         // the cache in the caller's home, which cannot be written here
}

// caches returns what is looked into before the user's own cache: the site's caches in their order, without the one that is the
// user's own, and then the cache in a home that cannot be written here. They are opened at the first call.
func (r *Road) caches() []tier {
	if r.looked {
		return r.tiers
	}
	r.looked = true
	for _, c := range r.Site.Caches {
		if sameDir(c.Dir, r.CacheDir()) {
			continue
		}
		t := tier{Cache: c}
		if t.store, t.err = r.openShared(c); t.err != nil {
			t.store = nil
			r.passBy("warning: site cache " + c.Dir + " is not used: " + rootCause(t.err).Error() + "; see: hpc3 doctor")
		}
		r.tiers = append(r.tiers, t)
	}
	r.addHomeCache()
	return r.tiers
}

// passBy says that a cache is not used; where a job is submitted its nodes will say it, if so it is there.
func (r *Road) passBy(text string) {
	if !r.Elsewhere || !r.Host.Plugin {
		r.waiting(text)
	}
}

func (r *Road) openShared(c site.Cache) (*store.Store, error) {
	if _, err := os.Stat(c.Dir); err != nil {
		return nil, outside.Reason(err)
	}
	return store.OpenWith(c.Dir, store.Options{Owners: c.UIDs(), Shared: true, Public: r.anonymous})
}

// rootCause returns the innermost error of a chain, where the sentence around it says what it is about.
func rootCause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			inner = joined.Unwrap()[0]
		}
		if inner == nil {
			return err
		}
		err = inner
	}
}

// addHomeCache adds the cache in a home on a read-only file system, whose images need no copy in TMPDIR.
func (r *Road) addHomeCache() {
	dir := homeCache(r.Host)
	if dir == "" || r.Host.Getenv("HPC3_CACHEDIR") != "" || r.Site.CacheDir != "" || sameDir(dir, r.CacheDir()) {
		return
	}
	if _, err := os.Stat(dir); err != nil {
		return
	}
	if s, err := store.OpenWith(dir, store.Options{Public: r.anonymous}); err == nil {
		r.tiers = append(r.tiers, tier{Cache: site.Cache{Dir: dir}, store: s, home: true})
	}
}

// optionsOf are those of a cache that the caller writes to. An administrator's may be one of the site's.
func (r *Road) optionsOf(dir string) store.Options {
	opt := store.Options{Public: r.anonymous}
	for _, c := range r.Site.Caches {
		if sameDir(c.Dir, dir) {
			opt.Shared, opt.Owners = true, c.UIDs()
		}
	}
	return opt
}

func sameDir(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	inA, errA := os.Stat(a)
	inB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(inA, inB)
}

// known returns the caches that may know a reference: the user's own first, since he asked for what it says.
func (r *Road) known() ([]*store.Store, error) {
	own, err := r.Store()
	if err != nil {
		return nil, err
	}
	stores := []*store.Store{own}
	for _, t := range r.caches() {
		if t.store != nil {
			stores = append(stores, t.store)
		}
	}
	return stores, nil
}

// pinned returns what a reference names as far as the caches know, nil where none does.
func (r *Road) pinned(key string) ([]byte, error) {
	stores, err := r.known()
	for i, s := range stores {
		pin, ok, err := s.Pin(key)
		if err != nil && i == 0 {
			return nil, err
		}
		if err != nil || !ok {
			continue
		}
		if raw, err := r.cachedBlob(pin.Digest); err != nil || raw != nil {
			return raw, err
		}
	}
	return nil, err
}

// cachedBlob returns a blob that one of the caches holds, nil where none does. Those of the site are not worth an error.
func (r *Road) cachedBlob(digest string) ([]byte, error) {
	if raw := r.held[digest]; raw != nil {
		return raw, nil
	}
	stores, err := r.known()
	for i, s := range stores {
		raw, ok, err := s.Blob(digest)
		if err != nil && i == 0 {
			return nil, err
		}
		if err != nil || !ok {
			continue
		}
		if len(r.Site.Caches) > 0 && !s.PublicBlob(digest) { // else nobody asks
			r.private.Store(true)
		}
		return raw, nil
	}
	return nil, err
}

// cachedSIF returns the path of a SIF, of the site's caches first; empty where there is none. One that a start of the caller's has found damaged
// is passed over.
func (r *Road) cachedSIF(digest, arch string) (string, error) {
	own, err := r.Store()
	if err != nil {
		return "", err
	}
	for _, t := range r.caches() {
		if t.store == nil {
			continue
		}
		if path, ok, err := t.store.SIF(digest, arch); err == nil && ok && !own.Damaged(path) {
			return path, nil
		}
	}
	path, _, err := own.SIF(digest, arch)
	return path, err
}

// vanished tells whether something went wrong with a SIF because it was removed.
func vanished(path string, err error) bool {
	if err == nil {
		return false
	}
	_, gone := os.Lstat(path)
	return errors.Is(gone, os.ErrNotExist) || errors.Is(err, syscall.ESTALE)
}

// fills tells whether the caller puts SIFs into a cache of the site.
func (r *Road) fills(t tier) bool { return t.store != nil && r.writes(t.Cache) }

func (r *Road) writes(c site.Cache) bool {
	if !c.Write || !writable(c.Dir) {
		return false
	}
	info, err := os.Stat(c.Dir)
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	uid := uint32(r.Host.UID)
	return ok && (st.Uid == uid || slices.Contains(c.UIDs(), uid))
}

// anonymous tells whether all that was used so far may be read by anyone: it came from registries that took no credentials for it, or
// from a cache that remembers this of it.
func (r *Road) anonymous() bool {
	return !r.private.Load() && !slices.ContainsFunc(r.sources, func(s fetch.Source) bool { return !fetch.Anonymous(s) })
}

// errPrivate is why an image is not put where others would read it.
var errPrivate = errors.New("not everybody may read it")

// onlyPublic has the conversion of an image fail with errPrivate as soon as a layer turns out to be one that not everybody may read.
func (r *Road) onlyPublic(img convert.Image) convert.Image {
	img.Layers = slices.Clone(img.Layers)
	for i, l := range img.Layers {
		img.Layers[i].Open = func(ctx context.Context) (io.ReadCloser, error) {
			blob, err := l.Open(ctx)
			if err == nil && !r.anonymous() {
				return nil, errors.Join(errPrivate, blob.Close())
			}
			return blob, err
		}
	}
	return img
}

// elsewhere tells whether an image that could not be put into a cache of the site may be put into another one.
func (r *Road) elsewhere(ctx context.Context, t tier, err error) bool {
	var damaged *store.DamagedError
	class, _, _ := fault.Of(err, "")
	switch {
	case ctx.Err() != nil || errors.As(err, &damaged):
		return false
	case errors.Is(err, errPrivate):
		r.note("the image is private, so it is not put into %s", t.Dir)
		return true
	case class == fault.Cache:
		r.waiting(fmt.Sprintf("the image is not put into %s, and is converted again for %s: %v", t.Dir, r.CacheDir(), err))
		return true
	}
	return false
}
