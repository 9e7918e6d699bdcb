// Package settings is what a walk goes by: this process as the operating system shows it, and what
// the site's file, the user's file, the environment and the command line say.
package settings

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/site"
)

// Settings are what a walk goes by.
type Settings struct {
	Host   Host
	Site   site.Site
	Option option.Run
}

// Host is the process that walks the road, as the operating system shows it: what a room needs of
// the outside comes from here, so that a test can give another.
type Host struct {
	Environ []string // NAME=VALUE
	Cwd     string   // "" if it cannot be told
	UID     int
	Arch    string // GOARCH of this node
	Name    string // host name

	Plugin  bool // the Slurm plugin handles the job, and the settings are those of the site
	NoStart bool // this process starts no command: it is a tool, or submits a job
}

// ThisHost is this process, in an environment. Whether it has a terminal only its caller can say.
func ThisHost(environ []string) Host {
	h := Host{Environ: environ, UID: os.Getuid(), Arch: runtime.GOARCH}
	h.Cwd, _ = os.Getwd()     // a directory that is gone is no working directory
	h.Name, _ = os.Hostname() // a node without a name has no words of its own
	return h
}

// Getenv returns the value of a variable, "" if it is not set. Of two settings of one name the last
// counts.
func (h Host) Getenv(name string) string {
	for i := len(h.Environ) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(h.Environ[i], name+"="); ok {
			return value
		}
	}
	return ""
}

// XDG returns the directory of an XDG variable, by default DIR in the home; "" without a home.
func (h Host) XDG(variable, dir string) string {
	if d := h.Getenv(variable); filepath.IsAbs(d) {
		return d
	}
	if home := h.Getenv("HOME"); filepath.IsAbs(home) && home != "/" {
		return filepath.Join(home, dir)
	}
	return ""
}

// UserFile returns the path of the user's own settings; "" without a home.
func (h Host) UserFile() string {
	dir := h.XDG("XDG_CONFIG_HOME", ".config")
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "hpc3", "hpc3.toml")
}

// TempDir returns TMPDIR, or /tmp.
func (h Host) TempDir() string {
	if dir := h.Getenv("TMPDIR"); filepath.IsAbs(dir) {
		return dir
	}
	return "/tmp"
}

// SlurmConf is the path of slurm.conf in the environment; "" for Slurm's usual places.
func (h Host) SlurmConf() string {
	conf := h.Getenv("SLURM_CONF")
	if conf != "" && !filepath.IsAbs(conf) {
		conf = filepath.Join(h.Cwd, conf)
	}
	return conf
}
