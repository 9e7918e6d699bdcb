package launcher

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/run/inside"
)

// askLimit bounds how long a program of an image may take to answer: a profile may wait for input
// or for a network.
const askLimit = 30 * time.Second

// Bounds of what a program of an image prints. A PATH has 128 KiB at most, the kernel's limit for a
// variable. Names and files of a large distribution's packages take about 20 MiB.
const (
	maxPathOutput = 256 << 10
	maxRpm        = 64 << 20
)

// pathMark begins the line in which the image's shell says its PATH. A profile may print as well.
const pathMark = "hpc3-path="

// path returns the directories of the image's PATH after a login.
func (l *look) path(ctx context.Context) []string {
	if l.login != nil {
		return l.login
	}
	why := l.cannotAsk()
	if why == "" {
		var err error
		if l.login, err = l.askPath(ctx); err == nil {
			return l.login
		}
		why = "asking it failed: " + fault.OneLine(err.Error())
	}
	l.login = l.readPath()
	if l.shell() {
		l.remark("the image's PATH is read from its config and profile, not asked of its shell: %s",
			why)
	} else {
		l.remark("the image has no shell: its commands run without a login, and PATH is %s",
			strings.Join(l.login, ":"))
	}
	return l.login
}

// shell tells whether the image has one.
func (l *look) shell() bool {
	return slices.ContainsFunc([]string{"/bin/sh", "/bin/bash", "/usr/bin/bash"},
		func(sh string) bool { return inside.Executable(l.img.files.FS, sh) })
}

// cannotAsk says why no program of the image is run; "" if one may be. Its author is a stranger, so
// it never runs as root.
func (l *look) cannotAsk() string {
	arch := l.img.contents.Arch
	switch {
	case l.Host.UID == 0:
		return "root runs no program of an image for this"
	case l.launcher == "":
		return "hpc3-run was not found"
	case !l.shell():
		return "it has no shell"
	case arch != "":
		return l.cannotRun("linux", arch)
	}
	return ""
}

// askPath asks the image's login shell for its PATH.
func (l *look) askPath(ctx context.Context) ([]string, error) {
	const script = `printf '\n` + pathMark + `%s\n' "$PATH"`
	out, err := l.ask(ctx, maxPathOutput, "sh", "-c", script)
	if err != nil {
		return nil, err
	}
	at := bytes.LastIndex(out.kept, []byte("\n"+pathMark))
	if at < 0 {
		return nil, errors.New("it did not print its PATH")
	}
	value, _, _ := bytes.Cut(out.kept[at+1+len(pathMark):], []byte("\n"))
	dirs := directories(string(value))
	if len(dirs) == 0 {
		return nil, errors.New("its PATH names no directory")
	}
	return dirs, nil
}

// ask runs a command in the image and returns the end of what it prints, about limit bytes. It gets
// the caller's environment except for what says how hpc3-run is to start another command.
func (l *look) ask(ctx context.Context, limit int, command ...string) (*tail, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	words := append([]string{"-q", "--no-container-mount-home", "sif:" + l.img.path}, command...)
	out, complaint := &tail{limit: limit}, &tail{limit: 4 << 10}
	cmd := exec.CommandContext(ctx, l.launcher, words...)
	cmd.Dir, cmd.Env = "/", askEnv(l.Host.Environ)
	cmd.Stdout, cmd.Stderr = out, complaint
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // for a grandchild that left the group and holds the pipe
	err := cmd.Run()
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fmt.Errorf("no answer within %v", askLimit)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		if said := reason(complaint.kept); said != "" {
			return nil, errors.New(said)
		}
		return nil, err
	}
	return out, nil
}

// askEnv leaves out of an environment what is for another start: options but for those that say
// which engine works here, what Slurm's plugin says of a task, and what a shim leaves.
func askEnv(environ []string) []string {
	keep := []string{"HPC3_CONFIG", "HPC3_ENGINE", "HPC3_SQUASHFS", "HPC3_CACHEDIR"}
	var env []string
	for _, e := range environ {
		name, _, _ := strings.Cut(e, "=")
		other := strings.HasPrefix(name, "HPC3_") || strings.HasPrefix(name, "SLURM_HPC3_")
		if !other || slices.Contains(keep, name) {
			env = append(env, e)
		}
	}
	return env
}

// reason returns what hpc3-run says of its failure, without hints; else the last line.
func reason(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	for _, line := range slices.Backward(lines) {
		if _, why, ok := strings.Cut(line, ": error["); ok {
			return "error[" + why
		}
	}
	return lines[len(lines)-1]
}

// tail keeps the end of what is written to it.
type tail struct {
	limit int
	kept  []byte
	cut   bool // there was more before it
}

func (t *tail) Write(p []byte) (int, error) {
	if t.kept = append(t.kept, p...); len(t.kept) > 2*t.limit {
		t.kept, t.cut = slices.Clone(t.kept[len(t.kept)-t.limit:]), true
	}
	return len(p), nil
}

// Bounds of the files that readPath reads.
const (
	maxProfile  = 256 << 10
	maxProfiles = 256
	maxPath     = 1024 // directories
)

// readPath returns the PATH of the config, and what the image's profile seems to add to it.
func (l *look) readPath() []string {
	value := l.config.Path()
	for _, file := range l.img.profiles() {
		for line := range strings.SplitSeq(string(l.img.files.Read(file, maxProfile)), "\n") {
			if assigned, ok := assignment(line); ok {
				value = extend(assigned, value)
			}
		}
	}
	return directories(value)
}

// profiles are the files that a login shell reads, and those in which Apptainer keeps the
// environment of a SIF that it builds.
func (o *opened) profiles() []string {
	files := []string{"/etc/profile"}
	for _, dir := range []string{"/etc/profile.d", "/.singularity.d/env"} {
		ref, err := o.files.FS.Resolve(dir)
		if err != nil {
			continue
		}
		list, err := o.files.FS.List(ref)
		for err == nil && len(files) < maxProfiles {
			e, ok, next := list.Next()
			if err = next; !ok {
				break
			}
			if strings.HasSuffix(e.Name, ".sh") {
				files = append(files, path.Join(dir, e.Name))
			}
		}
	}
	return files
}

// assignment returns what a line of a script assigns to PATH.
func assignment(line string) (value string, ok bool) {
	line = strings.TrimPrefix(strings.TrimSpace(line), "export ")
	value, ok = strings.CutPrefix(strings.TrimSpace(line), "PATH=")
	if !ok {
		return "", false
	}
	if value != "" && strings.ContainsRune(`"'`, rune(value[0])) {
		quote := value[:1]
		value, _, _ = strings.Cut(value[1:], quote)
		return value, true
	}
	if end := strings.IndexAny(value, " \t;&|#"); end >= 0 {
		value = value[:end]
	}
	return value, true
}

// extend puts the directories that an assignment names before a PATH or, if it names that first or
// not at all, behind it. Which of several assignments a login makes cannot be told, so that none
// takes a directory away.
func extend(assigned, value string) string {
	var before, behind []string
	seen := !strings.Contains(assigned, "PATH")
	for dir := range strings.SplitSeq(assigned, ":") {
		switch {
		case strings.Contains(dir, "PATH"):
			seen = true
		case seen:
			behind = append(behind, dir)
		default:
			before = append(before, dir)
		}
	}
	return strings.Join(slices.Concat(before, []string{value}, behind), ":")
}

// directories returns the absolute directories of a PATH, each once.
func directories(value string) (dirs []string) {
	for dir := range strings.SplitSeq(value, ":") {
		if !strings.HasPrefix(dir, "/") || strings.ContainsAny(dir, "$`\\*") {
			continue
		}
		dir = path.Clean(dir)
		if !slices.Contains(dirs, dir) && len(dirs) < maxPath {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}
