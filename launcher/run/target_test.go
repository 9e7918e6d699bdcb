package run

import (
	"slices"
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	for text, want := range map[string]Target{
		"123":             {job: "123", pid: 123},
		"123.0":           {job: "123", step: "0"},
		"123_4":           {job: "123_4"},
		"123_4.2":         {job: "123_4", step: "2"},
		"123+1":           {job: "123+1"},
		"123+1.batch":     {job: "123+1", step: "batch"},
		"123.interactive": {job: "123", step: "interactive"},
		"pid:123":         {pid: 123},
		// A job's number can be larger than any process's.
		"99999999999999999999": {job: "99999999999999999999"},
	} {
		want.text = text
		if got, err := ParseTarget(text); got.job != want.job || got.step != want.step || got.text != text || err != nil || got.pid != want.pid {
			t.Errorf("ParseTarget(%q) = %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0x1", "-1", "1.", "1.x", "1_", "1+2_3", "1 2", "pid:", "pid:0", "pid:99999999999999999999", "1_[2-3]", "../1"} {
		if got, err := ParseTarget(text); err == nil {
			t.Errorf("ParseTarget(%q) = %+v, want an error", text, got)
		}
	}
}

func TestStepOf(t *testing.T) {
	const cgroup = "0::/system.slice/slurmstepd.scope/job_124/step_3/user/task_0\n"
	for _, tt := range []struct{ name, known, env, step, jobs string }{
		{"none", "0::/user.slice\n", "HOME=/", "", ""},
		{"of the environment", "", "SLURM_JOB_ID=7 SLURM_STEP_ID=1", "7.1", "7"},
		{"a batch script", "", "SLURM_JOB_ID=7", "7.batch", "7"},
		{"an interactive step", "", "SLURM_JOB_ID=7 SLURM_STEP_ID=4294967290", "7.interactive", "7"},
		{"the cgroup counts", cgroup, "SLURM_JOB_ID=7 SLURM_STEP_ID=1", "124.3", "124"},
		{"without an environment", cgroup, "", "124.3", "124"},
		{"slurmstepd's title", "0::/\nslurmstepd: [8.batch]\x00", "SLURM_JOB_ID=7 SLURM_STEP_ID=1", "8.batch", "8"},
		{"an array", "", "SLURM_JOB_ID=9 SLURM_STEP_ID=0 SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=4", "7_4.0", "9 7_4 7"},
		{"a component, as srun has it", "slurmstepd: [2.0]", "SLURM_JOB_ID=1 SLURM_STEP_ID=0 SLURM_JOB_ID_PACK_GROUP_0=1 SLURM_JOB_ID_PACK_GROUP_1=2", "1+1.0", "2 1+1 1"},
		{"a component", cgroup, "SLURM_JOB_ID=123 SLURM_JOB_ID_HET_GROUP_0=123 SLURM_JOB_ID_HET_GROUP_1=124", "123+1.3", "124 123+1 123"},
	} {
		got, is := stepOf(tt.known, strings.Fields(tt.env))
		if is != (tt.step != "") || is && (got.String() != tt.step || !slices.Equal(got.jobs, strings.Fields(tt.jobs))) {
			t.Errorf("%s: stepOf = %+v, %v, want %s of %s", tt.name, got, is, tt.step, tt.jobs)
		}
	}
}
