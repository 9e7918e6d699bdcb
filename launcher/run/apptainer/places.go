package apptainer

import (
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/run/inside"
)

// places returns the mounts for what Apptainer does not bind by itself.
func (s *start) places(img inside.Files, dirs []string) ([]option.Mount, error) {
	if s.mayNotBind() {
		return nil, nil
	}
	node := []string{"/tmp", "/var/tmp", "/proc", "/sys", "/dev"}
	if home := path.Clean(inside.HomeIn(s.Home)); s.HomeShown {
		if img.LedInto(home, node) {
			return nil, UnfitError{fault.New(fault.Mount,
				"binding the home directory %s: a symlink of the image leads it into another directory of the node", home).
				Hint("use --engine native")}
		}
		node = append(node, home)
	}
	var mounts []option.Mount
	for _, b := range slices.Concat(s.Places(img, dirs), s.Named.Binds, s.Guards()) {
		if _, err := os.Stat(b.Source); err != nil || b.Visible &&
			slices.ContainsFunc(node,
				func(dir string) bool { return inside.Within(b.Target, dir) }) {
			continue
		}
		if img.LedInto(b.Target, node) {
			s.Note("not bound: " + b.Target +
				", which a symlink of the image leads into another directory of the node; --engine native can")
			continue
		}
		if b.Visible {
			node = append(node, b.Target)
		}
		mounts = append(mounts,
			option.Mount{Source: b.Source, Target: b.Target, Options: b.Options})
	}
	return mounts, nil
}

// shows tells whether a path is in one of these mounts.
func shows(mounts []option.Mount, file string) bool {
	return slices.ContainsFunc(mounts,
		func(m option.Mount) bool { return inside.Within(file, m.Target) })
}

// dir sets the directory in which the command starts, unless a shell of the image changes to it.
// Apptainer alone would take the current directory by one name only, and bind a system directory
// over the image's.
func (s *start) dir(img inside.Files, mounts []option.Mount) []string {
	args := []string{"--no-mount", "cwd"}
	if s.Workdir != "" {
		if img.Bare() {
			args = append(args, "--pwd", s.Workdir)
		}
		return args
	}
	home := inside.HomeIn(s.Home)
	for _, dir := range s.Workdirs() {
		kind, there := img.Mode(dir)
		temporary := !s.Program.Conf.Is("mount tmp", "no") &&
			(inside.Within(dir, "/tmp") || inside.Within(dir, "/var/tmp") && !img.SharesTmp())
		bound := shows(mounts, dir) || inside.InKernel(dir) || temporary || s.HomeShown &&
			inside.Within(dir, home)
		if there && kind == unix.S_IFDIR || bound {
			return append(args, "--pwd", dir)
		}
		if !img.Known {
			break // Apptainer reports it
		}
	}
	return args
}
