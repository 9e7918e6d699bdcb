package option

import (
	"fmt"
	"slices"
	"strings"
)

// Variables of the shims of modules, which no command in a container gets.
const (
	// Shim is set by a shim for hpc3-run alone: NAME/VERSION of its module. A shim that finds it
	// set is being used by hpc3-run as a program of the node, and refuses: it would call itself.
	Shim = "HPC3_SHIM"
	// ShimInside is set by a shim that becomes the command of the container that it is in: its
	// process. A shim that finds its own process there was called by a copy of it.
	ShimInside = "HPC3_SHIM_INSIDE"
)

// ShimMark is an empty file in directories of shims.
const ShimMark = ".hpc3-shims"

// OfModule says which module a command is of, for users who see neither hpc3-run nor an image;
// module is the value of Shim, and loaded that of LOADEDMODULES.
func OfModule(command, module, loaded string) string {
	state := "which is not loaded any more"
	if IsLoaded(module, loaded) {
		state = "which is loaded"
	}
	return fmt.Sprintf("%s is a command of the module %s, %s", command, module, state)
}

// IsLoaded tells whether LOADEDMODULES names a module.
func IsLoaded(module, loaded string) bool {
	return slices.Contains(strings.Split(loaded, ":"), module)
}
