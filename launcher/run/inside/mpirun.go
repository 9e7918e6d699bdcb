package inside

import (
	"os"
	"path"
	"slices"
	"strings"
)

// inOneStep makes the mpirun of an image start its ranks in its own step. In a job it would
// otherwise call srun to start a daemon on each node, and an image has no srun. Open MPI up to 4
// reads the first two, PRRTE (Open MPI 5 and later) the next two. MPICH's Hydra reads the last two;
// without them it divides by zero if the job has more nodes than the step.
var inOneStep = []string{ //nolint:gochecknoglobals // a constant list
	"OMPI_MCA_plm=isolated", "OMPI_MCA_ras=^slurm", "PRTE_MCA_plm=^slurm", "PRTE_MCA_ras=^slurm",
	"HYDRA_LAUNCHER=fork", "HYDRA_RMK=user",
}

// imageMPI tells whether the command may be an mpirun of the image that has to start its ranks
// here: in the only task of a step on one node, or in the script of a job of one node, if the
// container has no srun. An mpirun for several nodes needs srun, and its error says so.
func (v *View) imageMPI(img Files, searchPath string) bool {
	switch {
	case v.Getenv("SLURM_JOB_ID") == "" || v.Client != nil ||
		v.Getenv("OMPI_COMM_WORLD_RANK") != "":
		return false
	case v.Getenv("SLURM_STEP_NUM_TASKS") != "":
		if v.Getenv("SLURM_STEP_NUM_TASKS") != "1" {
			return false
		}
	case v.Getenv("SLURM_JOB_NUM_NODES") != "1":
		return false
	}
	return !slices.ContainsFunc(strings.Split(searchPath, ":"),
		func(dir string) bool { return v.hasFile(img, path.Join(dir, "srun")) })
}

// hasFile tells whether the image or a bind has a file at this absolute path.
func (v *View) hasFile(img Files, file string) bool {
	for _, m := range v.Mounts {
		rest, below := strings.CutPrefix(file, strings.TrimSuffix(m.Target, "/"))
		if below && (rest == "" || rest[0] == '/') {
			if _, err := os.Stat(m.Source + rest); err == nil {
				return true
			}
		}
	}
	return img.Has(file)
}
