package run

// entry is the first instruction of the program when it is linked with -E (see the Makefile). It looks at argv[0]: for
// "hpc3:entu" and "hpc3:entm" it makes a mount namespace, for the former inside of a new user namespace, for "hpc3:serve" it forks and
// ends the parent, so that the server is nobody's child. All of that must happen while the process has one thread, and Go's
// runtime starts others before any Go code runs. Then, as for any other name, it goes on to the runtime's own entry.
//
// argv[0] is compared as eight bytes. A shorter one is no fault: what follows it on the stack is other words and the environment.
func entry()

// entryResult is what the system call in entry returned, a negative errno; entryNotRun where there was none.
var entryResult int64 = entryNotRun //nolint:gochecknoglobals // written by entry, before Go runs

const entryNotRun = 1

// The names of the stages.
const (
	nameEnterUser  = "hpc3:entu"
	nameEnterMount = "hpc3:entm"
	nameServe      = "hpc3:serve"
)
