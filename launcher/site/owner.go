package site

import (
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

// writers says who may have written a settings file.
type writers int

const (
	rootOnly writers = iota // the site file
	orCaller                // a site file that the caller names
	ownFile                 // the caller's own, which a group may write: it decides for nobody else
)

// checkWriters refuses a settings file that others could have written, and tells whether it is the
// caller's own instead of root's.
func checkWriters(file string, f *os.File, who writers) (own bool, err error) {
	info, err := f.Stat()
	if err != nil {
		return false, unreadable(file, err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() { // the null device, which is empty
		return false, nil
	}
	mode, others := info.Mode().Perm(), fs.FileMode(0o022)
	if who == ownFile {
		others = 0o002
	}
	ofRoot, ofCaller := isRoot(st.Uid, os.ReadFile), st.Uid == uint32(os.Geteuid())
	switch {
	case !ofRoot && who == rootOnly:
		return false, refuse(file, st.Uid, mode).
			Hint("chown root %q; only root decides for a site", file)
	case !ofRoot && !ofCaller:
		return false, refuse(file, st.Uid, mode).
			Hint("name a file of your own, or one that belongs to root")
	case mode&others != 0:
		return false, refuse(file, st.Uid, mode).
			Hint("chmod go-w %q; what others may write decides nothing", file)
	}
	return !ofRoot, nil
}

func refuse(file string, uid uint32, mode fs.FileMode) *fault.Error {
	return fault.New(fault.Policy,
		"refusing the settings in %s: it belongs to uid %d and has mode %04o", file, uid, mode)
}

// isRoot tells whether files of this uid are root's. A user namespace that does not map root shows
// the overflow uid for them.
func isRoot(uid uint32, read func(string) ([]byte, error)) bool {
	if uid == 0 {
		return true
	}
	overflow, err := read("/proc/sys/kernel/overflowuid")
	if err != nil || strings.TrimSpace(string(overflow)) != strconv.Itoa(int(uid)) {
		return false
	}
	mapped, err := read("/proc/self/uid_map")
	return err == nil && !mapsRoot(string(mapped))
}

// mapsRoot tells whether a uid_map maps the root of the outer namespace. A line holds the first uid
// inside, the first outside, and their number.
func mapsRoot(uidMap string) bool {
	for line := range strings.Lines(uidMap) {
		if f := strings.Fields(line); len(f) == 3 && f[1] == "0" && f[2] != "0" {
			return true
		}
	}
	return false
}

// Under returns the site with the keys that a stronger one locks as the stronger one sets them.
func (s Site) Under(strong Site) (Site, error) {
	for _, key := range strong.Locked {
		ours, theirs := strong.Field(key), s.Field(key)
		if !theirs.IsNil() && !same(ours, theirs) {
			return Site{}, fault.New(fault.Policy,
				"the setting %s in %s is locked by the site in %s", key, s.File, strong.File).
				Hint("leave it out of %s", s.File)
		}
		theirs.Set(ours)
		if s.lockedIn == nil {
			s.lockedIn = make(map[string]string)
		}
		s.lockedIn[key] = strong.File
	}
	return s, nil
}
