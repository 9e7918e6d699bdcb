package inside

import (
	"os"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/outside"
)

// Look finds the shells of an image, and which of the requested locales it lacks. It opens the SIF,
// unless the caller holds it open.
func (v *View) Look(held *os.File) (Files, error) {
	f := held
	if f == nil {
		var err error
		if f, err = outside.Open(v.SIF); err != nil {
			return Files{}, fault.New(fault.Engine, "opening the image: %w", err)
		}
	}
	img, err := OpenImage(f, v.Offset, v.Sums)
	if err != nil {
		if held == nil {
			defer f.Close()
		}
		if v.Aside.Name == "" {
			return Files{}, fault.New(fault.Engine, "opening the image in %s: %w", v.SIF, err).
				Hint("make or fetch it anew")
		}
		return Files{}, DamagedImage(v.SIF, f, v.Aside, err)
	}
	found := Files{Known: true, FS: img, File: f, lacks: lackedLocales(img, localesOf(v.HostEnv))}
	for _, path := range []string{"/bin/bash", "/usr/bin/bash"} {
		if found.bash == "" && Executable(img, path) {
			found.bash = path
		}
	}
	if Executable(img, "/bin/sh") {
		found.sh = "/bin/sh"
	}
	return found, nil
}

// CheckImage returns an error if checksums have shown damage while the image was read.
func (v *View) CheckImage(img Files) error {
	if img.FS == nil || img.FS.Damage() == nil {
		return nil
	}
	return DamagedImage(v.SIF, img.File, v.Aside, img.FS.Damage())
}

// Possible refuses what can be refused before there is an image.
func (v *View) Possible() error {
	switch {
	case v.Entrypoint == option.None && len(v.Args) == 0:
		return noCommand()
	case v.KeepPrivs && os.Geteuid() != 0:
		return fault.New(fault.Usage, "--keep-privs: only root has privileges to keep").
			Hint("leave it out")
	}
	return v.checkMounts()
}

// checkMounts refuses a bind whose source does not exist, before anything is set up. It makes
// sources absolute.
func (v *View) checkMounts() error {
	v.Mounts = slices.Clone(v.Mounts)
	for i, m := range v.Mounts {
		if Covers(m.Source, m.Target) {
			return fault.New(fault.Mount, "binding %s over %s: the container would not work",
				m.Source, m.Target).Hint("bind to a directory below it")
		}
		if m.Source == option.Tmpfs {
			continue
		}
		if !strings.HasPrefix(m.Source, "/") {
			v.Mounts[i].Source = v.Cwd + "/" + m.Source
		}
		if _, err := os.Stat(v.Mounts[i].Source); err != nil {
			err = fault.Reason(err)
			return fault.New(fault.Mount, "binding %s: %w", m.Source, err).
				Hint("the source of a bind must exist on this node")
		}
	}
	return nil
}
