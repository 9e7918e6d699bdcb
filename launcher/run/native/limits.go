package native

import (
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Go's runtime ends the process with a dump and status 2 if it cannot have the memory, threads or
// descriptors that it starts with, before main can say a word. So the limits are checked before
// it starts, and one line says which of them is too low.

// What a start needs. The build measures it and hands it to the linker (tests/tools/needs). An
// empty need was not measured, and its limit is not checked.
var (
	needMemory = "" //nolint:gochecknoglobals // set by the linker: kB of address space
	needFiles  = "" //nolint:gochecknoglobals // set by the linker: descriptors
)

// needProcesses is how many processes and threads a start has at once: 24 were counted of
// hpc3-run, the maker and the file server, with GOMAXPROCS=2.
var needProcesses = "32" //nolint:gochecknoglobals // a test sets it by the linker

// What a program that does not start calls itself, and its exit status.
var (
	entryName   = "hpc3-run" //nolint:gochecknoglobals // set by the linker
	entryStatus = "125"      //nolint:gochecknoglobals // set by the linker
)

// entryFew is whether few processes are left to the user, but enough for a start.
var entryFew bool //nolint:gochecknoglobals // written before Go's runtime starts

// checkLimits ends the process if a limit is too low for Go's runtime. The hard limit of open
// files counts: Go raises the soft one to it, and restores it for the command.
//
//go:nosplit
func checkLimits() {
	soft, _ := readLimit(unix.RLIMIT_AS)
	if need := parseText(needMemory); soft>>10 < need {
		refuse(needMemory, " kB of address space, and the limit (RLIMIT_AS, ulimit -v) is ",
			soft>>10, " kB: raise it\n")
	}
	_, hard := readLimit(unix.RLIMIT_NOFILE)
	if need := parseText(needFiles); hard < need {
		refuse(needFiles, " open files, and the hard limit (RLIMIT_NOFILE, ulimit -Hn) is ",
			hard, ": raise it\n")
	}
	soft, _ = readLimit(unix.RLIMIT_NPROC)
	need := parseText(needProcesses)
	if soft >= need+allProcesses() {
		return
	}
	entryFew = true
	if !tryProcesses(need) {
		refuse(needProcesses, " processes and threads, and the limit of the user's (RLIMIT_NPROC, "+
			"ulimit -u), ", soft, ", leaves fewer: raise it, or end some of them\n")
	}
}

// readLimit returns no limit if the kernel does not tell.
//
//go:nosplit
func readLimit(resource uintptr) (soft, hard uint64) {
	limit := unix.Rlimit{}
	at := uintptr(unsafe.Pointer(&limit))
	if rawCall(unix.SYS_PRLIMIT64, 0, resource, 0, at, 0, 0) != 0 {
		return unix.RLIM_INFINITY, unix.RLIM_INFINITY
	}
	return limit.Cur, limit.Max
}

//go:nosplit
func parseText(decimal string) uint64 {
	n := uint64(0)
	for i := range len(decimal) {
		n = n*10 + uint64(decimal[i]-'0')
	}
	return n
}

// allProcesses is how many processes and threads all users of the node have: the caller has no
// more of them.
//
//go:nosplit
func allProcesses() uint64 {
	info := unix.Sysinfo_t{}
	rawCall(unix.SYS_SYSINFO, uintptr(unsafe.Pointer(&info)), 0, 0, 0, 0, 0)
	return uint64(info.Procs)
}

// tryProcesses tells whether the caller may have n more processes. It makes them, each a child of
// the one before, which waits for it.
//
//go:nosplit
func tryProcesses(n uint64) bool {
	signal := uintptr(0) // none: the caller may ignore SIGCHLD, and would miss the status
	for left := n; left > 0; {
		child := rawCall(unix.SYS_CLONE, signal, 0, 0, 0, 0, 0)
		switch {
		case child == 0:
			left--
			continue
		case child == -int64(unix.EINVAL) && signal == 0:
			signal = uintptr(unix.SIGCHLD) // qemu knows no child without one
			continue
		}
		enough := child != -int64(unix.EAGAIN)
		if child > 0 {
			enough = waitFor(child)
		}
		if left == n {
			return enough
		}
		exit(status(enough))
	}
	exit(0)
	return true
}

//go:nosplit
func waitFor(child int64) (succeeded bool) {
	status := int32(0)
	at := uintptr(unsafe.Pointer(&status))
	rawCall(unix.SYS_WAIT4, uintptr(child), at, unix.WALL, 0, 0, 0)
	return status == 0
}

//go:nosplit
func status(good bool) uintptr {
	if good {
		return 0
	}
	return 1
}

//go:nosplit
func exit(status uintptr) { rawCall(unix.SYS_EXIT_GROUP, status, 0, 0, 0, 0, 0) }

// refuse says which limit is too low, and ends the process.
//
//go:nosplit
func refuse(need, of string, limit uint64, advice string) {
	var digits [20]byte
	at := len(digits)
	for n := limit; ; n /= 10 {
		at--
		digits[at] = byte('0' + n%10)
		if n < 10 {
			break
		}
	}
	line := [...]unix.Iovec{
		iovec(entryName), iovec(": error[engine]: starting needs "), iovec(need), iovec(of),
		{Base: &digits[at], Len: uint64(len(digits) - at)},
		iovec(advice),
	}
	rawCall(unix.SYS_WRITEV, 2, uintptr(unsafe.Pointer(&line)), uintptr(len(line)), 0, 0, 0)
	exit(uintptr(parseText(entryStatus)))
}

//go:nosplit
func iovec(s string) unix.Iovec {
	return unix.Iovec{Base: unsafe.StringData(s), Len: uint64(len(s))}
}

// WithoutFileLimit raises the limit of file sizes as far as the caller may, since the files that
// a start writes, in memory, are not the caller's. It returns the limit as it was.
func WithoutFileLimit() (uint64, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		return 0, err
	}
	return limit.Cur, unix.Setrlimit(unix.RLIMIT_FSIZE,
		&unix.Rlimit{Cur: limit.Max, Max: limit.Max})
}

// memoryEach is the address space that each of Go's processors takes while an image is made:
// 150 MB were measured for 64 of them beyond what a start takes, and Go reserves 64 MiB at a time.
const memoryEach = 64 << 20

// BeModest bounds how much is done at once where the limits of address space and processes are
// low, since Go ends the process if it gets neither. It is called before any work is shared out.
func BeModest() {
	if n := modestProcessors(runtime.GOMAXPROCS(0)); n < runtime.GOMAXPROCS(0) {
		runtime.GOMAXPROCS(n)
	}
}

// modestProcessors returns how many of n processors are to be used.
func modestProcessors(n int) int {
	const least = 2
	if entryFew {
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
