package inside

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/device"
	"github.com/hpc3-project/hpc3/launcher/option"
)

// An mpirun of the image is told to start its ranks where it runs if it could do nothing else.
func TestOwnMPI(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "srun"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	const step = "SLURM_JOB_ID=1 SLURM_STEP_NUM_TASKS=1 "
	for _, tt := range []struct {
		name  string
		env   string
		place Place
		want  bool
	}{
		{"a step of one task", step, Place{}, true},
		{"a step of one task in a job of two nodes", step + "SLURM_JOB_NUM_NODES=2", Place{}, true},
		{"a step of two tasks", "SLURM_JOB_ID=1 SLURM_STEP_NUM_TASKS=2", Place{}, false},
		{"no job", "SLURM_STEP_NUM_TASKS=1", Place{}, false},
		{"the script of a job on one node", "SLURM_JOB_ID=1 SLURM_JOB_NUM_NODES=1", Place{}, true},
		{"the script of a job on two nodes", "SLURM_JOB_ID=1 SLURM_JOB_NUM_NODES=2", Place{}, false},
		{"a rank of an mpirun", step + "OMPI_COMM_WORLD_RANK=0", Place{}, false},
		{"Slurm's client is brought", step, Place{Client: &device.Client{}}, false},
		{"srun is bound", step, Place{Mounts: []option.Mount{{Source: filepath.Join(dir, "srun"), Target: "/usr/bin/srun"}}}, false},
		{"a directory with srun is bound", step, Place{Mounts: []option.Mount{{Source: dir, Target: "/usr/bin/"}}}, false},
		{"a directory without is bound", step, Place{Mounts: []option.Mount{{Source: t.TempDir(), Target: "/usr/bin"}}}, true},
		{"srun is bound out of the way", step, Place{Mounts: []option.Mount{{Source: filepath.Join(dir, "srun"), Target: "/usr/bin/srun.old"}}}, true},
	} {
		tt.place.HostEnv = strings.Fields(tt.env)
		if got := (&View{Place: tt.place}).imageMPI(Files{}, "/usr/local/bin:/usr/bin"); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}

// A value that the user has set is kept.
func TestOwnMPIVariables(t *testing.T) {
	v := View{Place: Place{HostEnv: []string{"SLURM_JOB_ID=1", "SLURM_STEP_NUM_TASKS=1", "OMPI_MCA_plm=rsh"}}}
	env := v.Environment(v.Callers(Files{}), "u", "/home/u", Files{})
	for name, want := range map[string]string{"OMPI_MCA_plm": "rsh", "OMPI_MCA_ras": "^slurm", "PRTE_MCA_plm": "^slurm", "PRTE_MCA_ras": "^slurm", "HYDRA_LAUNCHER": "fork", "HYDRA_RMK": "user"} {
		if got := env.Values[name]; got != want {
			t.Errorf("%s=%s, want %s", name, got, want)
		}
	}
}
