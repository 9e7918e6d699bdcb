package run_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/option"
)

// readers runs a test with each of those who read images, where they can be had, for an ordinary
// user and root. The SIF lies where nobody but root can write, and counts as one of a cache.
func readers(t *testing.T, test func(t *testing.T, l *lab, s start)) {
	t.Helper()
	l := need(t)
	for _, who := range callers {
		for _, reader := range []option.SquashFS{option.BuiltIn, option.SquashfuseLL, option.KernelsDriver} {
			t.Run(who.name+"/"+string(reader), func(t *testing.T) {
				s := start{who: who, plan: config(flatPlan{SIF: trusted(t), Cached: true, SquashFS: reader, Entrypoint: option.None})}
				switch reader {
				case option.SquashfuseLL:
					s = s.with(squashfuse(t))
				case option.KernelsDriver:
					s = kernel(t, l, s)
				}
				test(t, l, s)
				eventually(t, "no process of ours is left", func() bool { return l.processes(t)+len(external(t)) == 0 })
			})
		}
	}
}

// trusted returns an image in a directory of root's, with what readers could show differently.
func trusted(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/lib", "hpc3-run-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	sif := filepath.Join(dir, "image")
	all := tree{
		"usr/bin/show": host(filepath.Join(theLab.dir, "show")),
		"data/empty":   text(""), "data/long": text(strings.Repeat("0123456789abcde\n", 40000)), "data/private": private("x"), "data/setuid": {content: "x", mode: 0o4755},
		"data/odd \xff name": text("odd"), "data/link": link("../data/long"), "data/hard": {content: "twice", mode: 0o640, twin: "second"}, "data/null": null(),
		"data/theirs": {content: "of another", mode: 0o644, owner: 777}, "data/noted": {content: "x", mode: 0o644, xattr: "a value"},
	}
	for i := range 1000 {
		all[fmt.Sprint("data/many/", i)] = text(fmt.Sprint(i))
	}
	if err := all.write(sif); err != nil {
		t.Fatal(err)
	}
	return sif
}

// squashfuse returns a program that runs squashfuse_ll of the lab's Debian sid, which this machine
// need not have.
func squashfuse(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs the lab's Debian sid")
	}
	out, err := exec.Command("../../tests/lab/sid-root").Output()
	lines := strings.Fields(string(out))
	if err != nil || len(lines) == 0 {
		if os.Getenv("HPC3_REQUIRE") != "" {
			t.Fatalf("the lab has no Debian sid: %v", err)
		}
		t.Skipf("the lab has no Debian sid: %v", err)
	}
	root := lines[len(lines)-1]
	loaders, err := filepath.Glob(root + "/usr/lib64/ld-linux*.so.*")
	if err != nil || len(loaders) != 1 {
		t.Fatalf("the loader of %s: %v, %v", root, loaders, err)
	}
	libs, err := filepath.Glob(root + "/usr/lib/*-linux-gnu")
	if err != nil || len(libs) != 1 {
		t.Fatalf("the libraries of %s: %v, %v", root, libs, err)
	}
	return script(t, "exec "+loaders[0]+" --library-path "+libs[0]+" "+root+"/usr/bin/squashfuse_ll \"$@\"")
}

func script(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(shared(t), "squashfuse_ll")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

// with makes a program the node's squashfuse_ll, whether it has one or not.
func (s start) with(program string) start {
	s.before += `
for p in /usr/bin /usr/local/bin /usr/libexec/apptainer/bin /usr/local/libexec/apptainer/bin; do
	if [ -e $p/squashfuse_ll ]; then mount --bind ` + program + ` $p/squashfuse_ll; fi
done`
	s.env = []string{"HOME=/nonexistent", "PATH=" + filepath.Dir(program) + ":/usr/bin:/bin"}
	return s
}

// kernel is what the kernel's driver needs. Where this machine cannot have it, auto says so.
func kernel(t *testing.T, l *lab, s start) start {
	t.Helper()
	if s.uid != 0 {
		got := l.run(t, start{who: s.who, plan: s.plan, command: []string{"/usr/bin/show"}})
		if got.status != 125 || !strings.Contains(got.stderr, "error[engine]") || !strings.Contains(got.stderr, "only root may") || !strings.Contains(got.stderr, "hint: ") {
			t.Errorf("status %d, stderr %s", got.status, got.stderr)
		}
		t.Skip("only root may")
	}
	auto := s
	auto.plan.SquashFS, auto.command = option.AnySquashFS, []string{"/usr/bin/show"}
	if got := l.run(t, auto); strings.Contains(got.stderr, "cannot be had") {
		t.Skip(got.stderr)
	}
	return s
}

// external returns the processes of the lab's squashfuse_ll.
func external(t *testing.T) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(raw), "squashfuse_ll\x00-f\x00") {
			continue
		}
		pid := 0
		if _, err := fmt.Sscanf(file, "/proc/%d/", &pid); err != nil {
			t.Fatal(err)
		}
		if sif, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/3", pid)); err == nil && strings.HasPrefix(sif, "/var/lib/hpc3-run-test") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Whoever reads an image, it looks the same.
func TestReadersShowTheSame(t *testing.T) {
	want := map[string]string{}
	readers(t, func(t *testing.T, l *lab, s start) {
		s.command = []string{"/usr/bin/show", "tree", "/data"}
		got := l.run(t, s)
		if n := strings.Count(got.stdout, "\n"); got.status != 0 || n != 1013 {
			t.Fatalf("status %d, %d lines, stderr %s", got.status, n, got.stderr)
		}
		if s.plan.SquashFS == option.BuiltIn {
			want[s.name] = got.stdout
			for _, part := range []string{`attribute "a value"`, "size 640000 links 1", "/data/second mode 100640", "links 2", "mode 104755"} {
				if !strings.Contains(got.stdout, part) {
					t.Errorf("no %q in %s", part, got.stdout)
				}
			}
		}
		if diff := cmp.Diff(want[s.name], got.stdout); diff != "" {
			t.Errorf("differs from what the built-in server shows (-want +got):\n%s", diff)
		}
	})
}

// running starts a command, which sleeps, and waits for it.
func running(t *testing.T, l *lab, s start) *exec.Cmd {
	t.Helper()
	s.command = []string{"/usr/bin/show", "wait"}
	cmd := l.cmd(t, s)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); !strings.HasPrefix(line, "ready") {
		t.Fatalf("the command said %q, %v", line, err)
	}
	return cmd
}

// Whoever reads an image, its SIF is locked as long as the command runs, also where that is killed,
// and nothing is left then.
func TestReadersEndWithTheCommand(t *testing.T) {
	readers(t, func(t *testing.T, l *lab, s start) {
		cmd := running(t, l, s)
		if free(t, s.plan.SIF) {
			t.Error("the SIF is not locked while the command runs")
		}
		if n := len(external(t)); (n == 1) != (s.plan.SquashFS == option.SquashfuseLL) {
			t.Errorf("%d processes of squashfuse_ll", n)
		}
		// The lock is also held where the server, which is only a helper then, is gone.
		if s.plan.SquashFS != option.BuiltIn {
			killServer(t, l, cmd.Process.Pid)
			if free(t, s.plan.SIF) {
				t.Error("the SIF is not locked without the helper")
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		eventually(t, "the SIF is not locked", func() bool { return free(t, s.plan.SIF) })
	})
}

func free(t *testing.T, sif string) bool {
	t.Helper()
	f, err := os.Open(sif)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

// killServer kills the lab's program, other than the command itself, which is another by now.
func killServer(t *testing.T, l *lab, command int) {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		var pid int
		if exe, err := os.Readlink(dir + "/exe"); err != nil || !strings.HasPrefix(exe, l.program) {
			continue
		}
		if _, err := fmt.Sscanf(dir, "/proc/%d", &pid); err != nil || pid == command {
			t.Fatalf("%s, %v", dir, err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the helper is gone", func() bool { return l.processes(t) == 0 })
}

// Without squashfuse_ll the command loses its files, and when it has ended nothing is left.
func TestSquashfuseKilled(t *testing.T) {
	readers(t, func(t *testing.T, l *lab, s start) {
		if s.plan.SquashFS != option.SquashfuseLL {
			t.Skip("another reader")
		}
		cmd := running(t, l, s)
		for _, pid := range external(t) {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "the helper has ended too", func() bool { return l.processes(t) == 0 })
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
	})
}

// A squashfuse_ll that fails, or never answers, is replaced by the built-in server, unless it was
// asked for by name.
func TestSquashfuseThatFails(t *testing.T) {
	l := need(t)
	for name, text := range map[string]string{"ends": "exit 1", "hangs": "exec sleep 1000", "hangs in a child": "sleep 1000; exit 1"} {
		for _, who := range callers {
			t.Run(who.name+"/"+name, func(t *testing.T) {
				if name != "ends" && (testing.Short() || who.uid == 0) {
					t.Skip("takes seconds")
				}
				s := start{who: who, plan: config(flatPlan{SquashFS: option.AnySquashFS}), command: []string{"sh", "-c", "echo ran"}}.with(script(t, text))
				if got := l.run(t, s); got.stdout != "ran\n" || !strings.Contains(got.stderr, "note: hpc3 serves the image itself, since ") {
					t.Errorf("auto: stdout %q, stderr %s", got.stdout, got.stderr)
				}
				s.plan.SquashFS = option.SquashfuseLL
				if got := l.run(t, s); got.status != 125 || !strings.Contains(got.stderr, "hpc3-run: error[engine]: mounting the image") || !strings.Contains(got.stderr, "--squashfs") {
					t.Errorf("by name: status %d, stderr %s", got.status, got.stderr)
				}
				eventually(t, "no process of ours is left", func() bool { return l.processes(t) == 0 })
			})
		}
	}
}

// What cannot be had is said, where it was asked for by name, and passed over where it was not.
func TestReadersThatCannotBeHad(t *testing.T) {
	l := need(t)
	if _, err := exec.LookPath("squashfuse_ll"); err != nil {
		got := l.run(t, start{who: unknown, plan: config(flatPlan{SquashFS: option.SquashfuseLL}), command: []string{"show"}})
		if got.status != 125 || !strings.Contains(got.stderr, "error[engine]: using squashfuse_ll: ") || !strings.Contains(got.stderr, "hint: install squashfuse") {
			t.Errorf("no squashfuse_ll: status %d, stderr %s", got.status, got.stderr)
		}
	}
	sif := trusted(t)
	writable := filepath.Join(filepath.Dir(sif), "writable")
	raw, err := os.ReadFile(sif)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(writable, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(writable, 0o664); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, why string
		plan      flatPlan
		before    string
	}{
		{"not of a cache", "only SIFs that hpc3 itself", flatPlan{SIF: sif}, ""},
		{"below /tmp", "others than root may write /tmp", flatPlan{SIF: l.bash, Cached: true}, ""},
		{"of a group", "others than root may write " + writable, flatPlan{SIF: writable, Cached: true}, ""},
		{"no loop devices", "a loop device", flatPlan{SIF: sif, Cached: true}, "mount --bind /dev/null /dev/loop-control"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start{who: root, plan: config(tt.plan), before: tt.before, command: []string{"/usr/bin/show"}}
			s.plan.SquashFS, s.plan.Entrypoint = option.KernelsDriver, option.None
			if got := l.run(t, s); got.status != 125 || !strings.Contains(got.stderr, "error[engine]: mounting the image by the kernel's driver: "+tt.why) || !strings.Contains(got.stderr, "hint: ") {
				t.Errorf("by name: status %d, stderr %s", got.status, got.stderr)
			}
			s.plan.SquashFS = option.AnySquashFS
			if got := l.run(t, s); got.status != 0 || (tt.before != "") != strings.Contains(got.stderr, "note: the image is served over FUSE") {
				t.Errorf("auto: status %d, stderr %s", got.status, got.stderr)
			}
		})
	}
	eventually(t, "no process of ours is left", func() bool { return l.processes(t) == 0 })
}

// The kernel's driver leaves no loop device behind.
func TestKernelLeavesNoDevice(t *testing.T) {
	readers(t, func(t *testing.T, l *lab, s start) {
		if s.plan.SquashFS != option.KernelsDriver {
			t.Skip("another reader")
		}
		devices := func() string {
			var found []string
			files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				if raw, err := os.ReadFile(file); err == nil && strings.HasPrefix(string(raw), s.plan.SIF) {
					found = append(found, file)
				}
			}
			return strings.Join(found, " ")
		}
		cmd := running(t, l, s)
		if devices() == "" {
			t.Error("no loop device shows the SIF while the command runs")
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		eventually(t, "the loop device is free", func() bool { return devices() == "" })
	})
}
