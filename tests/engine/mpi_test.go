package engine

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// Two ranks that Open MPI's mpirun starts are in one container, where they read one another's
// memory (CMA). Open MPI is told to use nothing else, and ends if that cannot work: in containers
// of their own.
func TestMPI(t *testing.T) {
	lab.Needs(t, "native", os.Getuid() == 0, "the lab needs root")
	lab.Needs(t, "native", !testing.Short(), "the lab is not built by a short run")
	dir := lab.Script(t, "mpi-image")
	work := t.TempDir()
	if err := os.Chmod(work, 0o777); err != nil {
		t.Fatal(err)
	}
	mpirun := func(option string) (string, error) {
		out, err := exec.Command("../lab/enter", dir+"/root", "--user", "4242", "--bind", lab.Programs()+":/opt/hpc3/bin", "--bind", dir+"/layout:/layout",
			"--bind", work+":/lab", "--", "env", "-i", "PATH=/opt/hpc3/bin:/usr/bin:/bin", "HOME=/lab", "HPC3_ENGINE=native", "OMPI_MCA_pml=ob1",
			"OMPI_MCA_btl=self,vader", "OMPI_MCA_btl_vader_single_copy_mechanism=cma", "OMPI_MCA_rmaps_base_oversubscribe=1", "OMPI_MCA_plm_rsh_agent=",
			"mpirun", "-np", "2", "sh", "-c", `sleep $OMPI_COMM_WORLD_RANK; exec "$@"`, "sh", "hpc3-run", "-q", option, "--container-entrypoint", "none", "oci:/layout", "ranks-openmpi").CombinedOutput()
		return string(out), err
	}
	out, err := mpirun("--container-share")
	where := map[string]int{}
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "rank" {
			where[f[len(f)-1]]++
		}
	}
	if err != nil || len(where) != 1 || !strings.Contains(out, "rank 0 of 2") || !strings.Contains(out, "rank 1 of 2") {
		t.Errorf("two ranks ended with %v, in %v, want one user namespace\n%s", err, where, out)
	}
	if out, err := mpirun("--no-container-share"); err == nil || !strings.Contains(out, "vader BTL is aborting") {
		t.Errorf("two ranks in two containers ended with %v, want Open MPI to find that CMA does not work\n%s", err, out)
	}
}
