package run

import (
	"os/exec"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/option"
)

// Every script is one that its shell, and each that may stand in for it, can read.
func TestScriptsAreShell(t *testing.T) {
	for _, plan := range []Plan{
		{Engine: option.Native},
		{Engine: option.Native, HasConfig: true, Dotfiles: true, Prompt: "it's", HostEnv: []string{"SHLVL=1", "a.b=it's"}},
		{Engine: option.Apptainer, HasConfig: true, Config: oci.Config{Env: []string{"PATH=/a b:/it's", "1x=\n"}}, SetEnv: []string{"PATH=$(x)"}},
	} {
		scripts := map[string]string{"bash": plan.bashScript(), "sh": plan.shScript(image{}), "shell": plan.straighten() + plan.shellScript(image{}), "prepare": prepare, "choose": sourceEnv + chooseShell, "become": findBash + becomeShell}
		for name, script := range scripts {
			for _, shell := range [][]string{{"bash"}, {"dash"}, {"busybox", "sh"}} {
				if name == "bash" && shell[0] != "bash" {
					continue
				}
				if _, err := exec.LookPath(shell[0]); err != nil {
					continue
				}
				if out, err := exec.Command(shell[0], append(shell[1:], "-n", "-c", script)...).CombinedOutput(); err != nil {
					t.Errorf("%s in %v: %v: %s\n%s", name, shell, err, out, script)
				}
			}
		}
	}
}
