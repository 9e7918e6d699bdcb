package run

import (
	"github.com/hpc3-project/hpc3/launcher/run/apptainer"
	"github.com/hpc3-project/hpc3/launcher/run/native"
)

// Reenter runs the later stages of a start. It is the first call of main: if args[0] names a
// stage, handled is true, and the process has to end with the status.
func Reenter(args []string) (status int, handled bool) {
	if len(args) > 0 && args[0] == apptainer.WatchName {
		apptainer.Watch()
		return 0, true
	}
	return native.Reenter(args)
}

// BeModest bounds how much is done at once if the limits of address space and processes are low.
func BeModest() { native.BeModest() }
