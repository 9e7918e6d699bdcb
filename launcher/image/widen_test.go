package image

import (
	"fmt"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/settings"
)

// A task that is bound to one processor converts with those of its job, and is bound again
// afterwards. Without bounds it takes no more than the job was given.
func TestWiden(t *testing.T) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	if all.Count() < 2 {
		t.Skip("there is one processor")
	}
	first := 0
	for !all.IsSet(first) {
		first++
	}
	var one unix.CPUSet
	one.Set(first)
	t.Cleanup(func() { bind(&all) })
	processors := runtime.GOMAXPROCS(0)
	for _, tt := range []struct{ given, want int }{{all.Count(), all.Count()}, {1, 1}, {0, 1}} {
		bind(&one)
		h := settings.Host{Environ: []string{fmt.Sprint("SLURM_CPUS_ON_NODE=", tt.given)}}
		narrow := widen(h.Getenv)
		if got := bound(t); got != tt.want {
			t.Errorf("with %d processors for the job, the task has %d, want %d", tt.given, got, tt.want)
		}
		narrow()
		if got := bound(t); got != 1 {
			t.Errorf("afterwards the task has %d processors, want 1", got)
		}
		if got := runtime.GOMAXPROCS(0); got != processors {
			t.Errorf("afterwards Go uses %d processors, want %d", got, processors)
		}
	}
}

func bound(t *testing.T) int {
	t.Helper()
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		t.Fatal(err)
	}
	return set.Count()
}
