package serve

import (
	"math"
	"os"
	"testing"
	"time"
)

// The lowest limit of a cgroup and of those above it counts, in both versions.
func TestMemoryLimit(t *testing.T) {
	files := map[string]string{
		"/sys/fs/cgroup/memory.max": "max\n", "/sys/fs/cgroup/slurm/memory.max": "max\n", "/sys/fs/cgroup/slurm/job_1/memory.max": "104857600\n",
		"/sys/fs/cgroup/slurm/job_1/step_0/memory.max": "209715200\n", "/sys/fs/cgroup/memory/slurm/memory.limit_in_bytes": "62914560\n",
		"/sys/fs/cgroup/memory/slurm/job_1/memory.limit_in_bytes": "9223372036854771712\n", "/sys/fs/cgroup/odd/memory.max": "much\n",
	}
	read := func(file string) ([]byte, error) {
		text, ok := files[file]
		if !ok {
			return nil, os.ErrNotExist
		}
		return []byte(text), nil
	}
	for _, tt := range []struct {
		cgroup string
		want   int64
	}{
		{"0::/slurm/job_1/step_0/user/task_0\n", 100 << 20},
		{"0::/slurm\n", math.MaxInt64},
		{"0::/\n", math.MaxInt64},
		{"0::/odd\n", math.MaxInt64},
		{"12:cpuset:/slurm/job_1\n4:memory:/slurm/job_1\n0::/slurm/job_1\n", 60 << 20},
		{"4:cpu,memory:/slurm\n", 60 << 20},
		{"", math.MaxInt64},
		{"nonsense", math.MaxInt64},
	} {
		if got := memoryLimitOf(tt.cgroup, read); got != tt.want {
			t.Errorf("%q: %d, want %d", tt.cgroup, got, tt.want)
		}
	}
	if memoryFor(60<<20) != tight || memoryFor(4<<30) != roomy || memoryFor(math.MaxInt64) != roomy {
		t.Error("a small limit is not heeded")
	}
}

// After each idle time memory is given back once, whatever happens meanwhile.
func TestFrugal(t *testing.T) {
	forgot := make(chan struct{})
	f := &frugal{after: time.Millisecond, forget: func() { forgot <- struct{}{} }}
	for range 3 {
		for range 1000 {
			f.use()
		}
		select {
		case <-forgot:
		case <-time.After(time.Minute):
			t.Fatal("nothing is given back")
		}
	}
	select {
	case <-forgot:
		t.Error("it is given back without having been used")
	case <-time.After(50 * time.Millisecond):
	}
}
