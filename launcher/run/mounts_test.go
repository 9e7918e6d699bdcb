package run_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/option"
)

// data makes a directory on the node that everyone may write, with a file in it.
func data(t *testing.T) string {
	t.Helper()
	dir := shared(t)
	if err := errors.Join(os.Chmod(dir, 0o777), os.WriteFile(filepath.Join(dir, "file"), []byte("data\n"), 0o666), os.Chmod(filepath.Join(dir, "file"), 0o666)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestBinds(t *testing.T) {
	l := need(t)
	for _, who := range callers {
		t.Run(who.name, func(t *testing.T) { l.binds(t, who, data(t)) })
	}
	t.Cleanup(func() { os.Remove("/hpc3-dev") })
}

func (l *lab) binds(t *testing.T, who who, dir string) {
	bind := func(source, target string, options ...string) option.Mount {
		return option.Mount{Source: source, Target: target, Options: options}
	}
	for _, tt := range []struct {
		name   string
		mounts []option.Mount
		script string
		want   string
		before string
	}{
		{"directory the image lacks", []option.Mount{bind(dir, "/a/b/c")}, "cat /a/b/c/file; touch /a/b/c/new && echo made", "data\nmade\n", ""},
		{"file the image lacks", []option.Mount{bind(dir+"/file", "/x/y")}, "cat /x/y", "data\n", ""},
		{"over a directory of the image", []option.Mount{bind(dir, "/opt/app")}, "ls /opt/app", "file\nnew\n", ""},
		{"over a file of the image", []option.Mount{bind(dir+"/file", "/etc/profile.d/site.sh")}, "cat /etc/profile.d/site.sh", "data\n", ""},
		{"relative source", []option.Mount{bind("file", "/x")}, "cat /x", "data\n", ""},
		{"read-only", []option.Mount{bind(dir, "/d", "ro")}, "cat /d/file; touch /d/no 2>/dev/null || echo refused; echo x 2>/dev/null >/d/file || echo refused", "data\nrefused\nrefused\n", ""},
		{"read-only file", []option.Mount{bind(dir+"/file", "/d", "ro")}, "cat /d; ( echo x >/d ) 2>/dev/null || echo refused", "data\nrefused\n", ""},
		{"read-only, with a mount below", []option.Mount{bind(dir, "/d", "ro")}, "touch /d/sub/no 2>/dev/null || echo refused", "refused\n", "mkdir -p " + dir + "/sub; mount -t tmpfs -o mode=1777 x " + dir + "/sub"},
		{"a mount below", []option.Mount{bind(dir, "/d")}, "touch /d/sub/yes && echo made", "made\n", "mkdir -p " + dir + "/sub; mount -t tmpfs -o mode=1777 x " + dir + "/sub"},
		{"noexec", []option.Mount{bind(dir, "/d", "noexec", "nosuid", "nodev")}, "grep ' /d ' /proc/self/mountinfo | tr ' ' '\n' | grep nosuid", "rw,nosuid,nodev,noexec,relatime\n", ""},
		{"flags of the source are kept", []option.Mount{bind(dir, "/d", "ro")}, "grep ' /d ' /proc/self/mountinfo | tr ' ' '\n' | grep ^ro,", "ro,nosuid,nodev,noexec,relatime\n", "mount --bind " + dir + " " + dir + "; mount -o remount,bind,nosuid,nodev,noexec " + dir},
		{"noexec, tried", []option.Mount{bind(dir, "/d", "noexec")}, "cp=/d/run; echo 'echo ran' >$cp; chmod 755 $cp; $cp 2>/dev/null || echo refused; rm $cp", "refused\n", ""},
		{"nodev, tried", []option.Mount{bind("/hpc3-dev", "/d"), bind("/hpc3-dev", "/e", "nodev")}, "cat /d/null && echo open; cat /e/null 2>/dev/null || echo refused", "open\nrefused\n", "mkdir -p /hpc3-dev; mount -t tmpfs -o mode=755 x /hpc3-dev; mknod -m 666 /hpc3-dev/null c 1 3"},
		{"setuid files", []option.Mount{bind("/hpc3-dev", "/d")}, "[ $(/d/id -u) = $(id -u) ] && [ $(suid-id -u) = $(id -u) ] && [ $(suid-id -g) = $(id -g) ] && echo 'no effect'", "no effect\n", "mkdir -p /hpc3-dev; mount -t tmpfs -o mode=755 x /hpc3-dev; cp /usr/bin/id /hpc3-dev; chown 12345:12345 /hpc3-dev/id; chmod 6755 /hpc3-dev/id"},
		{"read-only, tried from a namespace below", []option.Mount{bind(dir, "/d", "ro")}, "exec 2>/dev/null; unshare -Urm sh -c 'mount -o remount,bind,rw /d || umount /d || umount -l /d || mount -o remount,bind,rw / || touch /d/no || touch /etc/no || exit 7'; [ $? = 7 ] || [ $(id -u) = 0 ] && ! touch /d/no && echo refused", "refused\n", ""},
		{"in memory", []option.Mount{bind(option.Tmpfs, "/no/such/dir")}, "touch /no/such/dir/new && ls /no/such/dir; grep ' /no/such/dir ' /proc/self/mountinfo | tr ' ' '\n' | grep nosuid", "new\nrw,nosuid,nodev,relatime\n", ""},
		{"in memory, over the node's", []option.Mount{bind(dir, "/d"), bind(option.Tmpfs, "/d/sub", "noexec"), bind(option.Tmpfs, "/tmp", "ro")}, "ls /d/sub /tmp; touch /tmp/no 2>/dev/null || echo refused; echo >/d/sub/x; chmod 755 /d/sub/x; /d/sub/x 2>/dev/null || echo refused", "/d/sub:\n\n/tmp:\nrefused\nrefused\n", "mkdir -p " + dir + "/sub; touch " + dir + "/sub/hidden"},
		{"through an absolute symlink of the image", []option.Mount{bind(dir, "/var/run/x")}, "ls /run; cat /run/x/file", "keep\nsystemd\nx\ndata\n", ""},
		{"a symlink that points out stays inside", []option.Mount{bind(dir, "/escape/x")}, "cat /opt/x/file", "data\n", ""},
		{"a dangling symlink", nil, "readlink /etc/resolv.conf; cat /etc/resolv.conf >/dev/null && echo there", "../run/systemd/resolve/stub-resolv.conf\nthere\n", ""},
		{"a symlink that leads into a directory of the node", nil, "grep -c localhost /etc/hosts >/dev/null && ! readlink /etc/hosts && echo file", "file\n", ""},
		{"the later wins", []option.Mount{bind("/etc/hostname", "/x"), bind(dir+"/file", "/x")}, "cat /x", "data\n", ""},
		{"passwd of the node", []option.Mount{bind(dir+"/file", "/etc/passwd")}, "cat /etc/passwd", "data\n", ""},
		{"strange names", []option.Mount{bind(dir+"/a b,c:d$(id)\n'\"", "/x y,z$(id)\n'\"")}, "ls /x*", "there\n", "mkdir -p " + dir + "/$'a b,c:d$(id)\\n\\'\"'; touch " + dir + "/$'a b,c:d$(id)\\n\\'\"/there'"},
		{"node's own directories again", []option.Mount{bind("/dev", "/dev"), bind("/proc", "/proc")}, "echo ok >/dev/null && echo ok", "ok\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := l.run(t, start{who: who, plan: config(flatPlan{Mounts: tt.mounts}), command: []string{"bash", "-c", tt.script}, dir: dir, before: tt.before})
			if got.stdout != tt.want {
				t.Errorf("printed %q, want %q; status %d, stderr %s", got.stdout, tt.want, got.status, got.stderr)
			}
		})
	}
	if raw, err := os.ReadFile(filepath.Join(dir, "file")); string(raw) != "data\n" || err != nil {
		t.Errorf("the node's file changed: %q, %v", raw, err)
	}
}

func TestBindsRefused(t *testing.T) {
	l := need(t)
	dir := data(t)
	for _, tt := range []struct {
		name   string
		mount  option.Mount
		why    string
		before string
	}{
		{"missing source", option.Mount{Source: "/no/such", Target: "/x"}, "binding /no/such: no such file or directory", ""},
		{"over the root", option.Mount{Source: dir, Target: "/"}, "would not work", ""},
		{"over proc", option.Mount{Source: dir, Target: "/proc"}, "would not work", ""},
		{"over the root by a symlink", option.Mount{Source: dir, Target: "/toroot"}, "would not work", ""},
		{"memory over the root", option.Mount{Source: option.Tmpfs, Target: "/"}, "would not work", ""},
		{"memory on a file", option.Mount{Source: option.Tmpfs, Target: "/etc/passwd"}, "not a directory", ""},
		{"loop", option.Mount{Source: dir, Target: "/loop/x"}, "too many levels of symbolic links", ""},
		{"directory on file", option.Mount{Source: dir, Target: "/etc/passwd"}, "not a directory", ""},
		{"file on directory", option.Mount{Source: dir + "/file", Target: "/usr"}, "not a directory", ""},
		{"below a file", option.Mount{Source: dir, Target: "/etc/passwd/x"}, "not a directory", ""},
		{"would be made on the node", option.Mount{Source: dir, Target: dir + "/no/sub"}, "a directory of this node", ""},
		{"unreachable source", option.Mount{Source: "/root/x", Target: "/x"}, "binding /root/x", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := l.run(t, start{who: unknown, plan: config(flatPlan{Mounts: []option.Mount{tt.mount}}), command: []string{"true"}, before: tt.before})
			if got.status != 125 || !strings.Contains(got.stderr, "hpc3-run: error[mount]: ") || !strings.Contains(got.stderr, tt.why) {
				t.Errorf("status %d, want 125 and %q; stderr: %s", got.status, tt.why, got.stderr)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "no")); err == nil {
		t.Error("a directory was made on the node")
	}
	eventually(t, "no process of ours is left", func() bool { return l.processes(t) == 0 })
}

// An image's devices are there and cannot be opened, by root neither; those in /dev are the node's.
func TestDevicesOfTheImage(t *testing.T) {
	l := need(t)
	for _, who := range callers {
		for _, writable := range []bool{false, true} {
			got := l.run(t, start{who: who, plan: config(flatPlan{Writable: writable}), command: []string{"sh", "-c", "exec 2>&1; stat -c %F:%t:%T /srv/null; cat /srv/null || echo x >/dev/null && echo usable"}})
			if want := "character special file:1:3\ncat: /srv/null: Permission denied\nusable\n"; got.stdout != want {
				t.Errorf("%s, writable %v: %q, want %q; stderr %s", who.name, writable, got.stdout, want, got.stderr)
			}
		}
	}
}

// What attributes of user.overlay.* say in an image is nothing to the engine's own overlay: the
// file is there. (As root, squashfuse_ll gives them out as those of trusted.overlay.*. A SIF that
// hpc3 has made has none.)
func TestOverlayAttributesOfTheImage(t *testing.T) {
	l := need(t)
	for _, who := range callers {
		got := l.run(t, start{who: who, plan: config(flatPlan{SquashFS: option.BuiltIn}), command: []string{"sh", "-c", "ls /srv/left; cat /srv/left/over && echo read"}})
		if got.stdout != "over\nread\n" {
			t.Errorf("%s: %q; stderr %s", who.name, got.stdout, got.stderr)
		}
	}
}

func TestReadOnlyAndWritable(t *testing.T) {
	l := need(t)
	script := "exec 2>/dev/null; echo x >/etc/new && cat /etc/new; echo y >>/etc/profile && grep y$ /etc/profile; rm -r /opt/app && ls /opt; mkdir /opt/app && ls /opt/app; mv /run/keep /run/kept && ls /run; cat /secret >/dev/null && echo read"
	for _, who := range callers {
		got := l.run(t, start{who: who, plan: config(flatPlan{}), command: []string{"sh", "-c", script}})
		if got.stdout != "read\n" {
			t.Errorf("%s, read-only: %q", who.name, got.stdout)
		}
		got = l.run(t, start{who: who, plan: config(flatPlan{Writable: true}), command: []string{"sh", "-c", script}})
		if want := "x\ny\nkept\nresolv\nsystemd\nread\n"; got.stdout != strings.ReplaceAll(want, "resolv\n", "") {
			t.Errorf("%s, writable: %q, want %q; stderr %s", who.name, got.stdout, want, got.stderr)
		}
	}
	got := l.run(t, start{who: unknown, plan: config(flatPlan{Writable: true}), command: []string{"sh", "-c", "ls /etc/new"}})
	if got.status == 0 {
		t.Error("what was written is still there")
	}
}

func TestHomeAndWorkingDirectory(t *testing.T) {
	l := need(t)
	home, other := data(t), data(t)
	env := []string{"HOME=" + home, "PATH=/usr/bin"}
	away := func(path string) string { // out of /tmp, which is bound anyhow
		return strings.Replace(path, l.dir, "/hpc3-test", 1)
	}
	before := "mkdir -p /hpc3-test; mount --bind " + l.dir + " /hpc3-test"
	t.Cleanup(func() { os.Remove("/hpc3-test") })
	pwd := []string{"sh", "-c", "echo $HOME; readlink /proc/self/cwd; ls"}
	for _, tt := range []struct {
		name string
		plan flatPlan
		env  []string
		dir  string
		want string
	}{
		{"home bound", flatPlan{MountHome: true}, []string{"HOME=" + away(home)}, away(home), away(home) + "\n" + away(home) + "\nfile\n"},
		{"home not bound", flatPlan{Config: oci.Config{WorkingDir: "/opt/app"}}, []string{"HOME=" + away(home)}, away(home), away(home) + "\n/opt/app\nbin\n"},
		{"working directory bound", flatPlan{MountHome: true}, []string{"HOME=" + away(home)}, away(other), away(home) + "\n" + away(other) + "\nfile\n"},
		{"image's working directory", flatPlan{MountHome: true, Config: oci.Config{WorkingDir: "/opt/app"}}, env, "/usr/share/doc", home + "\n/opt/app\nbin\n"},
		{"home as the last resort", flatPlan{MountHome: true}, env, "/usr/share/doc", home + "\n" + home + "\nfile\n"},
		{"working directory of the image at the same path", flatPlan{MountHome: true}, env, "/opt", home + "\n/opt\napp\n"},
		{"asked for", flatPlan{MountHome: true, Workdir: "/opt/app/bin"}, env, "/", home + "\n/opt/app/bin\napp\nplain\n"},
		{"HOME unset", flatPlan{MountHome: true, Workdir: "/opt"}, []string{"PATH=/usr/bin"}, "/", "/\n/opt\napp\n"},
		{"HOME relative", flatPlan{MountHome: true, Workdir: "/opt"}, []string{"HOME=x"}, "/", "/\n/opt\napp\n"},
		{"HOME a system directory", flatPlan{MountHome: true, Workdir: "/opt"}, []string{"HOME=/usr"}, "/", "/usr\n/opt\napp\n"},
		{"TMPDIR bound", flatPlan{Workdir: away(other)}, []string{"TMPDIR=" + away(other)}, "/", "/\n" + away(other) + "\nfile\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.plan.HasConfig = true
			script := ""
			if strings.HasPrefix(tt.dir, "/hpc3-test") || strings.Contains(strings.Join(tt.env, " "), "/hpc3-test") {
				script = before + "; cd " + tt.dir
				tt.dir = "/"
			}
			got := l.run(t, start{who: unknown, plan: tt.plan, command: pwd, env: tt.env, dir: tt.dir, before: script})
			if got.stdout != tt.want {
				t.Errorf("printed %q, want %q; status %d, stderr %s", got.stdout, tt.want, got.status, got.stderr)
			}
		})
	}
	got := l.run(t, start{who: unknown, plan: config(flatPlan{Workdir: "/no/such"}), command: pwd})
	if got.status != 125 || !strings.Contains(got.stderr, "error[mount]: changing to the working directory /no/such: no such file or directory") {
		t.Errorf("missing working directory: status %d, stderr %s", got.status, got.stderr)
	}
	gone := shared(t)
	got = l.run(t, start{who: unknown, plan: config(flatPlan{}), command: []string{"readlink", "/proc/self/cwd"}, dir: "/", limits: "cd " + data(t) + " && mkdir gone && cd gone && rmdir ../gone"})
	if got.status != 0 {
		t.Errorf("working directory deleted (%s): status %d, stderr %s", gone, got.status, got.stderr)
	}
}

func TestEnvironmentInside(t *testing.T) {
	l := need(t)
	plan := config(flatPlan{SetEnv: []string{"SET=a,b\nc 'd'", "OVER=set"}}, "PATH=/opt/app/bin:/usr/bin", "IMAGE=image", "OVER=image")
	got := l.run(t, start{who: unknown, plan: plan, command: []string{"bash", "-c", "app; printf '%s\n' \"$SET\" $OVER $IMAGE $HOST $PROFILE_RAN ${LD_PRELOAD-unset} ${_hpc3_p-unset}; type -t _hpc3_why; shopt execfail"}, limits: "export HOST=host OVER=host LD_PRELOAD=/no/such.so PATH=/host/only"})
	want := "app here\na,b\nc 'd'\nset\nimage\nhost\nyes\nunset\nunset\nexecfail       \toff\n"
	if diff := cmp.Diff(want, got.stdout); diff != "" {
		t.Errorf("differs (-want +got):\n%s\nstderr %s", diff, got.stderr)
	}
	if !strings.Contains(got.stderr, "not passed on: LD_PRELOAD\n") {
		t.Errorf("the note is missing: %s", got.stderr)
	}
}

// What the engine cannot do without is missed before anything is started.
func TestNodeThatCannot(t *testing.T) {
	l := need(t)
	bad := filepath.Join(shared(t), "cut.sqfs")
	raw, err := os.ReadFile(l.bash)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bad, raw[:len(raw)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		plan   flatPlan
		before string
		limits string
		want   []string
	}{
		{"fuse closed", flatPlan{}, "umount /dev/fuse; mount -t tmpfs x /mnt; cp -a " + l.dir + "/fuse /mnt; chmod 600 /mnt/fuse; mount --bind /mnt/fuse /dev/fuse", "", []string{"error[engine]: opening /dev/fuse", "permission denied", "hint: as root: chmod 0666 /dev/fuse"}},
		{"fuse missing", flatPlan{}, "umount /dev/fuse; mount -t tmpfs x /dev; cp -a " + l.dir + "/fuse /dev/other", "", []string{"error[engine]: opening /dev/fuse", "no such file", "modprobe fuse"}},
		{"no image", flatPlan{SIF: "/no/such.sif"}, "", "", []string{"error[engine]: opening the image", "/no/such.sif: no such file"}},
		{"image cut short", flatPlan{SIF: bad}, "", "", []string{"error[engine]"}},
		{"not an image", flatPlan{SIF: "/etc/passwd"}, "", "", []string{"error[engine]: opening the image in /etc/passwd"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := l.run(t, start{who: unknown, plan: config(tt.plan), command: []string{"true"}, before: tt.before, limits: tt.limits})
			if got.status != 125 {
				t.Errorf("status %d, want 125", got.status)
			}
			for _, want := range tt.want {
				if !strings.Contains(got.stderr, want) {
					t.Errorf("no %q in %s", want, got.stderr)
				}
			}
			eventually(t, "no process of ours is left", func() bool { return l.processes(t) == 0 })
		})
	}
}

// shell starts a login shell on a terminal of 33 lines.
func (l *lab) shell(t *testing.T, s start) *terminal {
	t.Helper()
	if s.env == nil {
		s.env = []string{"HOME=/", "TERM=dumb"}
	}
	cmd := l.cmd(t, s)
	cmd.Stdin = nil
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 33, Cols: 77})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	x := newTerminal(t, tty)
	x.cmd = cmd
	x.expect("$ ")
	return x
}

// A terminal: a prompt, job control, its size, and Ctrl-C for the foreground only.
func TestTerminal(t *testing.T) {
	l := need(t)
	for _, image := range []string{l.bash, l.sh} {
		t.Run(filepath.Base(image), func(t *testing.T) {
			x := l.shell(t, start{who: unknown, plan: config(flatPlan{SIF: image})})
			x.say("echo r$((1+1))d $PROFILE_RAN", "r2d yes")
			x.say("stty size", "33 77")
			x.say("test /dev/console -ef /proc/self/fd/0 && echo sa''me", "same") // ttyname finds it
			x.say("test -w /dev/ptmx && : <>/dev/ptmx && echo ma''de", "made")
			// What speaks has been put in the foreground: only then is Ctrl-Z for it.
			x.say("sh -c 'echo be''gun; exec sleep 1000'", "begun")
			x.say("\x1a", "Stopped")
			x.say("bg >/dev/null; jobs", "Running")
			x.say("kill %1; wait; echo over$((1+1))", "over2")
			x.say("(trap 'echo got''int; exit' INT; echo loop''ing; while :; do sleep 0.05; done)", "looping")
			x.say("\x03", "gotint")
			x.exit(5)
		})
	}
}

// The image's own PATH holds in a login shell too, though the profile sets another, and nothing is
// left of how.
func TestTerminalPath(t *testing.T) {
	l := need(t)
	own := []string{"PATH=/opt/app/bin:/usr/local/bin:/usr/bin:/bin:/it's", "PROMPT_COMMAND=let seen+=1"}
	for name, plan := range map[string]flatPlan{"ours": config(flatPlan{}, own...), "foreign": {SetEnv: own}} {
		t.Run(name, func(t *testing.T) {
			x := l.shell(t, start{who: unknown, plan: plan})
			x.say("shopt -q login_shell && echo log''in; app", "app here")
			if !strings.Contains(x.seen, "\nlogin\r") {
				t.Errorf("it is no login shell; the terminal showed %q", x.seen)
			}
			x.say("echo =$PATH=$PROFILE_RAN=${_hpc3_p-}${_hpc3_d-}", "=/opt/app/bin:/usr/local/bin:/usr/bin:/bin:/it's=yes=\r")
			x.say("echo \"=${PROMPT_COMMAND/$'\\n'}=$seen=\"", "=let seen+=1=3=")
			x.exit(5)
		})
	}
	x := l.shell(t, start{who: unknown, plan: config(flatPlan{}, own[0])})
	x.say("echo =${PROMPT_COMMAND-unset}=", "=unset=\r")
	x.exit(0)
}

// terminal is the other end of a terminal: what was seen on it, and up to where that has been
// looked at.
type terminal struct {
	t     *testing.T
	tty   *os.File
	cmd   *exec.Cmd
	bytes chan []byte // closed at the end
	seen  string
	from  int
}

// newTerminal reads in a goroutine: a read from a terminal takes no deadline.
func newTerminal(t *testing.T, tty *os.File) *terminal {
	x := &terminal{t: t, tty: tty, bytes: make(chan []byte)}
	go func() {
		defer close(x.bytes)
		for {
			buf := make([]byte, 4096)
			n, err := tty.Read(buf)
			if n > 0 {
				select {
				case x.bytes <- buf[:n]:
				case <-t.Context().Done():
					return
				}
			}
			if err != nil {
				return // EIO, when the last process has closed its end
			}
		}
	}()
	return x
}

// say types a line, or a control character, and waits for what is to come of it.
func (x *terminal) say(line, want string) {
	x.t.Helper()
	if line != "\x1a" && line != "\x03" {
		line += "\n"
	}
	if _, err := x.tty.WriteString(line); err != nil {
		x.t.Fatal(err)
	}
	x.expect(want)
}

func (x *terminal) expect(want string) {
	x.t.Helper()
	end := time.After(limit)
	for !strings.Contains(x.seen[x.from:], want) {
		select {
		case b, ok := <-x.bytes:
			if !ok {
				x.t.Fatalf("no %q before the end; the terminal showed %q", want, x.seen)
			}
			x.seen += string(b)
		case <-end:
			x.t.Fatalf("no %q in time; the terminal showed %q", want, x.seen)
		}
	}
	x.from += strings.Index(x.seen[x.from:], want) + len(want)
}

// exit leaves the shell, which is to end with that status, and reads to the end, so that its last
// words have somewhere to go.
func (x *terminal) exit(status int) {
	x.t.Helper()
	x.say(fmt.Sprint("exit ", status), "")
	for b := range x.bytes {
		x.seen += string(b)
	}
	_ = x.cmd.Wait()
	if got := statusOf(x.cmd.ProcessState); got != status {
		x.t.Errorf("status %d, want %d; the terminal showed %q", got, status, x.seen)
	}
}
