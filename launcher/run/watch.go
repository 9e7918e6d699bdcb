package run

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// nameWatch is the stage that watches slurmstepd for Apptainer. Its own end would reach what hpc3-run becomes by PR_SET_PDEATHSIG, as it does with the
// native engine, but Apptainer executes programs of its own, from any thread, and each of these forgets it.
const nameWatch = "hpc3:watch"

// The descriptors that it is started with.
const (
	watchedParent = 3 + iota
	watchedTask
)

// watchParent starts a process that kills this one, whatever it has become, when its parent ends before it. Apptainer's own processes end with it. Whether
// the parent is there still when this returns is for stillThere to say.
func watchParent(parent int) error {
	if parent == 0 {
		return nil
	}
	theirs, err := openProcess(parent)
	if err != nil {
		return err
	}
	defer theirs.Close()
	own, err := openProcess(os.Getpid())
	if err != nil {
		return err
	}
	defer own.Close()
	process, err := startBeside([]string{nameWatch}, stageEnv(), theirs, own)
	if err != nil {
		return err
	}
	return process.Release() // it ends after this process
}

func openProcess(pid int) (*os.File, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	return os.NewFile(uintptr(fd), "process"), nil
}

// watch waits until one of the two has ended. If that is the task, there is nothing left to kill.
func watch() {
	leaveSignals()
	closeInherited(watchedTask)
	both := []unix.PollFd{{Fd: watchedParent, Events: unix.POLLIN}, {Fd: watchedTask, Events: unix.POLLIN}}
	for {
		if n, err := unix.Poll(both, -1); n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			break
		}
	}
	_ = unix.PidfdSendSignal(watchedTask, unix.SIGKILL, nil, 0)
}
