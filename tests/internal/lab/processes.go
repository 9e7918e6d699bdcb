package lab

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// WaitFor polls until a condition holds, for as long as a loaded machine may take.
func WaitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().
		Before(deadline); time.Sleep(10 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("waiting for %s took more than 30 seconds", what)
}

// Processes returns those whose command line begins with a text; words are separated by NUL. Those
// of other tests are among them.
func Processes(prefix string) []int {
	var pids []int
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is fine
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil || !bytes.HasPrefix(raw, []byte(prefix)) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// StatusOf returns how a process ended, as a shell tells it: 128+N for signal N.
func StatusOf(p *os.ProcessState) int {
	if w, ok := p.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return p.ExitCode()
}
