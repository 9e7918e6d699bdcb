package process

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// UnboundCPUs returns the processors that this process could use; nil if that cannot be determined.
// It binds a thread, which then ends, to all processors: the kernel removes those outside of the
// cgroup.
func UnboundCPUs() *unix.CPUSet {
	found := make(chan *unix.CPUSet)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is not used again
		var every, left unix.CPUSet
		every.Fill()
		if unix.SchedSetaffinity(0, &every) != nil || unix.SchedGetaffinity(0, &left) != nil {
			found <- nil
			return
		}
		found <- &left
	}()
	return <-found
}
