package launcher

import (
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/run"
)

// widen lets this process use all processors that its job was given on this node, where Slurm has bound the task to some of them: the others wait
// for the image as well. It does nothing where that cannot be told, as without cgroups. narrow gives them back.
func (h Host) widen() (narrow func()) {
	given, err := strconv.Atoi(h.Getenv("SLURM_CPUS_ON_NODE"))
	var own unix.CPUSet
	if err != nil || unix.SchedGetaffinity(0, &own) != nil || own.Count() >= given {
		return func() {}
	}
	all := run.UnboundCPUs()
	if all == nil || all.Count() <= own.Count() || all.Count() > given {
		return func() {}
	}
	bind(all)
	before := runtime.GOMAXPROCS(max(all.Count(), runtime.GOMAXPROCS(0)))
	return func() {
		runtime.GOMAXPROCS(before)
		bind(&own)
	}
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
