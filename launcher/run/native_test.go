package run_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/option"
)

// The table of what a login shell does to arguments: nothing.
func TestArgumentsArriveExactly(t *testing.T) {
	l := need(t)
	tests := []struct {
		name    string
		command []string
		stdout  string
		status  int
	}{
		{"words", []string{"echo", "A", "B", "C"}, "A B C\n", 0},
		{"sh -c of two words", []string{"sh", "-c", "echo one two"}, "one two\n", 0},
		{"status", []string{"sh", "-c", "exit 7"}, "", 7},
		{"blank in a word", []string{"printf", "%s\n", "first", "second arg"}, "first\nsecond arg\n", 0},
		{"empty word", []string{"printf", "[%s]", "a", "", "b"}, "[a][][b]", 0},
		{"star", []string{"echo", "*"}, "*\n", 0},
		{"variable inside of sh -c", []string{"bash", "-c", "echo $HOME"}, "/nonexistent\n", 0},
		{"dollar", []string{"echo", "$HOME"}, "$HOME\n", 0},
		{"arithmetic", []string{"echo", "$((1+1))"}, "$((1+1))\n", 0},
		{"quotes", []string{"echo", `a "b" c 'd'`}, "a \"b\" c 'd'\n", 0},
		{"semicolon and backquote", []string{"printf", "%s|", ";", "`id`", "&&", "a;b", "\\"}, ";|`id`|&&|a;b|\\|", 0},
		{"line break", []string{"printf", "%s|", "a\nb", "\n"}, "a\nb|\n|", 0},
		{"not UTF-8", []string{"printf", "%s|", "\xff\xfe", "é"}, "\xff\xfe|é|", 0},
		{"like an option", []string{"printf", "%s|", "--", "-c", "-l"}, "--|-c|-l|", 0}, // printf takes its own "--"
		{"false", []string{"false"}, "", 1},
	}
	for _, image := range []string{l.bash, l.sh} {
		for _, tt := range tests {
			t.Run(filepath.Base(image)+"/"+tt.name, func(t *testing.T) {
				if image == l.sh && tt.command[0] == "bash" {
					t.Skip("the image has no bash")
				}
				command := tt.command
				for _, p := range []string{"echo", "printf", "false"} {
					if command[0] == p { // programs that the image lacks, played by sh
						command = append([]string{"sh", "-c", p + ` "$@"`, "sh"}, command[1:]...)
					}
				}
				got := l.run(t, start{who: unknown, plan: config(flatPlan{SIF: image}), command: command})
				want := tt.stdout
				if tt.name == "like an option" {
					want = "--|-c|-l|"
				}
				if got.stdout != want || got.status != tt.status {
					t.Errorf("%q printed %q and ended with %d, want %q and %d; stderr: %s", tt.command, got.stdout, got.status, want, tt.status, got.stderr)
				}
			})
		}
	}
}

// Every entrypoint mode and kind of image hands over the same words.
func TestWordsReachTheCommand(t *testing.T) {
	l := need(t)
	words := []string{"show", "a b", "", "*", "$HOME", "\n", "\xff", "-c", "--"}
	entry := oci.Config{Entrypoint: []string{"/usr/bin/show"}, Cmd: []string{"default"}}
	deck := oci.Config{Entrypoint: []string{"/bin/bash", "--rcfile", "/etc/profile", "-l", "-c", "$*", "--"}, Cmd: []string{"/bin/bash"}}
	for _, who := range callers {
		for name, plan := range map[string]flatPlan{
			"login, bash":    config(flatPlan{SIF: l.bash}),
			"login, sh":      config(flatPlan{SIF: l.sh}),
			"login, none":    config(flatPlan{SIF: l.bare}),
			"login, foreign": {SIF: l.bash},
			"none":           config(flatPlan{Entrypoint: option.None}),
			"none, foreign":  {Entrypoint: option.None},
			"image, deck":    {Entrypoint: option.Image, HasConfig: true, Config: deck},
			"image":          {Entrypoint: option.Image, HasConfig: true, Config: entry},
		} {
			t.Run(who.name+"/"+name, func(t *testing.T) {
				command, want := words, words
				if name == "image" {
					command, want = words[1:], append([]string{"/usr/bin/show"}, words[1:]...)
				}
				got := l.run(t, start{who: who, plan: plan, command: command})
				if diff := cmp.Diff(quoted(want), args(got.stdout)); diff != "" || got.status != 0 {
					t.Errorf("status %d, words differ (-want +got):\n%s\nstderr: %s", got.status, diff, got.stderr)
				}
			})
		}
	}
}

func quoted(words []string) []string {
	var q []string
	for i, w := range words {
		q = append(q, fmt.Sprintf("arg %d %q", i, w))
	}
	return q
}

func args(shown string) []string { return lines(shown, "arg ") }

func lines(shown, prefix string) []string {
	var found []string
	for line := range strings.Lines(shown) {
		if strings.HasPrefix(line, prefix) {
			found = append(found, strings.TrimSuffix(line, "\n"))
		}
	}
	return found
}

func TestImageDefaults(t *testing.T) {
	l := need(t)
	entry := oci.Config{Entrypoint: []string{"/usr/bin/show"}, Cmd: []string{"default", "$HOME"}}
	got := l.run(t, start{who: unknown, plan: flatPlan{Entrypoint: option.Image, HasConfig: true, Config: entry}})
	if diff := cmp.Diff(quoted([]string{"/usr/bin/show", "default", "$HOME"}), args(got.stdout)); diff != "" {
		t.Errorf("ENTRYPOINT and CMD differ (-want +got):\n%s\nstderr: %s", diff, got.stderr)
	}
	got = l.run(t, start{who: unknown, plan: flatPlan{Entrypoint: option.None, HasConfig: true}})
	if got.status != 125 || !strings.Contains(got.stderr, "error[usage]") {
		t.Errorf("no command in mode none: status %d, stderr %s", got.status, got.stderr)
	}
}

// Status 126 and 127, with our message as the last lines of stderr, whatever looks for the command.
func TestCommandsThatCannotRun(t *testing.T) {
	l := need(t)
	foreign := flatPlan{SIF: l.bash}
	direct := config(flatPlan{Entrypoint: option.None})
	for name, plan := range map[string]flatPlan{"bash": config(flatPlan{SIF: l.bash}), "sh": config(flatPlan{SIF: l.sh}), "bare": config(flatPlan{SIF: l.bare}), "foreign": foreign, "direct": direct} {
		for _, tt := range []struct {
			command string
			status  int
			message string
		}{
			{"nosuchcmd", 127, "no such command in the image"},
			{"/no/such/cmd", 127, ""},
			{"exit 7", 127, "no such command"},
			{"", 127, "no such command"},
			{"/etc/passwd", 126, ""},
			{"/opt/app/bin/plain", 126, ""},
			{"plain2", 126, ""},
			{"/usr/bin", 126, ""},
			{"badscript", 126, ""},
		} {
			t.Run(name+"/"+tt.command, func(t *testing.T) {
				if name == "bare" && tt.status == 126 && tt.command != "/etc/passwd" && tt.command != "/usr/bin" {
					t.Skip("the image lacks it")
				}
				got := l.run(t, start{who: unknown, plan: plan, command: []string{tt.command, "x"}})
				last := strings.Split(strings.TrimSpace(got.stderr), "\n")
				if got.status != tt.status || len(last) < 2 || !strings.HasPrefix(last[len(last)-1], "hpc3-run: hint: ") ||
					!strings.HasPrefix(last[len(last)-2], "hpc3-run: error[exec]: running \""+tt.command+"\": ") || !strings.Contains(last[len(last)-2], tt.message) {
					t.Errorf("status %d, want %d; stderr:\n%s", got.status, tt.status, got.stderr)
				}
			})
		}
	}
}

func TestLoginShellWithoutCommand(t *testing.T) {
	l := need(t)
	for _, tt := range []struct {
		name, image, stdin, want string
		env                      []string
	}{
		{"bash", l.bash, "echo $PROFILE_RAN $SITE_RAN; shopt -q login_shell && echo login; exit 3", "yes yes\nlogin\n", nil},
		{"sh", l.sh, "echo $PROFILE_RAN $SITE_RAN; exit 3", "yes yes\n", nil},
		{"own PATH", l.bash, "app; exit 3", "app here\n", []string{"PATH=/opt/app/bin:/usr/bin:/bin"}},
		{"own PATH, sh", l.sh, "app; exit 3", "app here\n", []string{"PATH=/opt/app/bin:/usr/bin:/bin"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := l.run(t, start{who: unknown, plan: config(flatPlan{SIF: tt.image}, tt.env...), stdin: tt.stdin})
			if got.stdout != tt.want || got.status != 3 {
				t.Errorf("printed %q, status %d, want %q, 3; stderr %s", got.stdout, got.status, tt.want, got.stderr)
			}
		})
	}
	got := l.run(t, start{who: unknown, plan: config(flatPlan{SIF: l.bare})})
	if got.status != 127 || !strings.Contains(got.stderr, "the image has no shell") {
		t.Errorf("image without a shell: status %d, stderr %s", got.status, got.stderr)
	}
}

func TestCallers(t *testing.T) {
	l := need(t)
	for _, tt := range []struct {
		who
		want string
	}{
		{unknown, "user54321\nuid=54321(user54321) gid=54321(group54321) groups=54321(group54321)\nuser54321:x:54321:54321::/nonexistent:/bin/bash\nuser54321 user54321 /nonexistent\n"},
		{who{"nobody", 65534}, "nobody\nuid=65534(nobody) gid=65534(nogroup) groups=65534(nogroup)\nnobody:x:65534:65534:nobody:/nonexistent:/bin/bash\nnobody nobody /nonexistent\n"},
		{who{"in the image by another name", 4242}, "user4242\nuid=4242(user4242) gid=4242(group4242) groups=4242(group4242)\nuser4242:x:4242:4242::/nonexistent:/bin/bash\nuser4242 user4242 /nonexistent\n"},
		{root, "root\nuid=0(root) gid=0(root) groups=0(root)\nroot:x:0:0:root:/root:/bin/bash\nroot root /nonexistent\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := l.run(t, start{who: tt.who, plan: config(flatPlan{}), command: []string{"sh", "-c", `whoami; id; grep -m1 ":x:$(id -u):" /etc/passwd; echo $USER $LOGNAME $HOME`}})
			if diff := cmp.Diff(tt.want, got.stdout); diff != "" {
				t.Errorf("differs (-want +got):\n%s\nstderr: %s", diff, got.stderr)
			}
		})
	}
}

// Descriptors of the caller pass, ours do not; no capability is left, and none can be had.
func TestProcessState(t *testing.T) {
	l := need(t)
	for _, who := range callers {
		t.Run(who.name, func(t *testing.T) {
			got := l.run(t, start{
				who: who, plan: config(flatPlan{}), command: []string{"show"},
				limits: "exec 7</etc/hostname; umask 027; ulimit -n 300; ulimit -c 0; trap '' USR1 QUIT PIPE HUP; cd /usr/lib",
			})
			for _, want := range []string{"NoNewPrivs: 1", "CapEff: 0000000000000000", "CapPrm: 0000000000000000", "CapInh: 0000000000000000", "CapAmb: 0000000000000000", "CapBnd: 0000000000000000", "Umask: 0027", "fd 7 /etc/hostname", "dir /usr/lib <nil>"} {
				if !strings.Contains(got.stdout, want+"\n") {
					t.Errorf("no line %q in:\n%s\nstderr: %s", want, got.stdout, got.stderr)
				}
			}
			plain, err := exec.Command("/bin/bash", "-c", "exec 7</etc/hostname; exec "+filepath.Join(l.dir, "show")).Output()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(descriptors(string(plain)), descriptors(got.stdout)); diff != "" {
				t.Errorf("descriptors differ from those outside (-want +got):\n%s", diff)
			}
			const limits, look = "ulimit -Sn 300; ulimit -Hn 4000; trap '' USR1 QUIT PIPE HUP", "ulimit -n; ulimit -Hn; grep -E '^Sig(Ign|Blk)' /proc/self/status"
			got = l.run(t, start{who: who, plan: config(flatPlan{}), command: []string{"sh", "-c", look}, limits: limits})
			// Outside, since whoever started this test may have it ignore other signals as well.
			want, err := exec.Command("/bin/bash", "-c", limits+"; exec sh -c \""+look+"\"").Output()
			if err != nil || !strings.HasPrefix(string(want), "300\n4000\n") {
				t.Fatalf("limits and signals outside: %q, %v", want, err)
			}
			if got.stdout != string(want) {
				t.Errorf("limits and signals: %q, outside %q; stderr %s", got.stdout, want, got.stderr)
			}
		})
	}
}

func descriptors(shown string) []string {
	var fds []string
	for _, line := range lines(shown, "fd ") {
		fds = append(fds, strings.Join(strings.Fields(line)[:2], " "))
	}
	return fds
}

// The command is the process that was started: signals, stops and the status are its own.
func TestSignals(t *testing.T) {
	l := need(t)
	for _, who := range callers {
		for sig, want := range map[syscall.Signal]int{syscall.SIGTERM: 42, syscall.SIGINT: 42, syscall.SIGUSR1: 42, syscall.SIGKILL: 137, syscall.SIGHUP: 129} {
			t.Run(fmt.Sprint(who.name, "/", sig), func(t *testing.T) {
				if signal.Ignored(sig) {
					t.Skip("it is ignored here, as under nohup, and so it is by the command")
				}
				cmd := l.cmd(t, start{who: who, plan: config(flatPlan{}), command: []string{"show", "wait"}})
				out, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				var stderr strings.Builder
				cmd.Stderr = &stderr
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				line, err := bufio.NewReader(out).ReadString('\n')
				if err != nil || line != fmt.Sprintf("ready %d\n", cmd.Process.Pid) {
					t.Errorf("the command said %q, %v; its pid should be %d", line, err, cmd.Process.Pid)
				}
				if err := cmd.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
				_ = cmd.Wait()
				if got := statusOf(cmd.ProcessState); got != want {
					t.Errorf("status %d after %v, want %d; stderr %s", got, sig, want, stderr.String())
				}
				eventually(t, "no process of ours is left", func() bool { return l.processes(t) == 0 })
			})
		}
	}
}

// The server outlives neither kill -9 nor the first process of a container that has others.
func TestNothingIsLeft(t *testing.T) {
	l := need(t)
	for _, who := range callers {
		t.Run(who.name, func(t *testing.T) {
			got := l.run(t, start{who: who, plan: config(flatPlan{}), command: []string{"sh", "-c", "(exec </dev/null >/dev/null 2>&1; sleep 0.3; cat /etc/group; sleep 0.3) & kill -9 $$"}})
			if got.status != 137 {
				t.Errorf("status %d, want 137; stderr %s", got.status, got.stderr)
			}
			eventually(t, "no process of ours is left", func() bool { return l.processes(t) == 0 })
			if raw, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(raw), "hpc3") {
				t.Errorf("mounts are left: %v %s", err, raw)
			}
		})
	}
}

// Killed at any time during the start, nothing is left either.
func TestKilledDuringStart(t *testing.T) {
	l := need(t)
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for i := range 40 {
		cmd := l.cmd(t, start{who: callers[i%2], plan: config(flatPlan{}), command: []string{"sleep", "60"}})
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// The stages are seen by the name of the process; kill in the one whose turn it is.
		stage := []string{"planrun", "hpc3:joi", "sleep"}[i%3]
		eventually(t, "stage "+stage, func() bool {
			raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", cmd.Process.Pid))
			name := filepath.Base(strings.Split(string(raw), "\x00")[0])
			return err != nil || strings.HasPrefix(name, stage) || name == "sleep"
		})
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	eventually(t, "no process of ours is left", func() bool { return l.processes(t) == 0 })
}

// The server holds none of the caller's pipes: a reader sees the end with the command's.
func TestPipesEnd(t *testing.T) {
	l := need(t)
	cmd := l.cmd(t, start{who: unknown, plan: config(flatPlan{}), command: []string{"sh", "-c", "(exec >/dev/null 2>&1 9>&-; sleep 30) & echo out; echo $! >&2"}})
	extra, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{nil, nil, theirs} // descriptor 5
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	all, err := io.ReadAll(out) // ends while the sleep, and so the server, lives on
	if string(all) != "out\n" || err != nil {
		t.Errorf("read %q, %v", all, err)
	}
	_ = cmd.Wait()
	var sleeper int
	if _, err := fmt.Sscan(stderr.String()[strings.LastIndexByte(strings.TrimSpace(stderr.String()), '\n')+1:], &sleeper); err != nil {
		t.Fatalf("stderr %q: %v", stderr.String(), err)
	}
	eventually(t, "one server runs, and no maker", func() bool { return l.processes(t) == 1 })
	if err := syscall.Kill(sleeper, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	if all, err := io.ReadAll(extra); err != nil || len(all) > 0 {
		t.Errorf("the other pipe: %q, %v", all, err)
	}
	eventually(t, "no process of ours is left", func() bool { return l.processes(t) == 0 })
}

// The command has no child but its own.
func TestNoUnexpectedChild(t *testing.T) {
	l := need(t)
	got := l.run(t, start{who: unknown, plan: config(flatPlan{}), command: []string{"sh", "-c", "cat /proc/$$/task/$$/children; echo; wait; echo $?"}})
	if !strings.HasSuffix(got.stdout, "\n0\n") || len(strings.Fields(got.stdout)) != 2 { // cat itself, and the status
		t.Errorf("children: %q", got.stdout)
	}
}

func TestStdin(t *testing.T) {
	l := need(t)
	in := strings.Repeat("line\n", 50000)
	got := l.run(t, start{who: unknown, plan: config(flatPlan{}), command: []string{"cat"}, stdin: in})
	if got.stdout != in || got.status != 0 {
		t.Errorf("cat returned %d bytes of %d, status %d", len(got.stdout), len(in), got.status)
	}
}

// Closed standard descriptors are no obstacle.
func TestClosedDescriptors(t *testing.T) {
	l := need(t)
	got := l.run(t, start{who: unknown, plan: config(flatPlan{}), command: []string{"show"}, limits: "exec <&- 2>&-"})
	if got.status != 0 || !strings.Contains(got.stdout, "arg 0") {
		t.Errorf("status %d, stdout %s", got.status, got.stdout)
	}
}

// While an image of the cache is served, its SIF is locked, so that hpc3 cache gc leaves it alone;
// afterwards it is not.
func TestServedImageIsLocked(t *testing.T) {
	l := need(t)
	free := func() bool {
		f, err := os.Open(l.sh)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
	}
	for _, cached := range []bool{true, false} {
		cmd := l.cmd(t, start{who: unknown, plan: config(flatPlan{SIF: l.sh, Cached: cached}), command: []string{"cat"}})
		cmd.Stdin = nil
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(stdin, "ready\n"); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
			t.Fatalf("the command says %q, %v", line, err)
		}
		if free() == cached {
			t.Errorf("the SIF of a running command is locked: %v, want %v", !free(), cached)
		}
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the SIF is not locked", free)
	}
}
