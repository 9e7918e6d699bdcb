package native

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/run/serve"
)

// The names of the stages whose calls the entry plays. Their first argument is the descriptor of
// a recording.
const (
	nameJoin  = stagePrefix + "join"
	nameServe = stagePrefix + "serve"
)

// Reenter runs the later stages of a start: if args[0] names one, handled is true, and the process
// has to end with the status.
func Reenter(args []string) (status int, handled bool) {
	switch {
	case len(args) == 0:
		return 0, false
	case args[0] != nameJoin && args[0] != nameServe:
		return 0, false
	case entryAt == nil:
		return printFault(entryName, notPlayed(args[0])), true
	}
	switch entryAt.purpose {
	case toMake:
		maker(entryAt.args[0]&unix.CLONE_NEWUSER != 0)
	case toServe:
		if serve.Run(serverSocket) != nil {
			// Its standard error is /dev/null; the command sees that its files are gone.
			return fault.StatusFailed, true
		}
	default:
		st := Stage{Prefix: entryName}
		err := joined(&st)
		status := printFault(st.Prefix, err)
		if st.Tool {
			status = toolStatus(status)
		}
		return status, true
	}
	return 0, true
}

func notPlayed(name string) error {
	if entryResult < 0 {
		return fault.New(fault.Engine, "reading the plan: %w", unix.Errno(-entryResult))
	}
	return fault.New(fault.Engine, "%s is not to be called by hand", name)
}

func printFault(prefix string, err error) int {
	//nolint:forbidigo // no caller is left to print it
	return fault.Print(os.Stderr, prefix, err, fault.Engine)
}
