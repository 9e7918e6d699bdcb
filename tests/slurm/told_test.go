package slurm

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// told runs a step of several tasks and nodes with -v: what all of them share is said once.
func (c *cluster) told(t *testing.T) {
	got := c.run(t, `export HPC3_VERBOSE=1; srun -N2 -n6 --container=$IMAGE true`)
	for _, stage := range lab.Stages() {
		if !strings.Contains(got.stderr, stage) {
			t.Errorf("the step did not tell %q", stage)
		}
	}
	lines := strings.Split(strings.TrimSpace(got.stderr), "\n")
	slices.Sort(lines)
	if unique := slices.Compact(slices.Clone(lines)); got.status != 0 || len(unique) != len(lines) || !strings.Contains(got.stderr, "hpc3-run: n") {
		t.Errorf("status %d; six tasks on two nodes told\n%s", got.status, got.stderr)
	}
}

// usage reads what the site is told of a step, and that its tasks on a node are told of once.
func (c *cluster) usage(t *testing.T) {
	log := lab.SyslogAt(t, filepath.Join(c.work, "syslog"))
	if said := c.root("ln -s /lab/syslog /dev/log"); said != "" {
		t.Fatal(said)
	}
	got := c.run(t, `export HPC3_CONFIG=/lab/usage.toml; salloc -Q -N2 -n5 -w n1,n2 sh -c 'srun true; srun --container=$IMAGE sh -c "echo \$SLURM_JOB_ID \$HPC3_IMAGE_REF"' | sort -u`)
	job, image, _ := strings.Cut(strings.TrimSpace(got.stdout), " ")
	want := `{"engine":"native","image":"` + image + `","job":"` + job + `","schemaVersion":1,"step":"1","uid":4242,"variant":"linux/amd64"}`
	told := lab.SyslogRecords(t, log)
	if got.status != 0 || len(told) != 2 {
		t.Errorf("of two nodes the site was told %v; status %d\n%s", told, got.status, got.stderr)
	}
	for _, record := range told {
		if some := lab.Fields(record, "engine", "image", "job", "schemaVersion", "step", "uid", "variant"); some != want {
			t.Errorf("the site was told %s, want %s", some, want)
		}
	}
}
