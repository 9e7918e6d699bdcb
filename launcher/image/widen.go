package image

import (
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/run/process"
)

// widen lets this process use all processors that its job was given on this node, if Slurm has
// bound the task to some of them: the other tasks wait for the image as well. It does nothing if
// that cannot be told, as without cgroups. narrow gives them back.
func widen(getenv func(string) string) (narrow func()) {
	given, err := strconv.Atoi(getenv("SLURM_CPUS_ON_NODE"))
	var bound unix.CPUSet
	if err != nil || unix.SchedGetaffinity(0, &bound) != nil || bound.Count() >= given {
		return func() {}
	}
	all := process.UnboundCPUs()
	if all == nil || all.Count() <= bound.Count() || all.Count() > given {
		return func() {}
	}
	bind(all)
	before := runtime.GOMAXPROCS(max(all.Count(), runtime.GOMAXPROCS(0)))
	return func() {
		runtime.GOMAXPROCS(before)
		bind(&bound)
	}
}

// bind binds every thread of this process. A later one is bound as the thread that makes it.
func bind(set *unix.CPUSet) {
	threads, _ := os.ReadDir("/proc/self/task") // without /proc nothing is bound
	for _, t := range threads {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			_ = unix.SchedSetaffinity(id, set) // a thread may have ended
		}
	}
}
