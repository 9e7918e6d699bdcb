package slurm

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// The nodes of a cluster are one machine in truth, with one name. MPI takes ranks on two of them
// for neighbours, whose memory and shared files it can get at, and ends or crashes since their
// containers are two. So it is told not to. MPICH goes by shared memory of another kind, for which
// it does not matter: over TCP its MPI_Finalize sometimes hangs, if one side takes a connection
// down and the other waits for PMI, as it does without containers.
const (
	openMPIApart = `export OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,tcp; `
	mpichApart   = `export UCX_TLS=sysv,self; `
)

// These go no other way than through one another's memory. MPICH does so without being told to.
const openMPIByMemory = `export OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,vader OMPI_MCA_btl_vader_single_copy_mechanism=cma; `

// ranksOn runs a command with two ranks on each node.
func ranksOn(nodes int, command string) string {
	return fmt.Sprintf("%s -N%d -n%d --ntasks-per-node=2 -w %s ", command, nodes, 2*nodes, strings.Join([]string{"n1", "n2"}[:nodes], ","))
}

const inContainer = `--container=oci:/lab/mpi --container-entrypoint=none `

// mpiRow is a program of MPI that is started.
type mpiRow struct {
	name    string
	program string // that the node must have; "" for none
	plugin  string // of Slurm, that must be there
	nodes   int
	apart   bool // each rank has a container of its own
	text    string
}

var mpiRows = []mpiRow{
	{name: "Open MPI by PMIx on a node", plugin: "pmix", nodes: 1, text: openMPIByMemory +
		ranksOn(1, "srun --mpi=pmix") + inContainer + `ranks-openmpi`},
	{name: "Open MPI by PMIx", plugin: "pmix", nodes: 2, text: openMPIApart + ranksOn(2, "srun --mpi=pmix") + inContainer + `ranks-openmpi`},
	{name: "MPICH by PMI2 on a node", plugin: "pmi2", nodes: 1, text: ranksOn(1, "srun --mpi=pmi2") + inContainer + `ranks-mpich`},
	{name: "MPICH by PMI2", plugin: "pmi2", nodes: 2, text: mpichApart + ranksOn(2, "srun --mpi=pmi2") + inContainer + `ranks-mpich`},
	// The node's mpirun is of the suite, 4.1, 5.0 or 6.0; it has srun start its daemon on each
	// node.
	{name: "the node's mpirun", program: "mpirun", nodes: 2, text: openMPIApart + `PATH=$PATH:/lab/bin ` + ranksOn(2, "salloc -Q") +
		`mpirun hpc3-run -q --container-entrypoint none oci:/lab/mpi ranks-openmpi`},
	// On two nodes it has srun start its daemon on each, and that is the image's: so the ranks are
	// in the job's image.
	{name: "the node's mpirun in a job with an image", program: "orted", nodes: 2, text: openMPIApart + ranksOn(2, "salloc -Q --container=oci:/lab/mpi") +
		`mpirun ranks-openmpi`},
	{name: "the image's own mpirun in one step", nodes: 1, text: `srun -N1 -n1 -w n1 ` + inContainer + `mpirun -n 2 ranks-openmpi`},
	{name: "the image's own mpirun in one step by PMIx", plugin: "pmix", nodes: 1, text: `srun --mpi=pmix -N1 -n1 -w n1 ` + inContainer + `mpirun -n 2 ranks-openmpi`},
	{name: "the node's Open MPI is elsewhere", plugin: "pmix", nodes: 1, text: `OPAL_PREFIX=/no/such ` +
		ranksOn(1, "srun --mpi=pmix") + inContainer + `ranks-openmpi`},
	{name: "Open MPI, a container for each rank", plugin: "pmix", nodes: 1, apart: true, text: ranksOn(1, "srun --mpi=pmix") +
		`--no-container-share ` + inContainer + `ranks-openmpi`},
	{name: "MPICH, a container for each rank", plugin: "pmi2", nodes: 1, apart: true, text: ranksOn(1, "srun --mpi=pmi2") +
		`--no-container-share ` + inContainer + `ranks-mpich`},
	{name: "Open MPI by PMIx through Apptainer", program: "apptainer", plugin: "pmix", nodes: 1, apart: true, text: `HPC3_ENGINE=apptainer ` +
		ranksOn(1, "srun --mpi=pmix") + inContainer + `ranks-openmpi`},
	{name: "Open MPI by PMIx through Apptainer on two nodes", program: "apptainer", plugin: "pmix", nodes: 2, apart: true, text: openMPIApart +
		`HPC3_ENGINE=apptainer ` + ranksOn(2, "srun --mpi=pmix") + inContainer + `ranks-openmpi`},
	{name: "Open MPI by PMIx through Apptainer in one container", program: "apptainer", plugin: "pmix", nodes: 1, text: openMPIByMemory +
		`HPC3_ENGINE=apptainer HPC3_CONTAINER_SHARE=1 ` + ranksOn(1, "srun --mpi=pmix") + inContainer + `ranks-openmpi`},
	{name: "MPICH through Apptainer", program: "apptainer", plugin: "pmi2", nodes: 1, apart: true, text: `HPC3_ENGINE=apptainer ` +
		ranksOn(1, "srun --mpi=pmi2") + inContainer + `ranks-mpich`},
	{name: "MPICH through Apptainer on two nodes", program: "apptainer", plugin: "pmi2", nodes: 2, apart: true, text: mpichApart +
		`HPC3_ENGINE=apptainer ` + ranksOn(2, "srun --mpi=pmi2") + inContainer + `ranks-mpich`},
	{name: "MPICH through Apptainer in one container", program: "apptainer", plugin: "pmi2", nodes: 1, text: `HPC3_ENGINE=apptainer HPC3_CONTAINER_SHARE=1 ` +
		ranksOn(1, "srun --mpi=pmi2") + inContainer + `ranks-mpich`},
}

// ranks runs programs of MPI on two nodes and on one.
func (c *cluster) ranks(t *testing.T) {
	if c.suite == "trixie" {
		c.borrowApptainer(t)
		t.Run("Apptainer has no squashfuse", func(t *testing.T) {
			got := c.run(t, `HPC3_ENGINE=apptainer srun -n2 --container=$IMAGE true`)
			if got.status != 0 || strings.Count(got.stderr, "unpacks the whole image") != 1 {
				t.Errorf("status %d, want a warning, once:\n%s", got.status, got.stderr)
			}
		})
	}
	c.ranksOf(t, mpiRows)
}

// borrowApptainer puts sid's Apptainer into a cluster, without squashfuse: no suite has both it and
// a Slurm with PMIx.
func (c *cluster) borrowApptainer(t *testing.T) {
	t.Helper()
	const files = "usr/bin/apptainer usr/lib/*/apptainer etc/apptainer var/lib/apptainer usr/bin/unsquashfs usr/lib/*/liblzo2.so.*"
	copying := exec.Command("bash", "-c", `set -o pipefail; cd "$1" && tar -c `+files+` | nsenter -t "$2" -m tar -C / -x`, "bash", lab.Script(t, "slurm-root", "sid"), c.pid)
	if out, err := copying.CombinedOutput(); err != nil {
		t.Fatalf("copying Apptainer: %v\n%s", err, out)
	}
}

// ranksWithoutPlugin are ranks that Slurm itself starts, by oci.conf, which knows no options
// besides --container. They are on one node: if a step has a container, two slurmds of one machine
// take their own PMIx for that of the other.
func (c *cluster) ranksWithoutPlugin(t *testing.T) {
	c.ranksOf(t, []mpiRow{
		{name: "Open MPI by PMIx", plugin: "pmix", nodes: 1, text: openMPIByMemory + ranksOn(1, "srun --mpi=pmix") +
			`--container=oci:/lab/mpi ranks-openmpi`},
		{name: "MPICH by PMI2", plugin: "pmi2", nodes: 1, text: ranksOn(1, "srun --mpi=pmi2") + `--container=oci:/lab/mpi ranks-mpich`},
	})
}

func (c *cluster) ranksOf(t *testing.T, rows []mpiRow) {
	lab.CopyTo(t, lab.Script(t, "mpi-image")+"/layout", filepath.Join(c.work, "mpi"))
	plugins := strings.Fields(c.run(t, "srun --mpi=list 2>&1").stdout)
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if row.plugin != "" && !slices.Contains(plugins, row.plugin) {
				t.Skipf("this suite's Slurm has no %s: %s", row.plugin, plugins)
			}
			if row.program != "" && c.run(t, "command -v "+row.program).status != 0 {
				t.Skipf("this suite's root has no %s", row.program)
			}
			c.world(t, row)
		})
	}
}

// world runs a program of MPI with two ranks on each of some nodes, and looks at what each of them
// found.
func (c *cluster) world(t *testing.T, row mpiRow) {
	t.Helper()
	nodes := row.nodes
	got := c.run(t, row.text)
	lines := strings.Split(strings.TrimSuffix(got.stdout, "\n"), "\n")
	slices.Sort(lines)
	n := 2 * nodes
	good := got.status == 0 && len(lines) == n
	spaces := map[string]string{} // of the containers, by node
	for rank := 0; rank < n && good; rank++ {
		node := fmt.Sprintf("n%d", 1+rank/2)
		var space string
		space, good = strings.CutPrefix(lines[rank], fmt.Sprintf("rank %d of %d on %s: sum %d, right %d user:", rank, n, node, n*(n+1)/2, n))
		if rank%2 == 0 {
			spaces[node] = space
		}
		good = good && (rank%2 == 0 || (spaces[node] == space) != row.apart)
	}
	if !good || nodes == 2 && spaces["n1"] == spaces["n2"] {
		t.Errorf("%d ranks on %d nodes ended with %d:\n%s\n%s", n, nodes, got.status, strings.Join(lines, "\n"), got.stderr)
	}
}
