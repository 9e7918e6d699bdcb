package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/option"
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
	if err != nil || !filepath.IsAbs(program) || HasShims(filepath.Dir(program)) {
		return ""
	}
	return program
}

// HasShims tells whether a directory has the commands of a module, which call hpc3-run again: it is
// none of those in which hpc3-run looks for programs of the node.
func HasShims(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, option.ShimMark))
	return err == nil
}
