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

// WatchName is the stage that watches over what hpc3-run becomes through Apptainer. The end of
// slurmstepd would reach that by PR_SET_PDEATHSIG, as it does with the native engine, but Apptainer
// executes programs of its own, from any thread, and each of these forgets it. And where Apptainer
// is killed, what serves the image's files to it goes on for ever.
const WatchName = "hpc3:watch"

// The descriptors that it is started with.
const (
	watchedTask = 3 + iota
	watchedParent
	heldImage // the SIF, locked against being cleared from the cache
)

// apptainersImage is the end of the last argument of a squashfuse_ll that serves the image's files
// to Apptainer.
const apptainersImage = "/mnt/session/rootfs\x00"

// execTime is within what a process that Apptainer has forked has executed its program.
const execTime = 200 * time.Millisecond

// startWatch starts a process that kills this one, whatever it has become, when parent ends before
// it; 0 for none. Apptainer's own processes end with it, and what is left of them the watch ends.
// Whether the parent is there still when this returns is for stillThere to say. It has held open as
// long as that.
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

// Watch waits until one of the two has ended. If that is the task, there is nothing left to kill
// but what it left.
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

// awaitOne waits until one of some processes has ended.
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

// endOrphans kills the file servers that have lost their Apptainer: their parent is now the one
// that this process has, which was Apptainer's child too.
func endOrphans() {
	own, reaper := os.Getuid(), strconv.Itoa(os.Getppid())
	for _, pid := range process.IDs() {
		dir := "/proc/" + strconv.Itoa(pid)
		info, err := os.Stat(dir)
		if err != nil || int(info.Sys().(*syscall.Stat_t).Uid) != own { //nolint:forcetypeassert // on Linux it is that
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
