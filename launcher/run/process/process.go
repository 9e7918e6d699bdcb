// Package process knows this program's processes beside the one that becomes the command: how they
// are started, what they must let go of, and what the kernel says of any process.
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

// Name is a process's number and the time of its start, which no later process has again.
func Name(pid int) string {
	if _, f := Stat(pid); len(f) > 19 {
		return strconv.Itoa(pid) + " " + f[19]
	}
	return strconv.Itoa(pid)
}

// Stat is what the kernel says of a process: the name of its program, and all from its state on;
// nothing where it has ended.
func Stat(pid int) (program string, fields []string) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", nil
	}
	front, rest, _ := strings.Cut(string(raw), ") ") // the name may hold blanks
	_, program, _ = strings.Cut(front, "(")
	return program, strings.Fields(rest)
}

// Start starts a stage of this program that holds nothing of the caller's. Its descriptors are the
// files, from 3 on.
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

// LeaveSignals leaves a signal to the whole step or process group to the command.
func LeaveSignals() {
	signal.Ignore(unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2,
		unix.SIGPIPE, unix.SIGALRM,
		unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGXCPU, unix.SIGXFSZ, unix.SIGVTALRM,
		unix.SIGPROF, unix.SIGWINCH)
}

// CloseInherited closes the caller's descriptors: a pipe that the server held would keep its reader
// waiting. Those of Go's runtime are close-on-exec, those that came through exec are not.
func CloseInherited(last int) {
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		return // the pattern is fine
	}
	for _, link := range links {
		fd, err := strconv.Atoi(filepath.Base(link))
		if err != nil || fd <= last {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil &&
			flags&unix.FD_CLOEXEC == 0 {
			_ = unix.Close(fd) // it is open
		}
	}
}

// IDs are the numbers of all processes that are seen from here.
func IDs() []int {
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is fine
	pids := make([]int, 0, len(dirs))
	for _, dir := range dirs {
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Self is how the program executes itself: the file may have been replaced since it was started.
const Self = "/proc/self/exe"

// StageEnv is the environment of this program's later stages: one processor is enough to make some
// fifty system calls, and fewer threads start faster.
func StageEnv() []string { return []string{"GOMAXPROCS=1", "GOGC=off"} }

// StillThere returns an error if the parent that this process is to end with has ended.
func StillThere(parent int) error {
	if parent != 0 && os.Getppid() != parent {
		return EndedError(parent)
	}
	return nil
}

// EndedError is the error about a parent that has ended.
func EndedError(parent int) error {
	return fmt.Errorf("process %d, which started this, has ended", parent)
}
