package apptainer

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/run/process"
)

// WatchName is the stage that watches over what hpc3-run becomes through Apptainer. With the native
// engine, PR_SET_PDEATHSIG ends the command with slurmstepd. Apptainer executes programs of its
// own, from any thread, and each exec resets that. And if Apptainer is killed, the program that
// serves the image's files to it would run forever.
const WatchName = "hpc3:watch"

// The descriptors with which it is started.
const (
	watchedTask = 3 + iota
	watchedParent
	heldImage // the SIF, locked against being cleared from the cache
)

// apptainersImage ends the last argument of a squashfuse_ll that serves the image's files to
// Apptainer.
const apptainersImage = "/mnt/session/rootfs\x00"

// execTime is the time within which a process that Apptainer has forked executes its program.
const execTime = 200 * time.Millisecond

// startWatch starts a process that kills this one, whatever program it runs by then, if parent ends
// first; parent 0 means none. Apptainer's own processes end with it, and the watch ends what is
// left of them. The watch keeps held open as long as it runs. Whether the parent still exists when
// this function returns is for process.StillThere to check.
func startWatch(parent int, held *os.File) error {
	own, err := openProcess(os.Getpid())
	if err != nil {
		return err
	}
	defer own.Close()
	theirs := own
	if parent != 0 {
		if theirs, err = openProcess(parent); err != nil {
			return err
		}
		defer theirs.Close()
	}
	if held == nil {
		held = own
	}
	process, err := process.Start([]string{WatchName}, process.StageEnv(), own, theirs, held)
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

// Watch waits until one of the two has ended. If that is the task, only what it left has to be
// killed.
func Watch() {
	process.LeaveSignals()
	process.CloseInherited(heldImage)
	awaitOne(watchedTask, watchedParent)
	_ = unix.PidfdSendSignal(watchedTask, unix.SIGKILL, nil, 0)
	awaitOne(watchedTask)
	endOrphans()
	time.Sleep(execTime)
	endOrphans()
}

// awaitOne waits until one of these processes has ended.
func awaitOne(processes ...int32) {
	fds := make([]unix.PollFd, 0, len(processes))
	for _, fd := range processes {
		fds = append(fds, unix.PollFd{Fd: fd, Events: unix.POLLIN})
	}
	for {
		if n, err := unix.Poll(fds, -1); n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// endOrphans kills the file servers that have lost their Apptainer. Their parent is now the parent
// of this process, which was also Apptainer's child.
func endOrphans() {
	own, reaper := os.Getuid(), strconv.Itoa(os.Getppid())
	for _, pid := range process.IDs() {
		dir := "/proc/" + strconv.Itoa(pid)
		info, err := os.Stat(dir)
		if err != nil || int(info.Sys().(*syscall.Stat_t).Uid) != own { //nolint:forcetypeassert // on Linux it has this type
			continue
		}
		program, fields := process.Stat(pid)
		if program != process.SquashfuseLL || len(fields) < 2 || fields[1] != reaper {
			continue
		}
		words, err := os.ReadFile(dir + "/cmdline")
		if err == nil && strings.HasSuffix(string(words), apptainersImage) {
			_ = unix.Kill(pid, unix.SIGKILL) // it may have ended
		}
	}
}
