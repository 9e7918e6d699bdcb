package run

import (
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

// foresee refuses what Apptainer would fail at: its own status for that is 255, which no one can tell from the command's.
func (p *Plan) foresee(img image, words []string) error {
	for _, m := range p.Mounts {
		target, there := img.mode(m.Target)
		info, err := os.Stat(m.Source)
		if err == nil && there && info.IsDir() != (target == unix.S_IFDIR) && !p.overlaid(m.Target) {
			return fault.New(fault.Mount, "binding %s to %s: %w", m.Source, m.Target, unix.ENOTDIR).
				Hint("source and target must both be directories, or both be files")
		}
	}
	if !img.bare() {
		return nil // its shell tells
	}
	if _, there := img.mode(p.Workdir); p.Workdir != "" && !there && !p.overlaid(p.Workdir) {
		return fault.New(fault.Mount, "changing to the working directory %s: %w", p.Workdir, unix.ENOENT).Hint("it must exist in the image or be bound with -B")
	}
	return p.foreseeCommand(img, words[0])
}

// foreseeCommand looks for the command in an image without a shell.
func (p *Plan) foreseeCommand(img image, word string) error {
	files := []string{word}
	if !strings.Contains(word, "/") {
		files = nil
		for dir := range strings.SplitSeq(lookup(slices.Concat(p.SetEnv, p.Config.Env, []string{"PATH=" + defaultPath}), "PATH"), ":") {
			files = append(files, path.Join(dir, word))
		}
	}
	denied := false
	for _, file := range files {
		kind, there := img.mode(file)
		if p.overlaid(file) || there && executable(img.fs, file) && img.interpreted(file) {
			return nil
		}
		denied = denied || there && (kind != unix.S_IFDIR || len(files) == 1)
	}
	if denied {
		return fault.New(fault.Exec, "running %q: it is there, but cannot be executed", word).
			Hint("look at its mode, its first line and its architecture").Exit(fault.StatusNotExecutable)
	}
	return fault.New(fault.Exec, "running %q: no such command in the image", word).Hint("give its path").Exit(fault.StatusNotFound)
}

// overlaid tells whether a path may be one of the node's in the container, where the image says nothing of it.
func (p *Plan) overlaid(file string) bool {
	if !path.IsAbs(file) {
		return true
	}
	dirs := []string{"/proc", "/sys", "/dev", "/tmp", "/var/tmp"}
	if p.Cwd != "" {
		dirs = append(dirs, names(p.Cwd)...)
	}
	if p.MountHome {
		dirs = append(dirs, names(homeIn(p.Home))...)
	}
	for _, m := range p.Mounts {
		if m.Target != file {
			dirs = append(dirs, m.Target)
		}
	}
	return slices.ContainsFunc(dirs, func(dir string) bool { return dir != "" && dir != "/" && within(file, dir) })
}

// mode returns the kind of a file of the image, its symlinks followed.
func (i image) mode(file string) (kind uint32, there bool) {
	if i.fs == nil {
		return 0, false
	}
	ref, err := i.fs.Resolve(file)
	if err != nil {
		return 0, false
	}
	a, err := i.fs.Stat(ref)
	return a.Mode & unix.S_IFMT, err == nil
}

// interpreted tells whether a file names no interpreter, or one that the image has.
func (i image) interpreted(file string) bool {
	ref, err := i.fs.Resolve(file)
	if err != nil {
		return false
	}
	head := make([]byte, 256)
	n, _ := i.fs.ReadAt(ref, head, 0) // a file that cannot be read is Apptainer's to refuse
	line, script := strings.CutPrefix(string(head[:n]), "#!")
	if !script {
		return true
	}
	line, _, _ = strings.Cut(line, "\n")
	words := strings.Fields(line)
	return len(words) > 0 && executable(i.fs, words[0])
}
