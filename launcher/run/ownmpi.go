package run

import (
	"os"
	"path"
	"slices"
	"strings"
)

// inOneStep has the mpirun of an image start its ranks where it runs. In a job it would have srun start a daemon on each node of the job, and an image has no
// srun. The first two are read by Open MPI up to 4, the next by the PRRTE of 5 and later, the last by MPICH's Hydra, which ends by a division by zero where
// a job has more nodes than the step.
var inOneStep = []string{ //nolint:gochecknoglobals // a constant list
	"OMPI_MCA_plm=isolated", "OMPI_MCA_ras=^slurm", "PRTE_MCA_plm=^slurm", "PRTE_MCA_ras=^slurm", "HYDRA_LAUNCHER=fork", "HYDRA_RMK=user",
}

// ownMPI tells whether the command may be an mpirun of the image that is to start its ranks here: the only task of a step on one node, or the script of a
// job of one node, without an srun. More nodes need one, and without it are better told so.
func (p *Plan) ownMPI(img image, searchPath string) bool {
	switch {
	case p.getenv("SLURM_JOB_ID") == "" || p.Client != nil || p.getenv("OMPI_COMM_WORLD_RANK") != "":
		return false
	case p.getenv("SLURM_STEP_NUM_TASKS") != "":
		if p.getenv("SLURM_STEP_NUM_TASKS") != "1" {
			return false
		}
	case p.getenv("SLURM_JOB_NUM_NODES") != "1":
		return false
	}
	return !slices.ContainsFunc(strings.Split(searchPath, ":"), func(dir string) bool { return p.brings(img, path.Join(dir, "srun")) })
}

// brings tells whether the container has something at an absolute path, from the image or by a bind.
func (p *Plan) brings(img image, file string) bool {
	for _, m := range p.Mounts {
		rest, below := strings.CutPrefix(file, strings.TrimSuffix(m.Target, "/"))
		if below && (rest == "" || rest[0] == '/') {
			if _, err := os.Stat(m.Source + rest); err == nil {
				return true
			}
		}
	}
	return img.has(file)
}
