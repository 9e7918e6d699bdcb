package run

import (
	"os"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

// The later stages of a start, where argv[0] names one, begin here and not in main: Go's runtime has then made ready what this package needs, and
// what only fetching, converting and reading a command line need comes after, which takes longer.
func init() { //nolint:gochecknoinits // the point is to be early
	if entryResult == entryNotRun || len(os.Args) == 0 {
		return
	}
	switch name := os.Args[0]; {
	case strings.HasPrefix(name, nameJoinUser), strings.HasPrefix(name, nameJoinMount):
		prefix := "hpc3-run"
		err := joined(os.Args, &prefix)
		os.Exit(fault.Print(os.Stderr, prefix, err, fault.Engine)) //nolint:forbidigo // no caller is left to print it
	case name == nameServe && entryMaker != 0:
		maker(os.Args[1] == wordUser)
		os.Exit(0)
	case name == nameServe:
		if serve() != nil {
			os.Exit(fault.StatusFailed) // its standard error is /dev/null; the command sees that its files are gone
		}
		os.Exit(0)
	}
}
