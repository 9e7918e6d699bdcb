package apptainer

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/run/inside"
)

// refuse refuses what Apptainer would fail at, or would do differently from what the manual says.
func (s *start) refuse(img inside.Files, words []string) error {
	if s.Writable && os.Geteuid() != 0 {
		return UnfitError{fault.New(fault.Engine,
			"making a writable layer: Apptainer's has 64 MiB, and no directory of the image can be removed or moved in it").
			Hint("use --engine native; or bind a directory of your own with -B")}
	}
	if name := s.unheld(img); name != "" {
		return UnfitError{fault.New(fault.Engine,
			"setting %q: no shell can hold this name, and Apptainer passes it only to an image with a shell and env", name).
			Hint("use --engine native")}
	}
	if err := s.refuseTargets(img); err != nil {
		return err
	}
	for _, m := range s.Mounts {
		target, there := img.Mode(m.Target)
		info, err := os.Stat(m.Source)
		if err == nil && there && info.IsDir() != (target == unix.S_IFDIR) &&
			!s.overlaid(m.Target) {
			return fault.New(fault.Mount, "binding %s to %s: %w", m.Source, m.Target, unix.ENOTDIR).
				Hint("source and target must both be directories, or both be files")
		}
	}
	if !img.Bare() {
		return nil // its shell reports the rest
	}
	if _, there := img.Mode(s.Workdir); s.Workdir != "" && !there && !s.overlaid(s.Workdir) {
		return fault.New(fault.Mount, "changing to the working directory %s: %w", s.Workdir,
			unix.ENOENT).Hint("it must exist in the image or be bound with -B")
	}
	return s.refuseCommand(img, words[0])
}

// unheld returns a variable that the user sets, that Apptainer's shell would lose, and that the
// image has no program to restore; "" if there is none.
func (s *start) unheld(img inside.Files) string {
	if !img.Known || !img.Bare() && (img.Has("/usr/bin/env") || img.Has("/bin/env")) {
		return ""
	}
	for _, e := range s.SetEnv {
		if name, _, _ := strings.Cut(e, "="); !option.IsName(name) {
			return name
		}
	}
	return ""
}

// refuseTargets refuses a mount whose target Apptainer would create in a directory of the node,
// where it would stay.
func (s *start) refuseTargets(img inside.Files) error {
	over := s.nodeDirs(img)
	for _, m := range slices.Concat(s.bindsByVariable(), s.Mounts) {
		target, dir := img.Locate(m.Target, over)
		if dir != "" && target != dir {
			_, err := os.Stat(over[dir] + strings.TrimPrefix(target, dir))
			if errors.Is(err, fs.ErrNotExist) && over[dir] != option.Tmpfs {
				e := fault.New(fault.Mount, "binding %s to %s: %w", m.Source, m.Target,
					inside.ErrNodes)
				if m.Source == option.Tmpfs {
					e = fault.New(fault.Mount, "mounting a tmpfs at %s: %w", m.Target,
						inside.ErrNodes)
				}
				return e.Hint("make it first: mkdir -p %s", m.Target)
			}
		}
		over[target] = strings.TrimSuffix(m.Source, "/")
	}
	return nil
}

// bindsByVariable returns the binds that the caller asks for by Apptainer's variables.
func (s *start) bindsByVariable() []option.Mount {
	var mounts []option.Mount
	for bind := range strings.SplitSeq(s.askedBinds(), ",") {
		words := strings.Split(bind, ":")
		if words[0] == "" || strings.Contains(bind, `\`) { // Apptainer parses this
			continue
		}
		target := words[0]
		if len(words) > 1 && words[1] != "" {
			target = words[1]
		}
		mounts = append(mounts, option.Mount{Source: words[0], Target: target})
	}
	return mounts
}

// nodeDirs are the directories of the container that are the node's, with their paths there.
func (s *start) nodeDirs(img inside.Files) map[string]string {
	over := map[string]string{}
	for _, dir := range []string{"/proc", "/sys", "/dev", "/tmp", "/var/tmp"} {
		over[dir] = dir
	}
	if s.Program.Conf.Is("mount tmp", "no") {
		delete(over, "/tmp")
		delete(over, "/var/tmp")
	}
	if home := inside.HomeIn(s.Home); s.HomeShown {
		over[home] = home
	}
	for _, name := range s.VisibleNames(img, s.Cwd) {
		over[name] = s.Cwd
	}
	return over
}

// refuseCommand looks for the command in an image without a shell.
func (s *start) refuseCommand(img inside.Files, word string) error {
	files := []string{word}
	if !strings.Contains(word, "/") {
		files = nil
		for dir := range strings.SplitSeq(
			inside.Lookup(slices.Concat(s.SetEnv, s.Config.Env,
				[]string{"PATH=" + inside.DefaultPath}), "PATH"), ":") {
			files = append(files, path.Join(dir, word))
		}
	}
	denied := false
	for _, file := range files {
		kind, there := img.Mode(file)
		if s.overlaid(file) || there && inside.Executable(img.FS, file) && img.Interpreted(file) {
			return nil
		}
		denied = denied || there && (kind != unix.S_IFDIR || len(files) == 1)
	}
	if denied {
		return fault.New(fault.Exec, "running %q: it is there, but cannot be executed", word).
			Hint("look at its mode, its first line and its architecture").
			Exit(fault.StatusNotExecutable)
	}
	return fault.New(fault.Exec, "running %q: no such command in the image", word).
		Hint("give its path").Exit(fault.StatusNotFound)
}

// overlaid tells whether a path may be one of the node's in the container, so that the image alone
// does not say what is there.
func (s *start) overlaid(file string) bool {
	if !path.IsAbs(file) {
		return true
	}
	dirs := []string{"/proc", "/sys", "/dev", "/tmp", "/var/tmp"}
	if s.Cwd != "" {
		dirs = append(dirs, inside.Names(s.Cwd)...)
	}
	if s.MountHome {
		dirs = append(dirs, inside.Names(inside.HomeIn(s.Home))...)
	}
	for _, m := range s.Mounts {
		if m.Target != file {
			dirs = append(dirs, m.Target)
		}
	}
	return slices.ContainsFunc(dirs,
		func(dir string) bool { return dir != "" && dir != "/" && inside.Within(file, dir) })
}
