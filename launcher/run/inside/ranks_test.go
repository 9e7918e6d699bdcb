package inside

import (
	"strings"
	"testing"
)

// TestRanksOnOneNode: ranks with a container each use no TCP only if no rank can be on another
// node.
func TestRanksOnOneNode(t *testing.T) {
	const step, interactive = "SLURM_STEP_NUM_NODES=1 SLURM_STEP_NUM_TASKS=4", "SLURM_STEP_NUM_NODES=1 SLURM_STEP_NUM_TASKS=1"
	for _, c := range []struct {
		name, env string
		one       bool
	}{
		{"nothing known", "PMIX_NAMESPACE=a.1", false},
		{"a step on a node", step + " PMI_SIZE=4", true},
		{"a step on two nodes", "SLURM_STEP_NUM_NODES=2 SLURM_STEP_NUM_TASKS=4", false},
		{"a job on a node, its step not known", "SLURM_JOB_NUM_NODES=1 PMI_SIZE=4", false},
		{"Hydra on a node", "PMI_SIZE=4 MPI_LOCALNRANKS=4", true},
		{"Hydra on two nodes", "PMI_SIZE=4 MPI_LOCALNRANKS=2", false},
		{"Hydra on two nodes from a step", step + " PMI_SIZE=4 MPI_LOCALNRANKS=2", false},
		{"Open MPI on a node", interactive + " OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_LOCAL_SIZE=4", true},
		{"Open MPI on two nodes from an interactive step", interactive + " OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_LOCAL_SIZE=2", false},
		{"a launcher of MPI that says nothing, from an interactive step", interactive + " PMIX_NAMESPACE=a.1", false},
	} {
		env := strings.Fields(c.env)
		want := "UCX_TLS=^posix,cma"
		if c.one {
			want += ",tcp"
		}
		if got := apartEnv(func(name string) string { return Lookup(env, name) }); got[0] != want {
			t.Errorf("%s: %s, not %s", c.name, got[0], want)
		}
	}
}
