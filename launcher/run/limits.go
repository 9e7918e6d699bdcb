package run

import (
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Go's runtime ends the process with a dump and status 2 if it cannot have the memory, threads or descriptors that it starts with, before main can
// say a word. So the entry looks at the limits first, and says in one line which of them is too low.

// What a start needs. The build measures it and hands it to the linker (tests/tools/needs); empty: it was not measured, and the limit is not looked at.
var (
	needMemory = "" //nolint:gochecknoglobals // kB of address space
	needFiles  = "" //nolint:gochecknoglobals // descriptors
)

// needProcesses is how many processes and threads a start has at once: 24 were counted of hpc3-run, the maker and the file server, with GOMAXPROCS=2.
var needProcesses = "32" //nolint:gochecknoglobals // read by entry, before Go runs

// What the entry says of a program, and what it ends with.
var (
	entryName   = "hpc3-run" //nolint:gochecknoglobals // set by the linker
	entryStatus = "125"      //nolint:gochecknoglobals,unused // set by the linker
)

// entryNumber is the limit in decimal digits, where the entry says that it is too low.
var entryNumber string //nolint:gochecknoglobals // written by entry, before Go runs

// entryFew is 1 where few processes are left to the user, but enough for a start.
var entryFew int64 //nolint:gochecknoglobals // written by entry, before Go runs

// entryLimit is a limit that the entry looks at, and what it says if that is too low. The entry knows the offsets of the fields.
type entryLimit struct {
	resource uint64
	at       uint64  // where in the kernel's structure the limit is: 0 the soft one, 8 the hard one
	shift    uint64  // by how many bits its unit is greater than the kernel's
	need     *string // decimal
	said     [6]*string
}

// hardLimit is the offset of the hard limit. Of open files that one counts: Go raises the soft one to it, and restores it for the command.
const hardLimit = 8

// entryLimits ends with the processes, since the entry has to try how many are left.
var entryLimits = [3]entryLimit{ //nolint:gochecknoglobals // read by entry, before Go runs
	{unix.RLIMIT_AS, 0, 10, &needMemory, [6]*string{&entryName, &entryText[0], &needMemory, &entryText[1], &entryNumber, &entryText[2]}},
	{unix.RLIMIT_NOFILE, hardLimit, 0, &needFiles, [6]*string{&entryName, &entryText[0], &needFiles, &entryText[3], &entryNumber, &entryText[4]}},
	{unix.RLIMIT_NPROC, 0, 0, &needProcesses, [6]*string{&entryName, &entryText[0], &needProcesses, &entryText[5], &entryNumber, &entryText[6]}},
}

var entryText = [...]string{ //nolint:gochecknoglobals // read by entry, before Go runs
	": error[engine]: starting needs ",
	" kB of address space, and the limit (RLIMIT_AS, ulimit -v) is ", " kB: raise it\n",
	" open files, and the hard limit (RLIMIT_NOFILE, ulimit -Hn) is ", ": raise it\n",
	" processes and threads, and the limit of the user's (RLIMIT_NPROC, ulimit -u), ", ", leaves fewer: raise it, or end some of them\n",
}

// memoryEach is the address space that each of Go's processors takes while an image is made: 150 MB were measured for 64 of them beyond what a start takes,
// and Go reserves 64 MiB at a time.
const memoryEach = 64 << 20

// BeModest bounds how much is done at once where the limits of address space and processes are low, since Go ends the process if it gets neither.
// It is called before any work is shared out.
func BeModest() {
	if n := modestProcessors(runtime.GOMAXPROCS(0)); n < runtime.GOMAXPROCS(0) {
		runtime.GOMAXPROCS(n)
	}
}

// modestProcessors returns how many of n processors are to be used.
func modestProcessors(n int) int {
	const least = 2
	if entryFew != 0 {
		return min(n, least)
	}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_AS, &limit) != nil || limit.Cur == unix.RLIM_INFINITY {
		return n
	}
	need, _ := strconv.ParseUint(needMemory, 10, 54) // 0 where it was not measured
	spare := limit.Cur - min(limit.Cur, need<<10)
	return int(min(uint64(n), least+spare/memoryEach))
}
