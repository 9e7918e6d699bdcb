package upkeep

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// nobody is a user of whom the node has nothing; the kernel's overflow uid and gid.
const nobody = 65534

// asNobody calls a function as a user without rights, of one group, if the caller is root: an
// access is then the kernel's answer, to modes, lists and whatever else decides. A thread has the
// identity, and ends with it. ok is false if there is none to be had.
func asNobody(gid int, look func()) (ok bool) {
	if os.Geteuid() != 0 {
		return false
	}
	done := make(chan bool)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		ok := become(gid)
		if ok {
			look()
		}
		done <- ok
	}()
	return <-done
}

// become gives up what this thread is. Go's own functions would do it to all threads.
func become(gid int) bool {
	if _, _, failed := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0); failed != 0 {
		return false
	}
	id := uintptr(gid)
	if _, _, failed := unix.RawSyscall(unix.SYS_SETRESGID, id, id, id); failed != 0 {
		return false
	}
	_, _, failed := unix.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody)
	return failed == 0
}
