package native

import (
	"math"
	"path"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/run/inside"
	"github.com/hpc3-project/hpc3/launcher/run/message"
	"github.com/hpc3-project/hpc3/launcher/run/process"
)

// Become becomes the command in the namespaces of a container. The plan, packed, is read if a call
// on the way fails.
func (st *Stage) Become(ns *Namespaces, plan []byte, user bool) error {
	var size unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_FSIZE, &size)
	if err != nil {
		return fault.New(fault.Engine, "handing over the plan: %w", err)
	}
	list, err := message.Memory(nil)
	if err != nil {
		return fault.New(fault.Engine, "handing over the plan: %w", err)
	}
	fds := []int{list, ns.Mount}
	r := newRecording(plan)
	if user {
		fds = append(fds, ns.User)
		r.must(toEnter, unix.SYS_SETNS, uintptr(ns.User), unix.CLONE_NEWUSER)
	}
	r.must(toEnter, unix.SYS_SETNS, uintptr(ns.Mount), unix.CLONE_NEWNS)
	for _, fd := range fds {
		r.must(toPrepare, unix.SYS_CLOSE, uintptr(fd))
	}
	r.become(st, size.Max)
	err = message.WriteAll(list, r.file())
	for _, fd := range fds {
		if err == nil {
			_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0) // it stays open
		}
	}
	if err != nil {
		return fault.New(fault.Engine, "handing over the plan: %w", err)
	}
	err = syscall.Exec(process.Self, []string{nameJoin, strconv.Itoa(list)}, process.StageEnv())
	return fault.New(fault.Engine, "executing %s again: %w", process.Self, err)
}

// become gives up what the command is not to have, and becomes it.
func (r *recording) become(st *Stage, hardFileSize uint64) {
	r.changeDir(st)
	if !st.KeepPrivs {
		r.dropPrivileges()
	}
	r.restoreSignals(st)
	limit := r.numbers(st.FileSize, hardFileSize)
	r.must(toPrepare, unix.SYS_PRLIMIT64, 0, unix.RLIMIT_FSIZE, limit)
	if st.Parent != 0 {
		// The kernel kills the command when its parent dies; if slurmstepd is killed, nothing
		// else does.
		r.must(toPrepare, unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL))
		c := r.must(toEndWithParent, unix.SYS_GETPPID)
		c.want, c.span = uint64(st.Parent), 0
	}
	r.exec(st)
}

func (r *recording) changeDir(st *Stage) {
	for i, dir := range st.Workdirs {
		c := r.must(toChangeDir, unix.SYS_CHDIR, r.text(dir))
		c.good = len(st.Workdirs) - i
		if !st.Strict {
			c.bad = 1 // the last one is /
		}
	}
}

// dropPrivileges makes sure that nothing the command executes gains a privilege. Users other than
// root lose their capabilities of the namespace by exec; root keeps none, since the bounding set
// is empty and no_new_privs holds. Where root may not change that set, in a container of somebody
// else, no_new_privs is enough.
func (r *recording) dropPrivileges() {
	r.may(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL)
	for c := range uintptr(64) {
		r.may(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c)
	}
	head, none := r.numbers(unix.LINUX_CAPABILITY_VERSION_3), r.numbers(0, 0, 0)
	r.must(toDropPrivileges, unix.SYS_CAPSET, head, none)
	r.must(toDropPrivileges, unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1)
}

// restoreSignals ignores and blocks what the caller did. exec resets the handlers of Go's runtime
// to the default, which kills.
func (r *recording) restoreSignals(st *Stage) {
	ignore := r.numbers(sigIgn, 0, 0, 0, 0, 0, 0, 0)
	for n := range uintptr(64) {
		if st.Ignored&(1<<n) != 0 {
			r.must(toPrepare, unix.SYS_RT_SIGACTION, n, ignore, 0, 8)
		}
	}
	mask := r.numbers(st.Blocked)
	r.must(toPrepare, unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, mask, 0, 8)
}

// exec finds the command as find does, and executes it.
func (r *recording) exec(st *Stage) {
	word := st.Words[0]
	words, env := r.vector(st.Words), r.vector(st.Env)
	if strings.Contains(word, "/") {
		r.must(toExecute, unix.SYS_EXECVE, r.text(word), words, env)
		return
	}
	at := unix.AT_FDCWD
	for dir := range strings.SplitSeq(inside.Lookup(st.Env, "PATH"), ":") {
		file := path.Join(dir, word)
		if dir == "" || word == "" || len(file)+2 >= unix.PathMax {
			continue
		}
		r.may(unix.SYS_FACCESSAT, uintptr(at), r.text(file), unix.X_OK).bad = 3
		directory := r.may(unix.SYS_FACCESSAT, uintptr(at), r.text(file+"/."), unix.F_OK)
		directory.good, directory.bad = 2, 1
		r.must(toExecute, unix.SYS_EXECVE, r.text(file), words, env)
	}
	never := r.must(toFind, unix.SYS_GETPPID)
	never.want, never.span = math.MaxUint64, 0
}

// joined is the rest of a join whose calls have stopped: it says why, and in whose words.
func joined(st *Stage) error {
	plan, err := unpack(unsafe.Slice(entryList.plan, entryList.size))
	if err != nil {
		return fault.New(fault.Engine, "reading the plan: %w", err)
	}
	*st = plan
	return st.refused(entryAt.purpose, unix.Errno(-entryResult))
}

// refused says what it means that a call failed.
func (st *Stage) refused(p purpose, err error) error {
	switch p {
	case toEnter:
		if st.Tool {
			return fault.New(fault.Engine, "entering the container: %w", err)
		}
		return fault.New(fault.Engine, "entering the container of this step: %w", err).
			Hint("give each task a container of its own: --no-container-share")
	case toChangeDir:
		return fault.New(fault.Mount, "changing to the working directory %s: %w", st.Workdirs[0],
			err).
			Hint("it must exist in the image or be bound with -B")
	case toDropPrivileges:
		return fault.New(fault.Engine, "giving up privileges: %w", err)
	case toFind, toExecute:
		return st.notExecuted(err)
	case toEndWithParent:
		err = process.EndedError(st.Parent)
	}
	return fault.New(fault.Engine, "restoring signals and limits: %w", err)
}
