package native

import (
	"math/big"
	"math/bits"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/run/inside"
	"github.com/hpc3-project/hpc3/launcher/run/process"
)

// The file server serves all tasks of a step on its node, and the first task starts it. If that
// task is bound to some of the job's processors, as Slurm and launchers of MPI bind ranks, the
// server would run only on those, where that rank computes.

// serverCPUs returns the processors for the server; nil for those of this process. every returns
// all that the kernel would give to it: with Slurm's cgroup, those of the job. parent returns those
// of the parent process, which for a rank is the daemon that has bound it.
func serverCPUs(
	getenv func(string) string, own unix.CPUSet, every, parent func() *unix.CPUSet,
) *unix.CPUSet {
	var sources []func() *unix.CPUSet
	given, err := strconv.Atoi(getenv("SLURM_CPUS_ON_NODE"))
	switch {
	case err != nil:
		given = len(own) * bits.UintSize
	case own.Count() >= given:
		return nil
	default:
		sources = append(sources, every, func() *unix.CPUSet {
			return boundTo(getenv("SLURM_CPU_BIND_TYPE"), getenv("SLURM_CPU_BIND_LIST"))
		})
	}
	if inside.MPIJob(getenv) != "" {
		sources = append(sources, parent)
	}
	for _, set := range sources {
		if all := set(); holds(all, own) && all.Count() <= given {
			return all
		}
	}
	return nil
}

// holds tells whether a set exists and contains another.
func holds(all *unix.CPUSet, part unix.CPUSet) bool {
	if all == nil {
		return false
	}
	for i, word := range part {
		if word&^all[i] != 0 {
			return false
		}
	}
	return true
}

// boundTo returns the processors to which Slurm binds the tasks of a step on this node; nil if it
// does not say.
func boundTo(kind, list string) *unix.CPUSet {
	var set unix.CPUSet
	for word := range strings.SplitSeq(list, ",") {
		switch strings.TrimSuffix(kind, ":") {
		case "mask_cpu":
			mask, ok := new(big.Int).SetString(strings.TrimPrefix(word, "0x"), 16)
			if !ok {
				return nil
			}
			for n := range mask.BitLen() {
				if mask.Bit(n) != 0 {
					set.Set(n)
				}
			}
		case "map_cpu":
			n, err := strconv.ParseUint(word, 0, 16)
			if err != nil {
				return nil
			}
			set.Set(int(n))
		default:
			return nil
		}
	}
	return &set
}

// onCPUs calls start so that what it starts runs on the processors of the job. n is their number.
func onCPUs(getenv func(string) string, start func(n int) error) error {
	var own unix.CPUSet
	if getenv("SLURM_CPUS_ON_NODE") == "" && inside.MPIJob(getenv) == "" ||
		unix.SchedGetaffinity(0, &own) != nil {
		return start(runtime.NumCPU())
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this function
		n := runtime.NumCPU()
		if set := serverCPUs(getenv, own, process.UnboundCPUs, parentCPUs); set != nil &&
			unix.SchedSetaffinity(0, set) == nil {
			n = set.Count()
		}
		done <- start(n)
	}()
	return <-done
}

func parentCPUs() *unix.CPUSet {
	var set unix.CPUSet
	if unix.SchedGetaffinity(os.Getppid(), &set) != nil {
		return nil
	}
	return &set
}
