package upkeep

import (
	"os"
	"path/filepath"
	"strings"
)

// opened are the files that processes of this node have open, as far as the caller may see: where
// they are found, and their names there.
type opened map[string]string

// openFiles looks at the files that processes have open, and at those that the kernel mounts
// through loop devices. Only files of a cache are of interest.
func openFiles() opened {
	found := opened{}
	descriptors, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is fine
	for _, fd := range descriptors {
		if target, err := os.Readlink(fd); err == nil && ofCache(target) {
			found[fd] = target
		}
	}
	devices, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, d := range devices {
		if raw, err := os.ReadFile(d); err == nil && ofCache(string(raw)) {
			found[d] = strings.TrimSpace(string(raw))
		}
	}
	return found
}

func ofCache(file string) bool {
	return strings.Contains(file, "/sif/") || strings.Contains(file, "/blobs/layers/")
}

// has tells whether a file of a cache is open. A process may have the cache at another place, so
// the names are compared below it; another cache has a file of the same name, which a descriptor
// leads to. A loop device tells the name only.
func (o opened) has(path string) bool {
	sif, layer := strings.LastIndex(path, "/sif/"), strings.LastIndex(path, "/blobs/layers/")
	name := path[max(sif, layer, 0):]
	ours, err := os.Stat(path)
	for at, file := range o {
		if !strings.HasSuffix(file, name) {
			continue
		}
		theirs, errTheirs := os.Stat(at)
		same := errTheirs == nil && err == nil && os.SameFile(ours, theirs)
		if strings.HasPrefix(at, "/sys/") || err != nil || same {
			return true
		}
	}
	return false
}
