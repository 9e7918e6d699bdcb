package launcher

import (
	"os"
	"path/filepath"
	"strings"
)

// opened are the files that processes of this node have open, as far as the caller may see.
type opened []string

// openFiles looks at the files that processes have open, and at those that the kernel mounts through loop devices. Only files of a cache
// are of interest.
func openFiles() opened {
	var found opened
	descriptors, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is fine
	for _, fd := range descriptors {
		if target, err := os.Readlink(fd); err == nil && ofCache(target) {
			found = append(found, target)
		}
	}
	devices, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, d := range devices {
		if raw, err := os.ReadFile(d); err == nil && ofCache(string(raw)) {
			found = append(found, strings.TrimSpace(string(raw)))
		}
	}
	return found
}

func ofCache(file string) bool {
	return strings.Contains(file, "/sif/") || strings.Contains(file, "/blobs/layers/")
}

// below tells whether a file is open, by its name below the cache: a process may have the cache at another place.
func (o opened) below(name string) bool {
	for _, file := range o {
		if strings.HasSuffix(file, "/"+name) {
			return true
		}
	}
	return false
}
