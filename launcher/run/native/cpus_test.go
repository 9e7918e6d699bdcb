package native

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/run/inside"
)

func cpus(numbers ...int) *unix.CPUSet {
	var set unix.CPUSet
	for _, n := range numbers {
		set.Set(n)
	}
	return &set
}

func TestServerCPUs(t *testing.T) {
	for _, tt := range []struct {
		name          string
		env           []string
		own           *unix.CPUSet
		every, parent *unix.CPUSet
		want          *unix.CPUSet
	}{
		{"no job", nil, cpus(1), cpus(0, 1, 2, 3), cpus(0, 1, 2, 3), nil},
		{"Slurm, a cgroup", []string{"SLURM_CPUS_ON_NODE=2"}, cpus(1), cpus(0, 1), cpus(0, 1, 2, 3), cpus(0, 1)},
		{"Slurm, not bound", []string{"SLURM_CPUS_ON_NODE=2"}, cpus(0, 1), cpus(0, 1, 2, 3), nil, nil},
		{"Slurm, no cgroup", []string{"SLURM_CPUS_ON_NODE=2"}, cpus(1), cpus(0, 1, 2, 3), cpus(0, 1, 2, 3), nil},
		{"Slurm, no cgroup, masks", []string{"SLURM_CPUS_ON_NODE=2", "SLURM_CPU_BIND_TYPE=mask_cpu:", "SLURM_CPU_BIND_LIST=0x2,0x8"}, cpus(1), cpus(0, 1, 2, 3), nil, cpus(1, 3)},
		{"Slurm, no cgroup, a map", []string{"SLURM_CPUS_ON_NODE=2", "SLURM_CPU_BIND_TYPE=map_cpu:", "SLURM_CPU_BIND_LIST=2,0x1"}, cpus(1), cpus(0, 1, 2, 3), nil, cpus(1, 2)},
		{"masks of another node", []string{"SLURM_CPUS_ON_NODE=2", "SLURM_CPU_BIND_TYPE=mask_cpu:", "SLURM_CPU_BIND_LIST=0x4,0x8"}, cpus(1), cpus(0, 1, 2, 3), nil, nil},
		{"masks beyond the job", []string{"SLURM_CPUS_ON_NODE=2", "SLURM_CPU_BIND_TYPE=mask_cpu:", "SLURM_CPU_BIND_LIST=0xff"}, cpus(1), cpus(0, 1, 2, 3), nil, nil},
		{"no masks", []string{"SLURM_CPUS_ON_NODE=2", "SLURM_CPU_BIND_TYPE=mask_cpu:", "SLURM_CPU_BIND_LIST=zz"}, cpus(1), cpus(0, 1, 2, 3), nil, nil},
		{"ranks by threads", []string{"SLURM_CPUS_ON_NODE=2", "SLURM_CPU_BIND_TYPE=ldoms", "SLURM_CPU_BIND_LIST="}, cpus(1), cpus(0, 1, 2, 3), nil, nil},
		{"mpirun", []string{"PMIX_NAMESPACE=1"}, cpus(1), cpus(0, 1, 2, 3), cpus(0, 1), cpus(0, 1)},
		{"mpirun, a parent that is bound otherwise", []string{"PMIX_NAMESPACE=1"}, cpus(1), cpus(0, 1, 2, 3), cpus(0), nil},
		{"mpirun in a job without cgroups", []string{"SLURM_CPUS_ON_NODE=2", "PMIX_NAMESPACE=1"}, cpus(1), cpus(0, 1, 2, 3), cpus(0, 1), cpus(0, 1)},
		{"Slurm's PMIx without cgroups", []string{"SLURM_CPUS_ON_NODE=2", "PMIX_NAMESPACE=1"}, cpus(1), cpus(0, 1, 2, 3), cpus(0, 1, 2, 3), nil},
		{"mpirun, no parent", []string{"PMIX_NAMESPACE=1"}, cpus(1), cpus(0, 1, 2, 3), nil, nil},
	} {
		getenv := func(name string) string { return inside.Lookup(tt.env, name) }
		got := serverCPUs(getenv, *tt.own, func() *unix.CPUSet { return tt.every }, func() *unix.CPUSet { return tt.parent })
		if (got == nil) != (tt.want == nil) || got != nil && *got != *tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
