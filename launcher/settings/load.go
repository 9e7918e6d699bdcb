package settings

import (
	"path/filepath"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/site"
)

// Load reads the site's file, the user's file and the environment, and lays the command line over
// them.
func Load(h Host, line option.Settings) (Settings, error) {
	decided, err := siteOf(h)
	if err != nil {
		return Settings{}, err
	}
	var user option.Settings
	if file := h.UserFile(); file != "" {
		if user, err = site.LoadUser(file); err != nil {
			return Settings{}, err
		}
	}
	env, err := option.FromEnvironment(h.Getenv)
	if err != nil {
		return Settings{}, fault.New(fault.Usage, "%w", err).
			Hint("correct it, or unset the variable; what it takes is in hpc3-run(1)")
	}
	run, err := decided.Resolve(user, env, line)
	if err == nil && run.Workdir != "" && !filepath.IsAbs(run.Workdir) {
		err = fault.New(fault.Usage, "the working directory %q is not an absolute path",
			run.Workdir).
			Hint("it is one of the container: -w /data/run").
			Hint("Apptainer's -w, --writable, is --container-writable here")
	}
	return Settings{h, decided, run}, err
}

// siteOf reads the site file or the one that HPC3_CONFIG names. A key that the site locks stays
// locked in the other. In a job that the Slurm plugin handles, the file that the caller names
// counts only if there is no site file, and only if root owns it.
func siteOf(h Host) (site.Site, error) {
	decided, err := site.Load(site.DefaultFile)
	named := h.Getenv("HPC3_CONFIG")
	if err != nil || named == "" {
		return decided, err
	}
	if h.Plugin && decided.File != "" {
		decided.PassedBy = named
		return decided, nil
	}
	s, err := site.LoadNamed(named)
	if err != nil {
		return site.Site{}, err
	}
	if h.Plugin && s.Own {
		return site.Site{PassedBy: named}, nil
	}
	return s.Under(decided)
}
