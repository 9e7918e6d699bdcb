package run

// entry is the first instruction of the program when it is linked with -E (see the Makefile). It looks at argv[0]: for
// "hpc3:entu" and "hpc3:entm" it makes a mount namespace, for the former inside of a new user namespace; for "hpc3:serve" it forks and
// ends the parent, so that the server is nobody's child; for any other name it notes which signals the caller ignores and blocks. All of
// that must happen before Go's runtime starts: it makes threads, with which no user namespace can be made, and it
// forgets ignored signals and unblocks some. For "hpc3:joiu" and "hpc3:joim" it enters the namespaces, for the latter the mount namespace
// only, whose descriptors are the two bytes behind the name, and makes the calls (play.go) in the file of the third. Then it goes on to the
// runtime's own entry.
//
// argv[0] is compared as eight bytes. A shorter one is no fault: what follows it on the stack is other words and the environment.
func entry() //nolint:unused // by the linker, which is told its name

// entryResult is what the system call in entry returned, a negative errno; 0 where there was none to make.
var entryResult int64 = entryNotRun //nolint:gochecknoglobals // written by entry, before Go runs

// entryIgnored has bit N set where the caller ignores signal N.
var entryIgnored uint64 //nolint:gochecknoglobals // written by entry, before Go runs

// entryBlocked is the caller's signal mask: bit N-1 is set where he blocks signal N.
var entryBlocked uint64 //nolint:gochecknoglobals // written by entry, before Go runs

// entryNotRun stays in entryResult where the program was linked without -E.
const entryNotRun = 1

// The names of the stages.
const (
	nameEnterUser  = "hpc3:entu"
	nameEnterMount = "hpc3:entm"
	nameJoinUser   = "hpc3:joiu"
	nameJoinMount  = "hpc3:joim"
	nameServe      = "hpc3:serve"
)
