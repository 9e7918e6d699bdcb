package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// grace is how long a SIF is kept after its last use if other nodes may have it open: their clocks
// differ, and locks may not reach other nodes. The file server of a running image notes its use
// more often, see package run. Pins and blobs without a referrer are kept as long, because a start
// writes them before the SIF that needs them; a start that finds them gone asks the registry again.
const grace = time.Hour

// Collection says what Collect removes. A negative limit means no limit; then only garbage goes.
type Collection struct {
	// SIFs, layers, partials and pins that were not used for longer go
	MaxAge time.Duration
	// for SIFs, layers, partials and blobs together; the least recently used go first
	MaxSize   int64
	MaxLayers int64 // bytes that layers may have, by themselves
	DryRun    bool
	InUse     func(path string) bool     // whether a process has a file open; nil for no
	Links     func(blob []byte) []string // the digests that a blob names; nil for none
	// reports that a pin's reference can never be asked for again; nil for no
	Stale func(reference string) bool
}

// Removed is a file that Collect removed, or would remove.
type Removed struct {
	Path   string
	Kind   string
	Digest string // of a SIF: that of its manifest
	Size   int64
	Why    string
}

// Collected is what Collect did.
type Collected struct {
	Removed []Removed
	Freed   int64     // bytes
	Kept    int64     // bytes of SIFs, layers and blobs
	InUse   int64     // bytes of these that would have been removed and are in use
	Spared  []Removed // what is in use, and how
}

// Collect removes dead temporary files, broken files, blobs and pins that lead nowhere, and what
// exceeds the limits. It never removes what is running or being made. If other nodes may have the
// directory, it also spares what was used within the last hour. The directory must be the caller's
// own.
func (s *Store) Collect(ctx context.Context, opt Collection) (Collected, error) {
	c, err := s.collector(opt)
	if c == nil {
		return Collected{}, err
	}
	c.temporaries()
	if !opt.DryRun {
		s.removeOlder(c.root, dirNotices, noticeAge)
		s.removeOlder(c.root, dirAnswers, c.within(answerAge))
	}
	if err := c.gather(); err != nil {
		return Collected{}, err
	}
	c.limit(ctx)
	if err := c.blobs(); err != nil {
		return c.done, err
	}
	return c.done, ctx.Err()
}

type collector struct {
	s     *Store
	root  *os.Root
	opt   Collection
	now   time.Time
	alone bool          // no other node can use the directory
	young time.Duration // what nothing leads to is kept for as long
	kept  []kept        // SIFs, layers and partials
	size  int64         // of the blobs that are no layers
	done  Collected
}

// collector returns nil without an error if there is no directory.
func (s *Store) collector(opt Collection) (*collector, error) {
	root, err := s.root(false)
	if missing(err) {
		return nil, nil //nolint:nilnil // as said above
	}
	if err != nil {
		return nil, err
	}
	if info, err := root.Stat("."); err != nil || owner(info) != uint32(os.Geteuid()) &&
		os.Geteuid() != 0 {
		return nil, s.refuse("it is not yours").Hint("its owner can clear it")
	}
	c := &collector{s: s, root: root, opt: opt, now: time.Now(), alone: alone(root)}
	c.young = c.within(grace)
	return c, nil
}

// within returns age, or the limit of all ages if that is less.
func (c *collector) within(age time.Duration) time.Duration {
	if c.opt.MaxAge >= 0 {
		return min(age, c.opt.MaxAge)
	}
	return age
}

// tooYoung reports whether a file is too young to remove, or kept until a later time, as by
// KeepFile.
func (c *collector) tooYoung(info os.FileInfo) bool {
	age := c.now.Sub(info.ModTime())
	return age < c.young && (c.young > 0 || age < -grace)
}

// kept is a SIF, layer or partial that stays unless a limit removes it.
type kept struct {
	kind, name, key string
	digest          string
	size            int64
	used            time.Time
}

func (c *collector) removed(kind, name, digest string, size int64, why string) {
	c.done.Removed = append(c.done.Removed, Removed{c.s.path(name), kind, digest, size, why})
	c.done.Freed += size
}

// temporaries removes what dead processes left behind.
func (c *collector) temporaries() {
	entries, err := c.s.entries(c.root, dirTmp)
	if err != nil {
		return // the rooms of files come next, and fail in the same way
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !c.s.dead(c.root, e, "", nil) {
			continue
		}
		name := path.Join(dirTmp, e.Name())
		if c.opt.DryRun || c.root.Remove(name) == nil {
			c.removed(KindTemporary, name, "", info.Size(), "its writer is dead")
		}
	}
	locks, err := c.s.entries(c.root, dirLocks)
	for _, e := range locks {
		if key, ok := strings.CutSuffix(e.Name(), ".lock"); ok && err == nil && !c.opt.DryRun {
			if l, err := c.s.tryLock(c.root, key); err == nil && l != nil {
				l.release() // which removes the file
			}
		}
	}
}

// gather removes broken SIFs, lists the others and the layers, and sums up the blobs.
func (c *collector) gather() error {
	images, err := c.s.Images()
	if err != nil {
		return err
	}
	for _, i := range images {
		k := kept{KindSIF, i.name, i.key, i.Digest, i.Size, i.Used}
		if i.Why == "" {
			c.kept = append(c.kept, k)
		} else {
			c.remove(k, i.Why)
		}
	}
	blobs, err := c.s.blobs(c.root)
	for _, b := range blobs {
		switch b.kind {
		case KindBlob:
			c.size += b.info.Size()
		case KindLayer:
			c.kept = append(c.kept, kept{
				KindLayer, b.name, "", b.algorithm + ":" + b.sum,
				b.info.Size(), b.info.ModTime(),
			})
		}
	}
	for _, e := range c.s.partials(c.root) {
		if !c.s.writing(c.root, e) {
			c.kept = append(c.kept, kept{
				KindPartial, e.name, "", e.digest, e.info.Size(),
				e.info.ModTime(),
			})
		}
	}
	return err
}

// limit removes what is too old, then the least recently used until the rest fits.
func (c *collector) limit(ctx context.Context) {
	slices.SortFunc(c.kept, func(a, b kept) int {
		return cmp.Or(a.used.Compare(b.used), strings.Compare(a.name, b.name))
	})
	sum, layers := c.size, int64(0)
	for _, k := range c.kept {
		sum += k.size
		if k.kind == KindLayer {
			layers += k.size
		}
	}
	var left []kept
	for _, k := range c.kept {
		why := ""
		switch age := c.now.Sub(k.used); {
		case ctx.Err() != nil:
		case k.kind == KindPartial && age > partialAge:
			why = "nobody resumed it for " + days(age)
		case c.opt.MaxAge >= 0 && age > c.opt.MaxAge:
			why = "it was not used for " + days(age)
		case c.opt.MaxSize >= 0 && sum > c.opt.MaxSize:
			why = "the cache is larger than its limit"
		case k.kind == KindLayer && c.opt.MaxLayers >= 0 && layers > c.opt.MaxLayers:
			why = "the layers are larger than their limit"
		}
		switch {
		case why == "":
			left = append(left, k)
		case c.remove(k, why):
			sum -= k.size
			if k.kind == KindLayer {
				layers -= k.size
			}
		default:
			left = append(left, k)
			c.done.InUse += k.size
		}
	}
	c.kept, c.done.Kept = left, sum
}

// remove removes a SIF or layer and reports whether it did. What is in use is listed in Spared.
func (c *collector) remove(k kept, why string) bool {
	use := ""
	switch {
	case c.opt.InUse != nil && c.opt.InUse(c.s.path(k.name)):
		use = "it is in use on this node"
	case k.kind == KindSIF:
		use = c.removeSIF(k)
	case !c.opt.DryRun: // a layer: who reads it on another node fetches it again
		use = whyNotRemoved(c.root.Remove(k.name))
	}
	if use != "" {
		c.done.Spared = append(c.done.Spared, Removed{
			c.s.path(k.name), k.kind, k.digest, k.size,
			use,
		})
		return false
	}
	c.removed(k.kind, k.name, k.digest, k.size, why)
	return true
}

// whyNotRemoved says why a file could not be removed; "" if it is gone.
func whyNotRemoved(err error) string {
	if err == nil || missing(err) {
		return ""
	}
	return "it cannot be removed: " + cause(err).Error()
}

// removeSIF removes a SIF unless a process makes, serves or starts it; then it says which.
func (c *collector) removeSIF(k kept) (use string) {
	l, err := c.s.tryLock(c.root, k.key)
	if err != nil {
		return whyNotRemoved(err)
	}
	if l == nil {
		return "another process is making it"
	}
	defer l.release()
	info, err := c.root.Lstat(k.name)
	if err != nil {
		return whyNotRemoved(err)
	}
	if age := c.now.Sub(k.used); !c.alone && age < grace {
		return fmt.Sprintf(
			"it was used %d minutes ago, and may be in use on another node; an hour after its "+
				"last use it can go", max(0, int(age.Minutes())))
	}
	if !info.Mode().IsRegular() { // nothing that could be served
		if c.opt.DryRun {
			return ""
		}
		return whyNotRemoved(c.root.RemoveAll(k.name))
	}
	f, err := openQuietly(c.root, k.name)
	if err != nil {
		return whyNotRemoved(err)
	}
	defer f.Close()
	// If a write lock needs a file opened for writing (NFS: EBADF), the other rules must do.
	if err := c.s.flock(f); errors.Is(err, syscall.EWOULDBLOCK) {
		return "it is in use on this node"
	}
	if c.opt.DryRun {
		return ""
	}
	return c.moveAside(k, f)
}

// moveAside renames the file, then checks a last time whether it is in use. A start that noted its
// use before the rename is seen here; a later start finds no file and makes it again. So does a
// start that waits for the lock, which is held until the file is gone.
func (c *collector) moveAside(k kept, f *os.File) (use string) {
	if _, err := c.s.ready(dirTmp); err != nil {
		return whyNotRemoved(err)
	}
	t, aside, err := c.s.temp(c.root, k.key)
	if err != nil {
		return whyNotRemoved(err)
	}
	_ = t.Close() // only its name is wanted
	if err := c.root.Rename(k.name, aside); err != nil {
		_ = c.root.Remove(aside) // as it was
		return whyNotRemoved(err)
	}
	if info, err := f.Stat(); err != nil || c.s.used(info).After(k.used) {
		if c.root.Rename(aside, k.name) == nil {
			return "it was used just now"
		}
		return ""
	}
	err = c.root.Remove(aside)
	_ = c.root.Remove(path.Dir(k.name)) // if it is empty
	return whyNotRemoved(err)
}

// blobs removes pins that lead nowhere and blobs that nothing leads to.
func (c *collector) blobs() error {
	blobs, err := c.s.blobs(c.root)
	if err != nil {
		return err
	}
	there := map[string]blobFile{}
	for _, b := range blobs {
		if b.kind == KindBlob {
			there[b.algorithm+":"+b.sum] = b
		}
	}
	wanted := map[string]bool{}
	for _, k := range c.kept {
		if k.kind == KindSIF {
			c.follow(k.digest, there, wanted)
		}
	}
	if err := c.pins(there, wanted); err != nil {
		return err
	}
	for digest, b := range there {
		if wanted[digest] || c.tooYoung(b.info) {
			continue
		}
		if c.opt.DryRun || c.root.Remove(b.name) == nil {
			c.removed(KindBlob, b.name, digest, b.info.Size(), "nothing refers to it")
			c.done.Kept -= b.info.Size()
		}
	}
	c.floors(wanted)
	c.sort()
	return nil
}

func (c *collector) sort() {
	slices.SortFunc(c.done.Removed, func(a, b Removed) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Path, b.Path))
	})
}

// follow marks a blob and everything it leads to.
func (c *collector) follow(digest string, there map[string]blobFile, wanted map[string]bool) {
	if _, ok := there[digest]; !ok || wanted[digest] {
		return
	}
	wanted[digest] = true
	raw, ok, err := c.s.Blob(digest)
	if err != nil || !ok || c.opt.Links == nil {
		return
	}
	for _, next := range c.opt.Links(raw) {
		c.follow(next, there, wanted)
	}
}

// pins removes pins, and marks what the others lead to.
func (c *collector) pins(there map[string]blobFile, wanted map[string]bool) error {
	entries, err := c.s.entries(c.root, dirRefs)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue
		}
		p, ok := c.s.pinIn(e.Name())
		why := ""
		switch _, led := there[p.Digest]; {
		case !ok:
			why = "it is broken"
		case !led:
			why = "what it names is not in the cache"
		case c.opt.Stale != nil && c.opt.Stale(p.Reference):
			why = "the file that it names is not the same any more"
		case c.opt.MaxAge >= 0 && c.now.Sub(p.Time) > c.opt.MaxAge && !c.leads(p.Digest, there):
			why = "it was not asked for " + days(c.now.Sub(p.Time))
		}
		name := path.Join(dirRefs, e.Name())
		if why == "" || c.tooYoung(info) || !c.opt.DryRun && c.root.Remove(name) != nil {
			c.follow(p.Digest, there, wanted)
			continue
		}
		c.removed(KindPin, name, p.Digest, info.Size(), why)
	}
	return nil
}

// leads reports whether a kept SIF was made from something that a blob leads to.
func (c *collector) leads(digest string, there map[string]blobFile) bool {
	found := map[string]bool{}
	c.follow(digest, there, found)
	return slices.ContainsFunc(c.kept,
		func(k kept) bool { return k.kind == KindSIF && found[k.digest] })
}

func days(d time.Duration) string {
	if n := int(d / (24 * time.Hour)); n != 1 {
		return strconv.Itoa(n) + " days"
	}
	return "1 day"
}
