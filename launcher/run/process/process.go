// Package process handles this program's other processes, beside the one that becomes the command:
// it starts them, makes them let go of what they inherit, and reads what the kernel says of any
// process.
package process

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Name returns a process's id and start time, which no later process has again.
func Name(pid int) string {
	if _, f := Stat(pid); len(f) > 19 {
		return strconv.Itoa(pid) + " " + f[19]
	}
	return strconv.Itoa(pid)
}

// Stat returns what the kernel says of a process: the name of its program, and all fields from its
// state on; nothing if it has ended.
func Stat(pid int) (program string, fields []string) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", nil
	}
	front, rest, _ := strings.Cut(string(raw), ") ") // the name may hold blanks
	_, program, _ = strings.Cut(front, "(")
	return program, strings.Fields(rest)
}

// Start starts a stage of this program that inherits nothing of the caller's. The files become its
// descriptors from 3 on.
func Start(words, env []string, files ...*os.File) (*os.Process, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	return os.StartProcess(Self, words, &os.ProcAttr{
		Dir: "/", Env: env, Files: append([]*os.File{null, null, null}, files...),
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
}

// LeaveSignals ignores the signals that are sent to the whole step or process group, so that the
// command alone reacts.
func LeaveSignals() {
	signal.Ignore(unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2,
		unix.SIGPIPE, unix.SIGALRM,
		unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGXCPU, unix.SIGXFSZ, unix.SIGVTALRM,
		unix.SIGPROF, unix.SIGWINCH)
}

// CloseInherited closes the caller's descriptors above last: if the server held a pipe, its reader
// would never see its end. The descriptors of Go's runtime are close-on-exec; those that came
// through exec are not.
func CloseInherited(last int) {
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		return // never: the pattern is valid
	}
	for _, link := range links {
		fd, err := strconv.Atoi(filepath.Base(link))
		if err != nil || fd <= last {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil &&
			flags&unix.FD_CLOEXEC == 0 {
			_ = unix.Close(fd) // it cannot fail: the descriptor is open
		}
	}
}

// IDs returns the ids of all processes that this one can see.
func IDs() []int {
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is valid
	pids := make([]int, 0, len(dirs))
	for _, dir := range dirs {
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Self is the path by which the program executes itself: its file may have been replaced since it
// was started.
const Self = "/proc/self/exe"

// StageEnv returns the environment of this program's later stages. They make about fifty system
// calls, for which one processor is enough, and fewer threads start faster.
func StageEnv() []string { return []string{"GOMAXPROCS=1", "GOGC=off"} }

// StillThere returns an error if the parent with which this process is to end has ended.
func StillThere(parent int) error {
	if parent != 0 && os.Getppid() != parent {
		return EndedError(parent)
	}
	return nil
}

// EndedError returns the error about a parent that has ended.
func EndedError(parent int) error {
	return fmt.Errorf("process %d, which started this, has ended", parent)
}
