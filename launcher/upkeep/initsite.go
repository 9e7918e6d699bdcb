package upkeep

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/caches"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/outside"
	"github.com/hpc3-project/hpc3/launcher/site"
	"github.com/hpc3-project/hpc3/launcher/store"
)

// SiteCacheOptions say for whom a cache of the site is. The zero value is one that the caller fills
// and everybody reads.
type SiteCacheOptions struct {
	Owner string // who fills it, by name or uid; "" = the caller
	Group string // who reads it, by name or gid; "" = everybody
	Write bool   // owners put there what they run
}

// SiteCache is what InitSite did.
type SiteCache struct {
	SchemaVersion int      `json:"schemaVersion"`
	Dir           string   `json:"dir"`
	Made          []string `json:"made"`   // directories
	Mended        []string `json:"mended"` // directories and files that others could not read
	Table         string   `json:"table"`  // for File
	File          string   `json:"file"`   // the site file
	Configured    bool     `json:"configured"`
	Why           string   `json:"why,omitempty"` // it is of no use to others
	Mend          string   `json:"mend,omitempty"`
}

// InitSite makes a directory a cache of the site: with what is above it, owner and modes. What is
// right stays as it is.
func (k Keeper) InitSite(dir string, opt SiteCacheOptions) (SiteCache, error) {
	s := SiteCache{
		SchemaVersion: 1, Dir: filepath.Clean(dir), Made: []string{}, Mended: []string{},
		File: cmp.Or(k.Site.File, site.DefaultFile),
	}
	if !filepath.IsAbs(dir) || s.Dir == "/" {
		return s, fault.New(fault.Usage,
			"the directory of a cache of the site is an absolute path, and %q was given", dir).
			Hint("as in: hpc3 cache init --site /sw/hpc3")
	}
	uid, gid, err := opt.ids()
	if err != nil {
		return s, err
	}
	made, changed, err := store.MakeShared(s.Dir, uid, gid)
	s.Made, s.Mended = append(s.Made, made...), append(s.Mended, changed...)
	if err != nil {
		return s, fault.New(fault.Cache, "making the cache %s: %w", s.Dir, fault.Reason(err)).
			Hint("run this as root, or as who owns what is above it")
	}
	c := site.Cache{Dir: s.Dir, Owners: []site.Owner{{UID: uint32(uid)}}, Write: opt.Write}
	if os.Geteuid() != uid { // what root has put there counts as well
		c.Owners = append(c.Owners, site.Owner{UID: uint32(os.Geteuid())})
	}
	opened, err := store.OpenWith(s.Dir, store.Options{Owners: c.UIDs(), Shared: true})
	if err != nil {
		return s, err
	}
	mended, err := opened.Mend(links)
	if err != nil {
		return s, err
	}
	s.Mended = append(s.Mended, mended...)
	s.tabulate(k.Site.Caches, cmp.Or(opt.Owner, nameOf(uid)), c)
	seen := k.AsOthers(c)
	s.Why, s.Mend = seen.Why, seen.Left()
	return s, nil
}

// ids returns the owner and the group as numbers; -1 for no group.
func (o SiteCacheOptions) ids() (uid, gid int, err error) {
	uid, gid = os.Geteuid(), -1
	if o.Owner != "" {
		var owner site.Owner
		if err := owner.UnmarshalText([]byte(o.Owner)); err != nil {
			return 0, 0, fault.New(fault.Usage, "option --owner: %w", err)
		}
		uid = int(owner.UID)
	}
	if o.Group != "" {
		group, err := site.ParseGroup(o.Group)
		if err != nil {
			return 0, 0, fault.New(fault.Usage, "option --group: %w", err)
		}
		gid = int(group)
	}
	if os.Geteuid() != 0 && uid != os.Geteuid() {
		return 0, 0, fault.New(fault.Usage, "only root makes a cache for another user").
			Hint("run this as root, or leave out --owner")
	}
	return uid, gid, nil
}

// tabulate writes the table of the site file, and tells whether the file has one that does the
// same.
func (s *SiteCache) tabulate(have []site.Cache, owner string, c site.Cache) {
	owners := strconv.Quote(owner)
	if c.UIDs()[0] != 0 && slices.Contains(c.UIDs(), 0) {
		owners += `, "root"`
	}
	s.Table = fmt.Sprintf("[[cache]]\ndir = %q\nowners = [%s]\n", s.Dir, owners)
	if c.Write {
		s.Table += "write = true\n"
	}
	s.Configured = slices.ContainsFunc(have, func(h site.Cache) bool {
		owned := slices.Contains(h.UIDs(), c.UIDs()[0])
		return caches.SameDir(h.Dir, s.Dir) && owned && (h.Write || !c.Write)
	})
}

// nameOf is the name of a user in /etc/passwd, else the number.
func nameOf(uid int) string {
	raw, err := outside.Read("/etc/passwd", 16<<20)
	for line := range strings.Lines(string(raw)) {
		if f := strings.Split(line, ":"); err == nil && len(f) > 2 && f[2] == strconv.Itoa(uid) {
			return f[0]
		}
	}
	return strconv.Itoa(uid)
}
