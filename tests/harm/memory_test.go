package harm

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// memoryGroup makes a cgroup whose processes have at most that much memory together, and returns
// its directory.
func memoryGroup(t *testing.T, limit int) string {
	t.Helper()
	parent, limits := "/sys/fs/cgroup/memory", []string{"memory.limit_in_bytes", "memory.memsw.limit_in_bytes"}
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		parent, limits = "/sys/fs/cgroup", []string{"memory.max", "memory.swap.max"}
		_ = os.WriteFile(parent+"/cgroup.subtree_control", []byte("+memory"), 0) // where it cannot be, there is no limit to set below
	}
	dir := fmt.Sprintf("%s/hpc3-test-%d", parent, os.Getpid())
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skip("no cgroup can be made here: ", err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(dir, limits[0]), []byte(strconv.Itoa(limit)), 0); err != nil {
		t.Skip("no cgroup limits memory here: ", err)
	}
	_ = os.WriteFile(filepath.Join(dir, limits[1]), []byte(strconv.Itoa(limit)), 0) // a kernel without swap has no such file
	return dir
}

// TestMemoryLimit has the kernel kill a process that takes more memory than its job may have.
func TestMemoryLimit(t *testing.T) {
	lab.Needs(t, "apptainer", os.Getuid() == 0, "the lab needs root")
	lab.Needs(t, "apptainer", !testing.Short(), "the lab is not built by a short run")
	l := lab.New(t)
	p := lab.Persons()[0]
	group := memoryGroup(t, 128<<20)
	for _, engine := range p.Engines {
		if _, stderr, status := l.Run(p, engine, l.Image, "true"); status != 0 { // converts the image, without a limit
			t.Fatalf("hpc3-run true: status %d\n%s", status, stderr)
		}
		for _, row := range []struct {
			name, command, stdout string
			status                int
		}{
			{name: "the command", command: "exec tail /dev/zero", status: 128 + 9},
			{name: "a child, and its parent goes on", command: `tail /dev/zero; echo $?; ls -R /usr/lib >/dev/null && exit 3`, stdout: "137\n", status: 3},
		} {
			t.Run(row.name+" through "+engine, func(t *testing.T) {
				cmd := l.Command(p, engine, "hpc3-run", "-q", l.Image, "sh", "-c", row.command)
				cmd.Args = slices.Concat([]string{"sh", "-c", `echo $$ >"$0/cgroup.procs"; exec "$@"`, group}, cmd.Args)
				cmd.Path = "/bin/sh"
				var out, errs bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &errs
				_ = cmd.Run() // the status is looked at below
				if status := cmd.ProcessState.ExitCode(); status != row.status || out.String() != row.stdout {
					t.Errorf("status %d, want %d; standard output %q\n%s", status, row.status, out.String(), errs.String())
				}
				lab.WaitFor(t, "every process of the job to end", func() bool {
					left, err := os.ReadFile(filepath.Join(group, "cgroup.procs"))
					return err == nil && len(left) == 0
				})
				mounts, err := os.ReadFile("/proc/self/mountinfo")
				if err != nil || strings.Contains(string(mounts), "fuse.hpc3") || strings.Contains(string(mounts), l.Work) {
					t.Errorf("a mount is left (%v):\n%s", err, mounts)
				}
			})
		}
	}
}

// TestSmallStep: a step that may have little memory reads the whole image through hpc3's own file
// server, and nothing of it is killed.
func TestSmallStep(t *testing.T) {
	lab.Needs(t, "apptainer", os.Getuid() == 0, "the lab needs root")
	lab.Needs(t, "apptainer", !testing.Short(), "the lab is not built by a short run")
	l := lab.New(t)
	p := lab.Persons()[0]
	group := memoryGroup(t, 60<<20)
	if _, stderr, status := l.Run(p, "native", l.Image, "true"); status != 0 { // converts the image, without a limit
		t.Fatalf("hpc3-run true: status %d\n%s", status, stderr)
	}
	const read = `for n in 1 2 3 4; do find /usr /opt /etc -type f -exec cat {} + >/dev/null 2>&1 & done; wait; echo done`
	cmd := l.Command(p, "native", "hpc3-run", "-q", "--squashfs", "builtin", l.Image, "sh", "-c", read)
	cmd.Args = slices.Concat([]string{"sh", "-c", `echo $$ >"$0/cgroup.procs"; exec "$@"`, group}, cmd.Args)
	cmd.Path = "/bin/sh"
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "done\n" {
		t.Errorf("%v\n%s", err, out)
	}
	lab.WaitFor(t, "every process of the job to end", func() bool {
		left, err := os.ReadFile(filepath.Join(group, "cgroup.procs"))
		return err == nil && len(left) == 0
	})
	if events, err := os.ReadFile(filepath.Join(group, "memory.events")); err == nil && !strings.Contains(string(events), "oom_kill 0\n") {
		t.Errorf("something was killed:\n%s", events)
	}
}
