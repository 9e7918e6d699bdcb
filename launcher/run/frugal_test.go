package run_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/option"
)

// serverOf returns the number of the file server of the one container that runs.
func (l *lab) serverOf(t *testing.T, command int) int {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == command {
			continue
		}
		if exe, err := os.Readlink(dir + "/exe"); err == nil && strings.HasPrefix(exe, l.program) {
			found = pid
		}
	}
	if found == 0 {
		t.Fatal("there is no file server")
	}
	return found
}

// status returns a number of /proc/PID/status, in its unit.
func status(t *testing.T, pid int, what string) int {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(raw), what+":")
	if !ok {
		t.Fatalf("no %s in %s", what, raw)
	}
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// started starts a command whose first line of output says that it is ready, and returns what ends
// it.
func started(t *testing.T, l *lab, s start) (pid int, end func() int) {
	t.Helper()
	cmd := l.cmd(t, s)
	cmd.Stdin = nil
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the command said %q, %v", line, err)
	}
	return cmd.Process.Pid, func() int {
		_ = in.Close()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
		return statusOf(cmd.ProcessState)
	}
}

// The file server holds little memory while an image is read by many, less at rest, and gives it
// back.
func TestServerMemory(t *testing.T) {
	l := need(t)
	tools := tree{"usr/bin/show": host(filepath.Join(l.dir, "show"))}
	for i := range 24 {
		tools[fmt.Sprint("data/random", i)] = text(random(uint64(i), 2_000_000))
		tools[fmt.Sprint("data/text", i)] = text(strings.Repeat(random(uint64(i), 500), 4000))
	}
	for i := range 20_000 {
		tools[fmt.Sprintf("data/many/%d/%d", i%100, i)] = text(random(uint64(i), 200))
	}
	var image string
	all := tree{"bin": link("usr/bin"), "lib": link("usr/lib"), "lib64": link("usr/lib64"), "usr/bin/sh": host("/usr/bin/dash"), "usr/bin/cat": host(""), "usr/bin/find": host("")}
	if err := l.image(&image, "memory.sqfs", all, tools); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(image) })
	for _, who := range callers {
		t.Run(who.name, func(t *testing.T) {
			pid, end := started(t, l, start{
				who: who, plan: config(flatPlan{SIF: image, SquashFS: option.BuiltIn, Entrypoint: option.None}),
				command: []string{"/bin/sh", "-c", `for n in 1 2 3 4 5 6 7 8; do find /data/ -type f -exec cat {} + >/dev/null & done; wait; echo ready; cat`},
			})
			server := l.serverOf(t, pid)
			if most := status(t, server, "VmHWM"); most > 40_000 {
				t.Errorf("while the image was read, the server held %d kB", most)
			}
			eventually(t, "the server gives memory back", func() bool { return status(t, server, "VmRSS") <= 24_000 })
			t.Logf("%d kB at most, %d kB at rest, of which %d kB are the program", status(t, server, "VmHWM"), status(t, server, "VmRSS"), status(t, server, "RssFile"))
			if got := end(); got != 0 {
				t.Errorf("status %d", got)
			}
		})
	}
}

// The file server runs on all processors of the job, not on those of the rank that started it, and
// with its nice value.
func TestServerProcessors(t *testing.T) {
	l := need(t)
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	if all.Count() < 2 {
		t.Skip("there is one processor")
	}
	first := 0
	for !all.IsSet(first) {
		first++
	}
	for env, want := range map[string]int{fmt.Sprint("SLURM_CPUS_ON_NODE=", all.Count()): all.Count(), "SLURM_CPUS_ON_NODE=1": 1, "A=b": 1} {
		t.Run(env, func(t *testing.T) {
			pid, end := started(t, l, start{
				who: unknown, plan: config(flatPlan{SquashFS: option.BuiltIn}), command: []string{"/bin/sh", "-c", "echo ready; cat"},
				env: []string{"HOME=/nonexistent", "PATH=/usr/bin:/bin", env}, limits: fmt.Sprintf("taskset -pc %d $$ >/dev/null; renice -n 15 -p $$ >/dev/null", first),
			})
			server := l.serverOf(t, pid)
			var got, command unix.CPUSet
			if err := unix.SchedGetaffinity(server, &got); err != nil || got.Count() != want {
				t.Errorf("the server may run on %d processors (%v), want %d", got.Count(), err, want)
			}
			if err := unix.SchedGetaffinity(pid, &command); err != nil || command.Count() != 1 {
				t.Errorf("the command may run on %d processors (%v)", command.Count(), err)
			}
			if prio, err := unix.Getpriority(unix.PRIO_PROCESS, server); err != nil || 20-prio != 15 {
				t.Errorf("the server's nice value is %d (%v)", 20-prio, err)
			}
			end()
		})
	}
}
