package engine

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// TestRoad walks the road from a real registry to a process, with both engines and for several
// users.
func TestRoad(t *testing.T) {
	lab.Needs(t, "apptainer", os.Getuid() == 0, "the lab needs root")
	lab.Needs(t, "apptainer", !testing.Short(), "the lab is not built by a short run")
	l := lab.New(t)
	for _, p := range lab.Persons() {
		for _, engine := range p.Engines {
			t.Run(p.Name+" through "+engine, func(t *testing.T) { walk(t, l, p, engine) })
		}
	}
}

func walk(t *testing.T, l *lab.Lab, p lab.Person, engine string) {
	if _, stderr, status := l.Run(p, engine, l.Image, "true"); status == 125 && strings.Contains(stderr, "error[engine]: using Apptainer: root lacks capabilities") {
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
		{name: "identity", args: []string{"IMAGE", "id", "-u"}, want: fmt.Sprintln(p.UID)},
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
		{name: "what the command is told", args: []string{"IMAGE", "sh", "-c", `case $HPC3_IMAGE_DIGEST in sha256:*) echo "$HPC3_IMAGE_REF";; esac`}, want: l.Image + "\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for i, a := range tt.args {
				if a == "IMAGE" {
					tt.args[i] = l.Image
				}
			}
			stdout, stderr, status := l.Run(p, engine, tt.args...)
			if stdout != tt.want || status != tt.status {
				t.Errorf("hpc3-run %q = %q, status %d; want %q, status %d; stderr:\n%s", tt.args, stdout, status, tt.want, tt.status, stderr)
			}
			if tt.stderr != "" && !strings.Contains(lastError(stderr), "hpc3-run: error["+tt.stderr+"]: ") {
				t.Errorf("hpc3-run %q ends with %q on stderr, want an error of class %s", tt.args, lastError(stderr), tt.stderr)
			}
		})
	}
	t.Run("a terminal", func(t *testing.T) { terminal(t, l, p, engine) })
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
func terminal(t *testing.T, l *lab.Lab, p lab.Person, engine string) {
	cmd := l.Command(p, engine, "hpc3-run", "-q", l.Image)
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
