package run

// entry is the first instruction of the program when it is linked with -E (see tests/tools/build-programs). It looks at argv[0]. For "hpc3:serve" it forks
// twice and ends, so that the file server and the maker are nobody's children; the maker is put into new namespaces, of which argv[1] says "user"
// or "mount". For "hpc3:joiu" and "hpc3:joim" it enters namespaces, for the latter the mount namespace only, and makes the system calls (play.go)
// that are in a file; the descriptors of the three stand behind the name. For any other name it looks at the
// caller's limits (limits.go), and notes which signals the caller ignores and blocks.
// All of that must happen before Go's runtime starts, to which it goes on then: the runtime makes threads, with which no user namespace can be
// made or entered, and it forgets ignored signals and unblocks some.
//
// argv[0] is compared as eight bytes. A shorter one is no fault: what follows it on the stack is other words and the environment.
func entry() //nolint:unused // by the linker, which is told its name

// entryResult is what the system call in entry returned, a negative errno; 0 where there was none to make.
var entryResult int64 = entryNotRun //nolint:gochecknoglobals // written by entry, before Go runs

// entryMaker is 1 in the maker.
var entryMaker int64 //nolint:gochecknoglobals // written by entry, before Go runs

// entryIgnored has bit N set where the caller ignores signal N.
var entryIgnored uint64 //nolint:gochecknoglobals // written by entry, before Go runs

// entryBlocked is the caller's signal mask: bit N-1 is set where he blocks signal N.
var entryBlocked uint64 //nolint:gochecknoglobals // written by entry, before Go runs

// entryNotRun stays in entryResult where the program was linked without -E.
const entryNotRun = 1

// The names of the stages.
const (
	nameJoinUser  = "hpc3:joiu"
	nameJoinMount = "hpc3:joim"
	nameServe     = "hpc3:serve"
)

// The namespaces of a container, as the second word of the server.
const (
	wordUser  = "user" // and mount
	wordMount = "mount"
)
