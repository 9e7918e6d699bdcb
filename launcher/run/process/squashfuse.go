package process

import (
	"os/exec"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// SquashfuseLL is the name of squashfuse's program for FUSE's low-level interface.
const SquashfuseLL = "squashfuse_ll"

// SquashfusePlaces are the directories in which the node's own squashfuse_ll may be; they come
// before the caller's PATH. Apptainer brings its own.
var SquashfusePlaces = []string{ //nolint:gochecknoglobals // a constant list
	"/usr/bin", "/usr/local/bin", "/usr/libexec/apptainer/bin", "/usr/local/libexec/apptainer/bin",
}

// FindSquashfuse returns the path of one of squashfuse's programs; "" if there is none.
func FindSquashfuse(name string, morePlaces ...string) string {
	for _, dir := range slices.Concat(SquashfusePlaces, morePlaces) {
		program := filepath.Join(dir, name)
		if unix.Access(program, unix.X_OK) == nil {
			return program
		}
	}
	program, err := exec.LookPath(name)
	if err != nil || !filepath.IsAbs(program) {
		return ""
	}
	return program
}
