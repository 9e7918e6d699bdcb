package task_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/task"
)

// environment is a job's.
type environment map[string]string

func (e environment) get(name string) string { return e[name] }

// set adds NAME=VALUE.
func (e environment) set(variable string) {
	name, value, _ := strings.Cut(variable, "=")
	e[name] = value
}

func TestFind(t *testing.T) {
	options := []task.Option{{"container-mounts", "/a:/b"}, {"container-env", "A=x\ny \"z\""}}
	variable, err := task.OptionsVariable(options)
	if err != nil {
		t.Fatal(err)
	}
	digest := "sha256:" + strings.Repeat("0", 64)
	for _, tt := range []struct {
		name, image, command, pinned string
		shim                         string
		args                         []string
		want                         task.Task
		is                           bool
	}{
		{name: "srun put it there", image: "a/b:1", command: "=gmx", pinned: "a/b:1", args: []string{"hpc3-run", "mdrun"}, want: task.Task{Plugin: true, Image: "a/b:1", Command: []string{"gmx", "mdrun"}, Options: options, Digest: digest}, is: true},
		{name: "the node put it there", image: "a/b:1", command: "+", pinned: "a/b:2", args: []string{"hpc3-run", "gmx", "mdrun"}, want: task.Task{Plugin: true, Image: "a/b:1", Command: []string{"gmx", "mdrun"}, Options: options}, is: true},
		{name: "a command of no letters", image: "a/b:1", command: "=", args: []string{"hpc3-run"}, want: task.Task{Plugin: true, Image: "a/b:1", Command: []string{""}, Options: options}, is: true},
		{name: "typed by a user in a job with an image", image: "a/b:1", args: []string{"hpc3-run", "c/d"}},
		{name: "no image", command: "=gmx", args: []string{"hpc3-run"}},
		{name: "a module's shim, in a task's prolog", image: "a/b:1", command: "=gmx", shim: "c/1", args: []string{"hpc3-run", "c/d:1", "mdrun"}},
		{name: "a module's shim, in a step without a container", image: task.NoImage, shim: "c/1", args: []string{"hpc3-run", "c/d:1", "mdrun"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := environment{task.Image: tt.image, "SLURM_HPC3_TASK": tt.command, "HPC3_SHIM": tt.shim}
			env.set(variable)
			env.set(task.DigestVariable(tt.pinned, digest))
			got, is, err := task.Find(env.get, tt.args)
			if err != nil || is != tt.is {
				t.Errorf("Find = %v, %v, want %v", is, err, tt.is)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Find differs (-want +got):\n%s", diff)
			}
		})
	}
	for _, tt := range []struct {
		name string
		env  environment
		want []string
		file bool
	}{
		{"a file that Slurm has copied", environment{"SLURM_HPC3_TASK": "=/tmp/prog", "SLURM_HPC3_BCAST": "1"}, []string{"/tmp/prog", "-v"}, true},
		{"a file that Slurm has named itself", environment{"SLURM_HPC3_TASK": "=/tmp/", "SLURM_HPC3_BCAST": "1", "SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURMD_NODENAME": "n1"}, []string{"/tmp/slurm_bcast_7.0_n1", "-v"}, true},
		{"a directory", environment{"SLURM_HPC3_TASK": "=/tmp/"}, []string{"/tmp/", "-v"}, false},
		{"the node has put hpc3-run there", environment{"SLURM_HPC3_TASK": "+", "SLURM_HPC3_BCAST": "1"}, []string{"-v"}, false},
	} {
		tt.env[task.Image] = "a/b:1"
		got, _, err := task.Find(tt.env.get, []string{"hpc3-run", "-v"})
		if diff := cmp.Diff(tt.want, got.Command); err != nil || diff != "" || got.Copied != tt.file {
			t.Errorf("Find of %s: %v, copied: %t, (-want +got):\n%s", tt.name, err, got.Copied, diff)
		}
	}
	for _, step := range []string{"4294967290", "-6", "0"} {
		env := environment{task.Image: "a/b:1", "SLURM_HPC3_TASK": "=/bin/zsh", "SHELL": "/bin/zsh", "SLURM_STEP_ID": step}
		if got, _, err := task.Find(env.get, []string{"hpc3-run"}); err != nil || (got.Command == nil) != (step != "0") {
			t.Errorf("Find of a shell in step %s = %q, %v", step, got.Command, err)
		}
	}
	if _, is, err := task.Find(environment{task.Image: "a", "SLURM_HPC3_TASK": "+", "SLURM_HPC3_OPTIONS": "[["}.get, nil); !is || err == nil || !strings.Contains(err.Error(), "SLURM_HPC3_OPTIONS") {
		t.Errorf("Find of damaged options = %v, %v, want an error that names the variable", is, err)
	}
}

func TestJoin(t *testing.T) {
	job := []task.Option{{"container-mounts", "/a"}, {"container-workdir", "/a"}, {"container-writable", "true"}, {"no-container-mount-home", "true"}}
	step := []task.Option{{"container-mounts", "/b"}, {"container-workdir", "/b"}, {"container-readonly", "true"}}
	want := []task.Option{{"container-mounts", "/a"}, {"no-container-mount-home", "true"}, {"container-mounts", "/b"}, {"container-workdir", "/b"}, {"container-readonly", "true"}}
	if diff := cmp.Diff(want, task.Join(job, step)); diff != "" {
		t.Errorf("Join differs (-want +got):\n%s", diff)
	}
	got, err := task.Settings(want)
	if err != nil || len(got.Mounts) != 2 || *got.Workdir != "/b" || *got.Writable || *got.MountHome {
		t.Errorf("Settings = %+v, %v", got, err)
	}
	if _, err := task.Settings([]task.Option{{"container-entrypoint", "shell"}}); err == nil || !strings.HasPrefix(err.Error(), "--container-entrypoint: ") {
		t.Errorf("Settings of a wrong mode = %v, want an error that names the option", err)
	}
}

func TestSubmitter(t *testing.T) {
	for _, tt := range []struct {
		value, version string
		err            bool
	}{
		{"", "", false},
		{task.Protocol + " v1-2", "v1-2", false},
		{task.Protocol, "", false},
		{"0 v0", "v0", true},
		{"word", "", true},
	} {
		got, err := task.Submitter(environment{"SLURM_HPC3_VERSION": tt.value}.get)
		if got != tt.version || (err != nil) != tt.err {
			t.Errorf("Submitter of %q = %q, %v", tt.value, got, err)
		}
	}
}
