package native

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// entry is the first instruction of the program when it is linked with -E (see
// tests/tools/build-programs). It calls beforeStart, then starts Go's runtime.
func entry() //nolint:unused // the linker is told its name

// entryStack is the stack as the kernel left it.
var entryStack *initialStack //nolint:gochecknoglobals // written by entry

// entryFunction is what entry calls. Calling a function value needs no goroutine; calling the
// function from assembly would look for one.
var entryFunction = beforeStart //nolint:gochecknoglobals // read by entry

var _ = entryFunction // assembly does not count as use

// What beforeStart leaves for Go.
//
//nolint:gochecknoglobals // written before Go's runtime starts
var (
	entryResult  int64     = entryNotRun // of the call at which play stopped; negative: an errno
	entryAt      *call                   // that call; nil: no calls were played
	entryList    *callList               // the recording that it is in
	entryIgnored uint64                  // bit N: the caller ignores signal N
	entryBlocked uint64                  // the caller's signal mask: bit N-1 is signal N
)

// entryNotRun stays in entryResult if the program was linked without -E.
const entryNotRun = 1

// stagePrefix begins the names of the stages.
const stagePrefix = "hpc3:"

// initialStack is argc and the first words of argv.
type initialStack struct {
	_     uintptr
	words [2]*initialWord
}

// initialWord ends with a NUL byte, long before its last one.
type initialWord [1 << 20]byte

// beforeStart does what has to happen before Go's runtime starts. The runtime makes threads, and
// a process with threads can neither make nor enter a user namespace; it forgets which signals
// the caller ignores; and it ends with a dump if a limit is too low.
//
// A process whose name is a stage's plays the system calls in the file whose descriptor is its
// first argument. Any other one looks at its limits and signals.
//
// There is no heap, no goroutine and no stack to grow yet. This function and all that it calls
// are nosplit, and pass nothing to the heap. A test holds them to that.
//
//go:nosplit
func beforeStart() {
	entryResult = 0
	name, list := entryStack.words[0], entryStack.words[1]
	if name != nil && list != nil && begins(name, stagePrefix) {
		playFile(parseWord(list))
		return
	}
	checkLimits()
	noteSignals()
}

//go:nosplit
func begins(word *initialWord, with string) bool {
	for i := range len(with) {
		if word[i] != with[i] {
			return false
		}
	}
	return true
}

//go:nosplit
func parseWord(word *initialWord) uintptr {
	n := uintptr(0)
	for i := 0; word[i] != 0; i++ {
		n = n*10 + uintptr(word[i]-'0')
	}
	return n
}

// playFile maps a file and plays the calls at its beginning.
//
//go:nosplit
func playFile(fd uintptr) {
	const access = unix.PROT_READ | unix.PROT_WRITE // qemu writes to what capset only reads
	const mapping = unix.MAP_PRIVATE | unix.MAP_FIXED_NOREPLACE
	size := rawCall(unix.SYS_LSEEK, fd, 0, unix.SEEK_END, 0, 0, 0)
	at := rawCall(unix.SYS_MMAP, playAddress, uintptr(size), access, mapping, fd, 0)
	if at != playAddress {
		entryResult = at
		return
	}
	entryList = *(**callList)(unsafe.Pointer(&at))
	play(entryList.calls)
}

// play makes calls until one of them is the last.
//
//go:nosplit
func play(c *call) {
	for {
		a := &c.args
		result := rawCall(c.number, a[0], a[1], a[2], a[3], a[4], a[5])
		next := c.good
		if uint64(result)-c.want > c.span {
			next = c.bad
		}
		if result == 0 && c.zero != 0 {
			next = c.zero
		}
		if next == stop {
			entryAt, entryResult = c, result
			return
		}
		c = (*call)(unsafe.Add(unsafe.Pointer(c), next*callSize))
	}
}

// rawCall makes a system call. The result is a negative errno if it fails.
//
//go:nosplit
func rawCall(number, a1, a2, a3, a4, a5, a6 uintptr) int64 {
	result, _, errno := syscall.RawSyscall6(number, a1, a2, a3, a4, a5, a6)
	if errno != 0 {
		return -int64(errno)
	}
	return int64(result)
}

// noteSignals notes which signals the caller ignores and blocks.
//
//go:nosplit
func noteSignals() {
	rawCall(unix.SYS_RT_SIGPROCMASK, 0, 0, uintptr(unsafe.Pointer(&entryBlocked)), 8, 0, 0)
	for n := uintptr(1); n < 64; n++ {
		var action [4]uintptr // the handler is first on every architecture
		failed := rawCall(unix.SYS_RT_SIGACTION, n, 0, uintptr(unsafe.Pointer(&action)), 8, 0, 0)
		if failed == 0 && action[0] == sigIgn {
			entryIgnored |= 1 << n
		}
	}
}

const sigIgn = 1
