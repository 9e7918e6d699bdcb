package launcher

import (
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// widen lets this process use all processors that its job was given on this node, where Slurm has bound the task to some of them: the others wait
// for the image as well. It does nothing where that cannot be told, as without cgroups. narrow gives them back.
func (h Host) widen() (narrow func()) {
	given, err := strconv.Atoi(h.Getenv("SLURM_CPUS_ON_NODE"))
	var own unix.CPUSet
	if err != nil || unix.SchedGetaffinity(0, &own) != nil || own.Count() >= given {
		return func() {}
	}
	all, ok := unbound()
	if !ok || all.Count() <= own.Count() || all.Count() > given {
		return func() {}
	}
	bind(&all)
	before := runtime.GOMAXPROCS(max(all.Count(), runtime.GOMAXPROCS(0)))
	return func() {
		runtime.GOMAXPROCS(before)
		bind(&own)
	}
}

// unbound returns the processors that the process could have: the kernel takes those out that its cgroup has not. A thread is bound to find
// that out, and ends with it.
func unbound() (unix.CPUSet, bool) {
	found := make(chan *unix.CPUSet)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread is not used again
		var every, left unix.CPUSet
		every.Fill()
		if unix.SchedSetaffinity(0, &every) != nil || unix.SchedGetaffinity(0, &left) != nil {
			found <- nil
			return
		}
		found <- &left
	}()
	set := <-found
	if set == nil {
		return unix.CPUSet{}, false
	}
	return *set, true
}

// bind binds every thread of this process. Those that come later take after the one that makes them.
func bind(set *unix.CPUSet) {
	threads, _ := os.ReadDir("/proc/self/task") // without /proc nothing is bound
	for _, t := range threads {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			_ = unix.SchedSetaffinity(id, set) // a thread may have ended
		}
	}
}
