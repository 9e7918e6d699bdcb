package inside

import (
	"os/exec"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/option"
)

// Every script can be parsed by its shell and by each shell that may replace it.
func TestScriptsAreShell(t *testing.T) {
	for _, view := range []View{
		{Engine: option.Native},
		{
			Engine: option.Native, Image: Image{HasConfig: true}, Command: Command{Dotfiles: true, Prompt: "it's"},
			Place: Place{HostEnv: []string{"SHLVL=1", "a.b=it's"}},
		},
		{
			Engine: option.Apptainer, Image: Image{HasConfig: true, Config: oci.Config{Env: []string{"PATH=/a b:/it's", "1x=\n"}}},
			Command: Command{SetEnv: []string{"PATH=$(x)"}},
		},
	} {
		scripts := map[string]string{"bash": view.bashScript(), "sh": view.shScript(Files{}), "shell": view.straighten() + view.shellScript(Files{}), "prepare": PrepareScript, "choose": sourceEnv + chooseShell, "become": findBash + becomeShell}
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
