package upkeep

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hpc3-project/hpc3/launcher/caches"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/site"
)

// Sight is what a user sees of a cache of the site.
type Sight struct {
	Why, Mend string // it is of no use to the user, and what helps; empty if it is of use
	Images    int    // that can be read
	Hidden    int    // that cannot, and their owner can
	blocked   string // the directory that cannot be entered
}

// Left is what helps after cache init has done its part.
func (s Sight) Left() string {
	if s.blocked != "" {
		return "as root: chmod o+x " + s.blocked
	}
	return s.Mend
}

// initAsRoot mends most that is wrong with a cache of the site.
const initAsRoot = "as root: hpc3 cache init --site "

// see looks at a cache of the site as this thread's user finds it: each directory above, its owner,
// its directories, its images.
func (k Keeper) see(c site.Cache) (s Sight) {
	for at, above := range stepsTo(c.Dir) {
		_, err := os.Stat(at)
		switch {
		case errors.Is(err, fs.ErrPermission):
			return Sight{
				Why: "others than its owner cannot enter " + above + modeOf(above), blocked: above,
				Mend: fmt.Sprintf("as root: hpc3 cache init --site %s, or: chmod o+x %s", c.Dir,
					above),
			}
		case errors.Is(err, fs.ErrNotExist):
			return Sight{
				Why:  at + " is not there",
				Mend: "mount it on this node; or, to make it, " + initAsRoot + c.Dir,
			}
		case err != nil:
			why := at + ": " + fault.Reason(err).Error()
			return Sight{Why: why, Mend: "see whether its file system works"}
		}
	}
	opened, err := k.Caches.OpenShared(c)
	if err != nil {
		_, hints, _ := fault.Of(err, fault.Cache)
		if errors.Is(err, fs.ErrPermission) {
			hints = []string{initAsRoot + c.Dir}
		}
		why := fault.Reason(err).Error() + modeOf(c.Dir)
		return Sight{Why: why, Mend: strings.Join(hints, "; ")}
	}
	images, err := opened.Images()
	if err != nil {
		return Sight{Why: fault.Reason(err).Error(), Mend: initAsRoot + c.Dir}
	}
	for _, i := range images {
		if i.Why == "" {
			s.Images++
		}
	}
	return s
}

// modeOf says what mode a directory has, as far as that can be told.
func modeOf(dir string) string {
	info, err := os.Stat(dir)
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (mode %04o)", info.Mode().Perm())
}

// stepsTo yields the directories that lead to one, from the root, with that above each.
func stepsTo(dir string) func(yield func(at, above string) bool) {
	return func(yield func(at, above string) bool) {
		above := "/"
		for part := range strings.SplitSeq(strings.Trim(filepath.Clean(dir), "/"), "/") {
			at := filepath.Join(above, part)
			if !yield(at, above) {
				return
			}
			above = at
		}
	}
}

// AsOthers is what users of the site see of a cache: root looks as a user without rights, or as a
// member of the one group that was let in.
func (k Keeper) AsOthers(c site.Cache) Sight {
	owners := k.see(c)
	if owners.Why != "" {
		return owners
	}
	others := owners
	asNobody(groupOf(c.Dir), func() { others = k.see(c) })
	others.Hidden = owners.Images - others.Images
	if others.Why == "" && others.Images == 0 && owners.Images > 0 {
		others.Why = fmt.Sprintf("others can read none of its %d images", owners.Images)
		others.Mend = fmt.Sprintf("as root: hpc3 cache init --site %s; "+
			"those that came with credentials: hpc3 cache rm and pull without", c.Dir)
	}
	return others
}

// WarnPrivate says if an image that was put into a cache of the site is not for others.
func (k Keeper) WarnPrivate(sif string) {
	for _, c := range k.Site.Caches {
		info, err := os.Stat(sif)
		within := strings.HasPrefix(sif, filepath.Clean(c.Dir)+"/")
		if err == nil && within && info.Mode().Perm()&0o044 == 0 {
			k.Sayf("warning: others cannot read this image in %s: "+
				"it, or a layer that it shares, came with credentials", c.Dir)
		}
	}
}

// groupOf is the group that a directory lets in if it keeps others out; else one of nobody.
func groupOf(dir string) int {
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm()&0o005 != 0 || info.Mode().Perm()&0o050 == 0 {
		return nobody
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nobody
	}
	return int(st.Gid)
}

// MendShared repairs the modes of a cache of the site that a pull writes to.
func (k Keeper) MendShared() {
	for _, c := range k.Site.Caches {
		_, err := os.Stat(c.Dir)
		if err != nil || !caches.SameDir(c.Dir, k.Caches.Dir()) && !k.Caches.Writes(c) {
			continue
		}
		s, err := k.Caches.OpenShared(c)
		if err != nil {
			continue // which the pull will say
		}
		mended, err := s.Mend(links)
		if err != nil {
			k.Notef("%v", err)
		}
		if len(mended) > 0 {
			k.Sayf("others can read %s now: modes of %d files or directories were wrong", c.Dir,
				len(mended))
		}
		if seen := k.AsOthers(c); seen.Why != "" {
			k.Sayf("warning: site cache %s is of no use to others: %s; %s", c.Dir, seen.Why,
				seen.Left())
		}
	}
}
