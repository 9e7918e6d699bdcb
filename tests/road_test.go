package tests

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// lab is where the road is walked for real: a Debian root that holds Apptainer, entered by a private mount namespace, the image of
// tests/lab/login-image in Debian's registry, and a user whom that image does not know.
type lab struct {
	t     *testing.T
	root  string // the Debian root, or "/" for this machine
	image string
	work  string
}

// person is who starts the command. An engine that cannot serve him is not tried.
type person struct {
	name    string
	uid     int
	engines []string
}

var persons = []person{
	{"a user whom only the node knows", 4242, []string{"native", "apptainer"}},
	{"a user whom nobody knows", 54321, []string{"native"}},
	{"root", 0, []string{"native", "apptainer"}},
}

// TestRoad walks the road from a real registry to a process, with both engines and for several users.
func TestRoad(t *testing.T) {
	needs(t, "apptainer", os.Getuid() == 0, "the lab needs root")
	needs(t, "apptainer", !testing.Short(), "the lab is not built by a short run")
	l := newLab(t)
	for _, p := range persons {
		for _, engine := range p.engines {
			t.Run(p.name+" through "+engine, func(t *testing.T) { l.walk(t, p, engine) })
		}
	}
}

// needs skips a test, with a reason, where a part of the lab is missing; where HPC3_REQUIRE names the part it fails.
func needs(t *testing.T, part string, have bool, why string) {
	t.Helper()
	if have {
		return
	}
	if slices.Contains(strings.Split(os.Getenv("HPC3_REQUIRE"), ","), part) {
		t.Fatal(why)
	}
	t.Skip(why)
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, root: script(t, "sid-root"), work: t.TempDir()}
	l.image = serve(t, script(t, "login-image"), filepath.Join(l.work, "registry"))
	if err := os.Chmod(l.work, 0o755); err != nil {
		t.Fatal(err)
	}
	return l
}

// script runs a script of tests/lab and returns the last line it prints, which is a path.
func script(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command("lab/"+name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tests/lab/%s: %v\n%s%s", name, err, out, stderr.Bytes())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

// command is hpc3-run in the lab, as a person with a home and a cache of his own.
func (l *lab) command(p person, engine string, args ...string) *exec.Cmd {
	home := "/lab/" + l.home(p)
	enter := []string{
		l.root, "--user", fmt.Sprint(p.uid), "--bind", binDir + ":/opt/hpc3/bin", "--bind", l.work + ":/lab", "--",
		"env", "-i", "PATH=/opt/hpc3/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=" + home, "TERM=xterm", "LANG=C.UTF-8", "HPC3_ENGINE=" + engine,
		"sh", "-c", `cd "$HOME" && "$@"; exit $?`, "sh",
	} // a shell in between turns a signal into a status
	return exec.Command("lab/enter", append(enter, args...)...)
}

// run runs hpc3-run and returns what it wrote and its status.
func (l *lab) run(p person, engine string, args ...string) (stdout, stderr string, status int) {
	cmd := l.command(p, engine, append([]string{"hpc3-run", "-q"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Stdin = strings.NewReader("standard input\n")
	_ = cmd.Run() // the status is looked at by the caller
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func (l *lab) walk(t *testing.T, p person, engine string) {
	if _, stderr, status := l.run(p, engine, l.image, "true"); status == 125 && strings.Contains(stderr, "error[engine]: using Apptainer: root lacks capabilities") {
		t.Skip(strings.TrimSpace(stderr))
	}
	for _, tt := range []struct {
		name   string
		args   []string // IMAGE stands for the image
		want   string   // stdout
		status int
		stderr string // its last line of error, where the status is hpc3-run's own
	}{
		{name: "exact arguments", args: []string{"IMAGE", "printf", "%s|", "a b", "*", "$HOME", ""}, want: "a b|*|$HOME||"},
		{name: "quotes, separators, line break", args: []string{"IMAGE", "printf", "[%s]", `a "b" 'c'`, "x;y&&z", "1\n2", `\`, "$((1+1))", "-n"}, want: "[a \"b\" 'c'][x;y&&z][1\n2][\\][$((1+1))][-n]"},
		{name: "a status", args: []string{"IMAGE", "sh", "-c", "exit 7"}, status: 7},
		{name: "true after --", args: []string{"IMAGE", "--", "true"}},
		{name: "a signal", args: []string{"IMAGE", "sh", "-c", "kill -TERM $$"}, status: 128 + 15},
		{name: "no such command", args: []string{"IMAGE", "no-such-command"}, status: 127, stderr: "exec"},
		{name: "not executable", args: []string{"IMAGE", "/etc/passwd"}, status: 126, stderr: "exec"},
		{name: "standard input", args: []string{"IMAGE", "cat"}, want: "standard input\n"},
		{name: "a login shell", args: []string{"IMAGE", "sh", "-c", `echo "$HPC3_PROFILE"`}, want: "read\n"},
		{name: "identity", args: []string{"IMAGE", "id", "-u"}, want: fmt.Sprintln(p.uid)},
		{name: "a name for the user", args: []string{"IMAGE", "sh", "-c", `test -n "$(whoami)" && getent passwd "$(id -u)" >/dev/null && echo known`}, want: "known\n"},
		{name: "home and working directory", args: []string{"IMAGE", "sh", "-c", `test "$HOME" = "$PWD" && touch here && echo ok`}, want: "ok\n"},
		{name: "without the home", args: []string{"--no-container-mount-home", "-w", "/", "IMAGE", "sh", "-c", `test ! -e "$HOME/here" && echo gone`}, want: "gone\n"},
		{name: "a working directory", args: []string{"-w", "/usr/lib", "IMAGE", "pwd"}, want: "/usr/lib\n"},
		{name: "a working directory that is not there", args: []string{"-w", "/no/such", "IMAGE", "true"}, status: 125, stderr: "mount"},
		{name: "another HOME", args: []string{"-e", "HOME=/opt", "-w", "/usr", "IMAGE", "sh", "-c", `echo "$HOME" ~ "$PWD"`}, want: "/opt /opt /usr\n"},
		{name: "a variable set", args: []string{"-e", "A=x, \"y\"\n$z", "IMAGE", "printenv", "A"}, want: "x, \"y\"\n$z\n"},
		{name: "a variable of the image", args: []string{"IMAGE", "printenv", "ODD"}, want: "a 'b' \"c\" $d\n"},
		{name: "a variable of the image set", args: []string{"-e", "APP_HOME=it's $HOME `id` \\", "IMAGE", "printenv", "APP_HOME"}, want: "it's $HOME `id` \\\n"},
		{name: "the user in the environment", args: []string{"IMAGE", "sh", "-c", `test "$USER" = "$(id -un)" && test "$LOGNAME" = "$USER" && echo "$SHELL"`}, want: "/bin/bash\n"},
		{name: "a bind", args: []string{"-B", "/usr/share/doc:/not/in/the/image:ro", "IMAGE", "sh", "-c", "ls -d /not/in/the/image; touch /not/in/the/image/x 2>/dev/null || echo read-only"}, want: "/not/in/the/image\nread-only\n"},
		{name: "memory", args: []string{"-B", "tmpfs:/not/in/the/image", "IMAGE", "sh", "-c", "touch /not/in/the/image/x && ls /not/in/the/image && ls -A /tmp/../not/in/the"}, want: "x\nimage\n"},
		{name: "a read-only image", args: []string{"IMAGE", "sh", "-c", "touch /usr/x 2>/dev/null || echo read-only"}, want: "read-only\n"},
		{name: "a writable layer", args: []string{"--container-writable", "--engine", "auto", "IMAGE", "sh", "-c", "touch /usr/x && echo written"}, want: "written\n"},
		{name: "the image's entrypoint", args: []string{"--container-entrypoint", "image", "IMAGE", "printf", "%s|", "a b", ""}, want: "a b||"},
		{name: "no entrypoint", args: []string{"--container-entrypoint", "none", "IMAGE", "printf", "%s|", "a b", ""}, want: "a b||"},
		{name: "a shell without a terminal", args: []string{"IMAGE"}, status: 127},
		{name: "what the command is told", args: []string{"IMAGE", "sh", "-c", `case $HPC3_IMAGE_DIGEST in sha256:*) echo "$HPC3_IMAGE_REF";; esac`}, want: l.image + "\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for i, a := range tt.args {
				if a == "IMAGE" {
					tt.args[i] = l.image
				}
			}
			stdout, stderr, status := l.run(p, engine, tt.args...)
			if stdout != tt.want || status != tt.status {
				t.Errorf("hpc3-run %q = %q, status %d; want %q, status %d; stderr:\n%s", tt.args, stdout, status, tt.want, tt.status, stderr)
			}
			if tt.stderr != "" && !strings.Contains(lastError(stderr), "hpc3-run: error["+tt.stderr+"]: ") {
				t.Errorf("hpc3-run %q ends with %q on stderr, want an error of class %s", tt.args, lastError(stderr), tt.stderr)
			}
		})
	}
	t.Run("a terminal", func(t *testing.T) { l.terminal(t, p, engine) })
}

// lastError returns the last line that is no hint.
func lastError(stderr string) string {
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if !strings.HasPrefix(lines[i], "hpc3-run: hint: ") {
			return lines[i]
		}
	}
	return ""
}

// terminal types into the login shell that a user gets on a terminal.
func (l *lab) terminal(t *testing.T, p person, engine string) {
	cmd := l.command(p, engine, "hpc3-run", "-q", l.image)
	tty, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	if _, err := tty.WriteString("shopt -q login_shell && echo log''in $HPC3_PROFILE; case $PATH in *:/opt/extra/bin*) echo own pa''th; esac; tty -s && echo termin''al; sleep 100 & jobs %1 && kill %1; exit 3\n"); err != nil {
		t.Fatal(err)
	}
	var seen bytes.Buffer
	done := make(chan error, 1)
	go func() {
		_, _ = seen.ReadFrom(tty) // a terminal whose other end closed answers EIO
		done <- cmd.Wait()
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		_ = cmd.Process.Kill() // it may have ended just now
		<-done
		t.Fatalf("the shell did not end; seen:\n%s", seen.String())
	}
	for _, want := range []string{"login read", "own path", "terminal", "Running"} {
		if !strings.Contains(seen.String(), want) {
			t.Errorf("the terminal did not show %q; seen:\n%s", want, seen.String())
		}
	}
	if !strings.Contains(seen.String(), "$ ") && !strings.Contains(seen.String(), "# ") {
		t.Errorf("the terminal did not show a prompt; seen:\n%s", seen.String())
	}
	if status := cmd.ProcessState.ExitCode(); status != 3 {
		t.Errorf("the shell ended with status %d, want 3", status)
	}
}
