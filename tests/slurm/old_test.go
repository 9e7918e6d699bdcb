package slurm

import (
	"os"
	"testing"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// oldRows are for a Slurm that has no --container: the plugin registers it.
var oldRows = []slurmRow{
	{name: "help", text: `for p in srun sbatch salloc; do $p --help | sed -n '/provided by plugins/,$p' | grep -oE -e '--(container|hpc3-image)=IMAGE' | xargs; done`, stdout: "(--hpc3-image=IMAGE --container=IMAGE\n?){3}"},
	{name: "a step under an image and a step without", text: `srun --container=$IMAGE hello; srun hello 2>/dev/null || echo host`, stdout: "hello from /opt/app\nhost"},
	{name: "--hpc3-image wins, wherever it stands", text: `srun --hpc3-image=$IMAGE --container=no/such:image hello`, stdout: "hello from /opt/app"},
	{name: "SALLOC_CONTAINER", text: `SALLOC_CONTAINER=$IMAGE salloc -Q -n1 srun hello`, stdout: "hello from /opt/app"},
	{name: "SBATCH_CONTAINER is not for srun", text: `SBATCH_CONTAINER=$IMAGE SALLOC_CONTAINER=$IMAGE srun hello 2>/dev/null || echo host`, stdout: "host"},
	{name: "SBATCH_CONTAINER wins over #SBATCH", text: job + `export SBATCH_CONTAINER=$IMAGE; printf '#!/bin/bash\n#SBATCH --container=no/such:image\nsrun hello\n' | job`, stdout: "hello from /opt/app\nstate JobState=COMPLETED ExitCode=0:0 "},
	{name: "the command line wins over SBATCH_CONTAINER", text: job + `export SBATCH_CONTAINER=no/such:image; printf '#!/bin/bash\nsrun hello\n' | job --container=$IMAGE`, stdout: "hello from /opt/app\nstate JobState=COMPLETED ExitCode=0:0 "},
	{name: "SBATCH_CONTAINER is empty", text: `SBATCH_CONTAINER= sbatch --wrap=hello`, status: 1, stderr: refusal("sbatch", "--container needs an image, .*")},
	{name: "--container is empty", text: `srun --container= hello`, status: 1, stderr: refusal("srun", "--container needs an image, .*")},
	{name: "refused before an allocation", text: `last() { scontrol show jobs -o | wc -l; }; before=$(last); srun --container=Not/A/Name hello; srun --container=$IMAGE --container-mounts=a:b:c:d hello; [ "$(last)" = "$before" ] && echo none`, stdout: "none", stderr: "(?s)Not/A/Name.*a:b:c:d"},
	{name: "--multi-prog for a component", text: `printf '0 hello\n' >multi; srun -n1 -w n1 --container=$IMAGE hello : -n1 -w n2 --multi-prog --container=$IMAGE multi`, status: 1, stderr: refusal("srun", "--multi-prog: components with a container need Slurm 23.11 or later", "hint: start them as separate steps")},
	{name: "a node without the plugin, and --export=NONE", text: `srun -w n3 --export=NONE --container=$IMAGE sh -c 'echo "$0" $SLURMD_NODENAME; hello' 'a b'`, stdout: "a b n3\nhello from /opt/app"},
	{name: "a batch job with a node without the plugin", text: job + `printf '#!/bin/bash\nsrun hello\n' | job -N2 -w n1,n3 --container=$IMAGE`, stdout: "hello from /opt/app\nhello from /opt/app\nstate JobState=COMPLETED ExitCode=0:0 "},
	{name: "the status of the task that fails", text: `srun -n2 -N2 -w n1,n2 --container=$IMAGE sh -c 'exit $((SLURM_PROCID * 3))'`, status: 3, stderr: "n2: task 1: Exited with exit code 3"},
	{name: "a batch job whose command is not there", text: job + `printf '#!/bin/bash\nsrun nosuch\n' | job --container=$IMAGE`, stdout: "(?s).*hpc3-run: error\\[exec\\].*state JobState=FAILED ExitCode=127:0 "},
	{name: "a batch job whose command is no program", text: job + `printf '#!/bin/bash\nsrun /etc/passwd\n' | job --container=$IMAGE`, stdout: "(?s).*state JobState=FAILED ExitCode=126:0 "},
	{name: "a batch job whose registry does not answer", text: job + `printf '#!/bin/bash\nsrun hello\n' | job --container=127.0.0.1:9/a/b:1`, stdout: "(?s).*state JobState=FAILED ExitCode=125:0 ", stderr: "the job is submitted all the same"},
}

// TestSlurmOld is TestSlurm on a Slurm before 21.08, and what is particular there.
func TestSlurmOld(t *testing.T) {
	lab.Needs(t, "slurm", os.Getuid() == 0, "the lab needs root")
	lab.Needs(t, "slurm", !testing.Short(), "the lab is not built by a short run")
	t.Parallel() // it waits more than it works
	c := newCluster(t, lab.OldSuite, "", nil)
	c.rows(t, append(append(oldRows, submitRows...), slurmRows...))
	t.Run("replaced", c.replaced)
	t.Run("beside pyxis", c.besidePyxis)
	t.Run("ranks", c.ranks)
	t.Run("lives", c.lives)
}
