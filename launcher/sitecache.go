package launcher

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/outside"
	"github.com/hpc3-project/hpc3/launcher/site"
)

// sight is what somebody sees of a cache of the site.
type sight struct {
	why, mend string // it is of no use to him, and what helps; empty where it is of use
	blocked   string // the directory that cannot be entered
	images    int    // that can be read
	hidden    int    // that cannot, and their owner can
}

// left is what helps where cache init has done its part.
func (s sight) left() string {
	if s.blocked != "" {
		return "as root: chmod o+x " + s.blocked
	}
	return s.mend
}

// see looks at a cache of the site as this thread's user finds it: each directory above, its owner, its rooms, its images.
func (r *Road) see(c site.Cache) (s sight) {
	for at, above := range stepsTo(c.Dir) {
		_, err := os.Stat(at)
		switch {
		case errors.Is(err, fs.ErrPermission):
			return sight{
				why: "others than its owner cannot enter " + above + modeOf(above), blocked: above,
				mend: fmt.Sprintf("as root: hpc3 cache init --site %s, or: chmod o+x %s", c.Dir, above),
			}
		case errors.Is(err, fs.ErrNotExist):
			return sight{why: at + " is not there", mend: "mount it on this node; or, to make it, as root: hpc3 cache init --site " + c.Dir}
		case err != nil:
			return sight{why: at + ": " + outside.Reason(err).Error(), mend: "see whether its file system works"}
		}
	}
	opened, err := r.openShared(c)
	if err != nil {
		_, hints, _ := fault.Of(err, fault.Cache)
		if errors.Is(err, fs.ErrPermission) {
			hints = []string{"as root: hpc3 cache init --site " + c.Dir}
		}
		return sight{why: rootCause(err).Error() + modeOf(c.Dir), mend: strings.Join(hints, "; ")}
	}
	images, err := opened.Images()
	if err != nil {
		return sight{why: rootCause(err).Error(), mend: "as root: hpc3 cache init --site " + c.Dir}
	}
	for _, i := range images {
		if i.Why == "" {
			s.images++
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

// asOthers is what users of the site see of a cache: root looks as one who has no rights, or as a member of the one group that was let in.
func (r *Road) asOthers(c site.Cache) sight {
	own := r.see(c)
	if own.why != "" {
		return own
	}
	others := own
	asNobody(groupOf(c.Dir), func() { others = r.see(c) })
	others.hidden = own.images - others.images
	if others.why == "" && others.images == 0 && own.images > 0 {
		others.why = fmt.Sprintf("others can read none of its %d images", own.images)
		others.mend = fmt.Sprintf("as root: hpc3 cache init --site %s; those that came with credentials: hpc3 cache rm and pull without", c.Dir)
	}
	return others
}

// tellPrivate says that an image which was put into a cache of the site is not for others.
func (r *Road) tellPrivate(sif string) {
	for _, c := range r.Site.Caches {
		info, err := os.Stat(sif)
		if err == nil && strings.HasPrefix(sif, filepath.Clean(c.Dir)+"/") && info.Mode().Perm()&0o044 == 0 {
			r.waiting("warning: others cannot read this image in " + c.Dir + ": it, or a layer that it shares, came with credentials")
		}
	}
}

// groupOf is the group that a directory lets in where it keeps others out; else one of nobody.
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

// mendShared repairs the modes of a cache of the site that a pull writes to.
func (r *Road) mendShared() {
	for _, c := range r.Site.Caches {
		if _, err := os.Stat(c.Dir); err != nil || !sameDir(c.Dir, r.CacheDir()) && !r.writes(c) {
			continue
		}
		s, err := r.openShared(c)
		if err != nil {
			continue // which the pull will say
		}
		mended, err := s.Mend(links)
		if err != nil {
			r.note("%v", err)
		}
		if len(mended) > 0 {
			r.waiting(fmt.Sprintf("others can read %s now: modes of %d files or directories were wrong", c.Dir, len(mended)))
		}
		if seen := r.asOthers(c); seen.why != "" {
			r.waiting("warning: site cache " + c.Dir + " is of no use to others: " + seen.why + "; " + seen.left())
		}
	}
}
