package doctor

import (
	"os"

	"github.com/hpc3-project/hpc3/launcher/slurm"
)

// pluginsLauncher is the hpc3-run of the Slurm plugin unless plugstack.conf says otherwise.
const pluginsLauncher = "/usr/local/bin/hpc3-run"

// examineSlurm looks at what Slurm's configuration on this node says of the plugin. Where it does
// not load it, there is nothing to say.
func (d Doctor) examineSlurm() []Finding {
	p, ok := slurm.PluginOf(os.DirFS("/"), d.Host.SlurmConf(), pluginsLauncher)
	if !ok {
		return nil
	}
	var findings []Finding
	for _, file := range p.Missing {
		f := Finding{
			"Slurm plugin", "fault", file + " is not there",
			"install hpc3 here, or correct plugstack.conf",
		}
		if file == p.Library {
			f.State, f.Mend = "note", "it is needed only where jobs are submitted"
		}
		findings = append(findings, f)
	}
	if len(findings) == 0 {
		findings = append(findings,
			Finding{What: "Slurm plugin", State: "ok", Text: "loaded by plugstack.conf"})
	}
	if !p.Interactive {
		findings = append(findings, Finding{
			"salloc", "note", "Slurm refuses salloc --container (21.08 and later)",
			"slurm.conf: LaunchParameters=use_interactive_step",
		})
	}
	return findings
}
