package run

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

// become gives up what the command is not to have, and becomes it.
func (st *stage) become() error {
	runtime.LockOSThread() // capabilities and no_new_privs are of a thread
	if err := st.changeDir(); err != nil {
		return err
	}
	if !st.KeepPrivs {
		if err := dropPrivileges(); err != nil {
			return fault.New(fault.Engine, "giving up privileges: %w", err)
		}
	}
	if err := errors.Join(restoreSignals(st.Ignored, st.Blocked), restoreFileLimit(st.FileSize), endWith(st.Parent)); err != nil {
		return fault.New(fault.Engine, "restoring signals and limits: %w", err)
	}
	return st.exec()
}

// endWith has the kernel kill the command where its parent is killed: slurmstepd, without which nobody would.
func endWith(parent int) error {
	if parent == 0 {
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return err
	}
	return stillThere(parent)
}

// stillThere refuses to go on where the process has ended that this one is to end with.
func stillThere(parent int) error {
	if parent != 0 && os.Getppid() != parent {
		return fmt.Errorf("process %d, which started this, has ended", parent)
	}
	return nil
}

func readPlan(fd int) (stage, error) {
	raw, err := readMemory(fd)
	if err != nil {
		return stage{}, err
	}
	return unpack(raw)
}

func (st *stage) changeDir() error {
	var first error
	for _, dir := range st.Workdirs {
		err := unix.Chdir(dir)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	if st.Strict {
		return fault.New(fault.Mount, "changing to the working directory %s: %w", st.Workdirs[0], first).Hint("it must exist in the image or be bound with -B")
	}
	return nil // the last of them is /
}

// dropPrivileges makes sure that nothing the command executes gains a privilege. A user other than root loses his capabilities of
// the namespace by exec; root keeps none, since the bounding set is empty and no_new_privs holds.
func dropPrivileges() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
		return err
	}
	for c := range uintptr(64) {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPERM) {
			break // the last one is behind us; or root in someone else's container, whom no_new_privs holds all the same
		}
		if err != nil {
			return err
		}
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&head, &none[0]); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}

// restoreSignals ignores and blocks what the caller did. Go's runtime has put its handlers there, and exec makes a handled signal one
// that kills; and it has unblocked what it cannot do without. It would not ignore all of them for us.
func restoreSignals(ignored, blocked uint64) error {
	ignore := [8]uintptr{1} // SIG_IGN, first in the structure of every architecture
	for n := range uintptr(64) {
		if ignored&(1<<n) == 0 {
			continue
		}
		if _, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, n, uintptr(unsafe.Pointer(&ignore)), 0, 8, 0, 0); errno != 0 {
			return errno
		}
	}
	var mask unix.Sigset_t
	mask.Val[0] = blocked
	return unix.PthreadSigmask(unix.SIG_SETMASK, &mask, nil)
}

// withoutFileLimit lifts the limit of file sizes as far as the caller may, since the files that a start writes, in memory, are not his. It
// returns the limit as it was.
func withoutFileLimit() (uint64, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		return 0, err
	}
	return limit.Cur, unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: limit.Max, Max: limit.Max})
}

func restoreFileLimit(cur uint64) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	return unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: cur, Max: limit.Max})
}
