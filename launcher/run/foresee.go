package run

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
)

// foresee refuses what Apptainer would fail at, or would do otherwise than the manual says.
func (p *Plan) foresee(img image, words []string) error {
	if p.Writable && os.Geteuid() != 0 {
		return unfit{fault.New(fault.Engine, "making a writable layer: Apptainer's has 64 MiB, and no directory of the image can be removed or moved in it").
			Hint("use --engine native; or bind a directory of your own with -B")}
	}
	if name := p.unheld(img); name != "" {
		return unfit{fault.New(fault.Engine, "setting %q: no shell can hold this name, and Apptainer passes it only to an image with a shell and env", name).
			Hint("use --engine native")}
	}
	if err := p.foreseeTargets(img); err != nil {
		return err
	}
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

// unheld returns the name of a variable that is asked for and that Apptainer's shell would lose, where the image has nothing to put it back; "" for none.
func (p *Plan) unheld(img image) string {
	if !img.known || !img.bare() && (img.has("/usr/bin/env") || img.has("/bin/env")) {
		return ""
	}
	for _, e := range p.SetEnv {
		if name, _, _ := strings.Cut(e, "="); !option.IsName(name) {
			return name
		}
	}
	return ""
}

// foreseeTargets refuses a mount whose target Apptainer would make in a directory of the node,
// where it would stay.
func (p *Plan) foreseeTargets(img image) error {
	over := p.nodeDirs(img)
	for _, m := range slices.Concat(p.inApptainersWords(), p.Mounts) {
		target, dir := img.place(m.Target, over)
		if dir != "" && target != dir {
			_, err := os.Stat(over[dir] + strings.TrimPrefix(target, dir))
			if errors.Is(err, fs.ErrNotExist) && over[dir] != option.Tmpfs {
				e := fault.New(fault.Mount, "binding %s to %s: %w", m.Source, m.Target, errNodes)
				if m.Source == option.Tmpfs {
					e = fault.New(fault.Mount, "mounting a tmpfs at %s: %w", m.Target, errNodes)
				}
				return e.Hint("make it first: mkdir -p %s", m.Target)
			}
		}
		over[target] = strings.TrimSuffix(m.Source, "/")
	}
	return nil
}

// inApptainersWords are the binds that the caller asks for by Apptainer's variables.
func (p *Plan) inApptainersWords() []option.Mount {
	var mounts []option.Mount
	for bind := range strings.SplitSeq(p.askedBinds(), ",") {
		words := strings.Split(bind, ":")
		if words[0] == "" || strings.Contains(bind, `\`) { // Apptainer's to take apart
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
func (p *Plan) nodeDirs(img image) map[string]string {
	over := map[string]string{}
	for _, dir := range []string{"/proc", "/sys", "/dev", "/tmp", "/var/tmp"} {
		over[dir] = dir
	}
	if p.Conf.is("mount tmp", "no") {
		delete(over, "/tmp")
		delete(over, "/var/tmp")
	}
	if home := homeIn(p.Home); p.homeShown {
		over[home] = home
	}
	for _, name := range p.visibleNames(img, p.Cwd) {
		over[name] = p.Cwd
	}
	return over
}

// place follows the image's symlinks in a path of the container, up to a directory that something
// else is bound over, which it returns as well.
func (i image) place(target string, over map[string]string) (at, dir string) {
	todo := strings.Split(target, "/")
	for links := 0; len(todo) > 0 && links <= maxLinks; {
		next := path.Join("/", at, todo[0]) // "." and ".." are taken out
		todo = todo[1:]
		if _, bound := over[next]; bound {
			dir, at = next, path.Join(next, path.Join(todo...))
			for longer := range over { // a bind below the bind
				if len(longer) > len(dir) && within(at, longer) {
					dir = longer
				}
			}
			return at, dir
		}
		link, err := i.readlink(next)
		if err != nil { // no symlink, or nothing there
			at = next
			continue
		}
		if links++; path.IsAbs(link) {
			at = ""
		}
		todo = append(strings.Split(link, "/"), todo...)
	}
	return at, ""
}

// regular tells whether the image has a regular file at a path, which no symlink leads to.
func (i image) regular(file string) bool {
	_, notLink := i.readlink(file)
	kind, there := i.mode(file)
	return there && notLink != nil && kind == unix.S_IFREG
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
