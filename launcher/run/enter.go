package run

import (
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/run/native"
)

// shell becomes the shell that SHELL names, or bash, or sh. They are the image's, in an environment
// that a login has already prepared, so they read none of the user's own files.
const shell = `unset ENV
for s in "$SHELL" /bin/bash; do
	[ -x "$s" ] || continue
	case ${s##*/} in
	bash) exec "$s" --norc ;;
	zsh | tcsh | csh) exec "$s" -f ;;
	fish) exec "$s" --no-config ;;
	esac
	exec "$s"
done
exec sh`

// Enter makes this process the command in a container that runs on this node, with the environment
// and the directory of the container's first task. An empty command stands for a shell. Enter
// returns only with an error, whose status is hpc3's.
func Enter(t Target, command []string) error {
	if err := native.CheckEntry(); err != nil {
		return err
	}
	r, err := seek(t)
	if err != nil {
		return err
	}
	defer r.close()
	st, err := r.stage(command)
	if err != nil {
		return fault.New(fault.Engine, "reading process %d: %w", r.pid, err)
	}
	raw, err := st.Pack()
	if err != nil {
		return fault.New(fault.Usage, "the command: %w", err)
	}
	ns, user, err := r.namespaces()
	if err != nil {
		return r.refused(err)
	}
	err = st.Become(&ns, raw, user)
	if errors.As(err, new(*fault.Error)) {
		return err
	}
	return fault.New(fault.Engine, "entering the container of process %d: %w", r.pid, err)
}

func (r *resident) refused(err error) error {
	e := fault.New(fault.Engine, "entering the container of process %d: %w", r.pid, err).
		Exit(native.StatusNo)
	if r.apptainer {
		return e.Hint("one that Apptainer makes can be entered where it makes it by user namespaces, not by its setuid program; use --engine native for those to be entered")
	}
	return e
}

// stage is what a task of the container would do to become the command.
func (r *resident) stage(command []string) (native.Stage, error) {
	if len(command) == 0 {
		command = []string{"/bin/sh", "-c", shell}
	}
	st := native.ToolStage()
	st.Words, st.Env, st.Workdirs = command, slices.Clone(r.env), []string{"/"}
	buf := make([]byte, unix.PathMax)
	if n, err := unix.Readlinkat(r.dir, "cwd", buf); err == nil {
		st.Workdirs = []string{string(buf[:n]), "/"}
	}
	status, err := r.read("status")
	if err != nil {
		return native.Stage{}, err
	}
	// Commands may gain privileges in a container that keeps root's.
	st.KeepPrivs = os.Geteuid() == 0 && strings.Contains(string(status), "\nNoNewPrivs:\t0\n")
	st.FileSize, err = native.WithoutFileLimit()
	return st, err
}

// seek returns the process whose container is to be entered.
func seek(t Target) (*resident, error) {
	own, err := ownSpace("mnt")
	if err != nil {
		return nil, fault.New(fault.Engine, "looking at this process's namespaces: %w", err)
	}
	if t.job != "" {
		r, err := seekStep(t, own)
		if r != nil || err != nil {
			return r, err
		}
	}
	if t.pid == 0 {
		return nil, notHere(
			fault.New(fault.Engine, "no step of job %s has a container of yours on this node", t),
			t)
	}
	r, err := seekProcess(t.pid, own)
	switch {
	case err == nil:
		return r, nil
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH):
		return nil, notHere(
			fault.New(fault.Engine,
				"%s is neither a job with a container of yours on this node nor a process", t), t)
	case errors.Is(err, errForeign), errors.Is(err, errUncontained):
		return nil, notHere(
			fault.New(fault.Engine, "entering the container of process %d: %w", t.pid, err), t)
	}
	return nil, fault.New(fault.Engine, "looking at process %d: %w", t.pid, err)
}

func notHere(e *fault.Error, t Target) error {
	e = e.Exit(native.StatusNo)
	if t.job == "" {
		return e
	}
	return e.Hint("a job's container is entered on its node: ssh NODE, or srun --overlap --jobid=%s -w NODE --pty hpc3 exec %s", t.job, t)
}

// seekStep returns the first task of the step that the target names; nil if there is none.
func seekStep(t Target, own uint64) (*resident, error) {
	all := residents(own, func(r *resident) bool { return r.inStep && r.step.is(t) })
	firsts := map[string]int{} // the first process of each step
	for _, r := range all {
		if _, known := firsts[r.step.String()]; !known {
			firsts[r.step.String()] = r.pid
		}
	}
	r := first(all)
	if len(firsts) > 1 {
		r.close()
		return nil, severalSteps(t, firsts)
	}
	return r, nil
}

// seekProcess returns the process or, if that is in no container, its descendant in one: Apptainer
// stays outside, as the parent of its container's processes.
func seekProcess(pid int, own uint64) (*resident, error) {
	r, err := lookAt(pid, own)
	if !errors.Is(err, errUncontained) {
		return &r, err
	}
	if below := first(residents(own,
		func(r *resident) bool { return slices.Contains(r.ancestors(), pid) })); below != nil {
		return below, nil
	}
	return nil, err
}

func severalSteps(t Target, firsts map[string]int) error {
	e := fault.New(fault.Usage, "job %s has %d steps with a container on this node", t, len(firsts))
	for _, name := range slices.Sorted(maps.Keys(firsts)) {
		e = e.Hint("hpc3 exec %s is that of process %d", name, firsts[name])
	}
	return e
}

// ownerOf returns the owner of a user namespace, as a uid of this process's user namespace.
func ownerOf(user int) (int, error) {
	var uid uint32
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(user), unix.NS_GET_OWNER_UID,
		uintptr(unsafe.Pointer(&uid))); errno != 0 {
		return 0, errno
	}
	return int(uid), nil
}
