package main

import (
	"os"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/outside"
	"github.com/hpc3-project/hpc3/launcher/task"
)

// maxEnvFile bounds the environment of a job, as the kernel does: 6 MiB (3/4 of _STK_LIM).
const maxEnvFile = 6 << 20

// ociTask reads the words by which Slurm itself starts a task, as RunTimeRun in oci.conf has them:
//
//	hpc3-run oci --env-file=FILE IMAGE -- COMMAND...
//
// Slurm starts this program without an environment: the job's is in the file, with a NUL behind
// each variable.
func ociTask(args []string) (t task.Task, is bool, err error) {
	if len(args) < 3 || args[1] != "oci" || !strings.HasPrefix(args[2], "--env-file=") {
		return task.Task{}, false, nil
	}
	if len(args) < 6 || args[4] != "--" {
		return task.Task{}, true, fault.New(fault.Usage, "this is no call that oci.conf makes").
			Hint(`RunTimeRun="%s oci --env-file=%%e '%%b' -- %%@", and CreateEnvFile=null`, args[0])
	}
	raw, err := outside.Read(strings.TrimPrefix(args[2], "--env-file="), maxEnvFile)
	if err != nil {
		return task.Task{}, true, fault.New(fault.Config, "reading the job's environment: %w", err).
			Hint("oci.conf needs CreateEnvFile=null")
	}
	os.Clearenv()
	for e := range strings.SplitSeq(string(raw), "\x00") {
		if name, value, ok := strings.Cut(e, "="); ok && name != "" {
			if err := os.Setenv(name, value); err != nil {
				return task.Task{}, true, fault.New(fault.Config,
					"setting the job's variable %s: %w", name, err)
			}
		}
	}
	return task.Task{Image: args[3], Command: args[5:]}, true, nil
}
