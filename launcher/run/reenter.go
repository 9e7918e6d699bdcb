package run

import (
	"os"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

// Reenter runs the later stages of a start. It is the first call of main: where args[0] names a stage, handled is true, and status
// is what the process is to end with.
func Reenter(args []string) (status int, handled bool) {
	if len(args) == 0 {
		return 0, false
	}
	switch {
	case strings.HasPrefix(args[0], nameJoinUser), strings.HasPrefix(args[0], nameJoinMount):
		st := stage{Prefix: entryName}
		err := joined(args, &st)
		status := fault.Print(os.Stderr, st.Prefix, err, fault.Engine) //nolint:forbidigo // no caller is left to print it
		if st.Tool {
			status = toolStatus(status)
		}
		return status, true
	case args[0] == nameWatch:
		watch()
		return 0, true
	case args[0] == nameServe && entryMaker != 0:
		maker(args[1] == wordUser)
		return 0, true
	case args[0] == nameServe:
		if serve() != nil {
			return fault.StatusFailed, true // its standard error is /dev/null; the command sees that its files are gone
		}
		return 0, true
	}
	return 0, false
}
