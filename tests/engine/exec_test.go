package engine

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// TestExec enters running containers, outside of Slurm.
func TestExec(t *testing.T) {
	lab.Needs(t, "native", os.Getuid() == 0, "the lab needs root")
	lab.Needs(t, "native", !testing.Short(), "the lab is not built by a short run")
	l := lab.New(t)
	// A container runs as $p, whose command sleeps in /usr/lib with MINE set.
	const running = `MINE=1 hpc3-run -q -w /usr/lib $options "$0" sh -c 'touch "$HOME/up"; exec sleep 600' & p=$!
		while [ ! -e up ]; do kill -0 $p 2>/dev/null || exit 125; sleep 0.05; done; rm up
		trap 'kill $p 2>/dev/null' EXIT
		`
	for _, tt := range []struct {
		name, text     string
		stdout, stderr string // patterns of all of it
		status         int
		native         bool
	}{
		{name: "a command", text: `hpc3 exec $p sh -c 'pwd; echo $MINE $HPC3_IMAGE_REF; hello'`, stdout: `/usr/lib\n1 127\.0\.0\.1:.*\nhello from /opt/app\n`},
		{name: "what a process started", text: `hpc3 exec $$ hello`, stdout: "hello from /opt/app\n"},
		{name: "the same namespaces", native: true, text: `for n in mnt user; do [ $(readlink /proc/$p/ns/$n) = $(hpc3 exec $p readlink /proc/self/ns/$n) ] && echo same; done`, stdout: "same\nsame\n"},
		{name: "nothing gained", native: true, text: `hpc3 exec $p grep -hE '^(Cap|NoNew)' /proc/self/status /proc/$p/status | sort | uniq -c | awk '{ print $1 }' | sort -u`, stdout: "2\n"},
		{name: "exact words", text: `hpc3 exec $p -- printf '%s|' 'a b' '' '$HOME' --json -h`, stdout: `a b\|\|\$HOME\|--json\|-h\|`},
		{name: "its status", text: `hpc3 exec $p sh -c 'exit 42'`, status: 42},
		{name: "its signal", text: `hpc3 exec $p sh -c 'kill -TERM $$'`, stderr: `.*Terminated.*\n`, status: 128 + 15},
		{name: "the same pid", text: `sh -c 'echo $$; exec hpc3 exec "$0" sh -c "echo \$\$"' $p | uniq | wc -l`, stdout: "1\n"},
		{name: "standard input", text: `echo in | hpc3 exec $p cat`, stdout: "in\n"},
		{name: "a shell", text: `echo 'echo $MINE; exit 5' | hpc3 exec $p`, stdout: "1\n", status: 5},
		{name: "a shell reads nothing of the user's", text: `echo 'echo no' | tee .bashrc .profile >.bash_profile; script -qec "hpc3 exec $p" /dev/null <<<'hello; exit' | grep -c '^no'; rm .bashrc .profile .bash_profile`, stdout: "0\n"},
		{name: "any process in there", text: `hpc3 exec $p sleep 300 & q=$!; while [ "$(cat /proc/$q/comm)" != sleep ]; do sleep 0.05; done; hpc3 exec pid:$q hello; kill $q`, stdout: "hello from /opt/app\n"},
		{name: "no such command", text: `hpc3 exec $p nosuch`, stderr: `hpc3: error\[exec\]: running "nosuch": no such command in the image\nhpc3: hint: .*\n`, status: 1},
		{name: "not executable", text: `hpc3 exec $p /etc/passwd`, stderr: `hpc3: error\[exec\]: running "/etc/passwd": permission denied\nhpc3: hint: .*\n`, status: 1},
		{name: "a process on the node", text: `sleep 1 & hpc3 exec pid:$! true`, stderr: `hpc3: error\[engine\]: entering the container of process \d+: it is in no container of hpc3\n`, status: 1},
		{name: "no such process", text: `sh -c : & q=$!; wait $q; hpc3 exec pid:$q true`, stderr: `hpc3: error\[engine\]: pid:\d+ is neither a job with a container of yours on this node nor a process\n`, status: 1},
		{name: "no such job", text: `hpc3 exec 12345678_3.1 true`, stderr: `hpc3: error\[engine\]: no step of job 12345678_3.1 has a container of yours on this node\nhpc3: hint: .*\n`, status: 1},
		{name: "nothing to enter", text: `hpc3 exec`, stderr: `hpc3: error\[usage\]: .*\nhpc3: hint: .*\n`, status: 2},
		{name: "a word", text: `hpc3 exec first true`, stderr: `hpc3: error\[usage\]: "first" is neither a job nor a process\n(hpc3: hint: .*\n)+`, status: 2},
		{name: "what it entered keeps it", native: true, text: `hpc3 exec $p sh -c 'cd; touch in; while [ ! -e on ]; do sleep 0.05; done; hello' & q=$!; while [ ! -e in ]; do sleep 0.05; done; kill $p; wait $p 2>/dev/null; touch on; wait $q; rm in on`, stdout: "hello from /opt/app\n"},
	} {
		for _, p := range lab.Persons() {
			for _, engine := range p.Engines {
				if tt.native && engine != "native" {
					continue
				}
				t.Run(tt.name+"/"+p.Name+" through "+engine, func(t *testing.T) {
					cmd := l.Command(p, engine, "bash", "-c", running+tt.text, l.Image)
					var stdout, stderr strings.Builder
					cmd.Stdout, cmd.Stderr = &stdout, &stderr
					_ = cmd.Run() // the status is looked at below
					if strings.Contains(stderr.String(), "error[engine]: using Apptainer: root lacks capabilities") {
						t.Skip(stderr.String())
					}
					if !whole(tt.stdout, stdout.String()) || !whole(tt.stderr, stderr.String()) || cmd.ProcessState.ExitCode() != tt.status {
						t.Errorf("%s: status %d, want %d\nstdout: %s\nstderr: %s", tt.text, cmd.ProcessState.ExitCode(), tt.status, stdout.String(), stderr.String())
					}
				})
			}
		}
	}
}

// TestExecOfOthers tries to enter what belongs to another user: the process, or the user namespace
// that a process of one's own is in.
func TestExecOfOthers(t *testing.T) {
	lab.Needs(t, "native", os.Getuid() == 0, "the lab needs root")
	lab.Needs(t, "native", !testing.Short(), "the lab is not built by a short run")
	l := lab.New(t)
	const others = `cd /tmp; export HOME=/tmp HPC3_CACHEDIR=/tmp/cache; become() { setpriv --reuid $1 --regid $1 --clear-groups -- "${@:2}"; }
		setpriv --reuid 4242 --regid 4242 --clear-groups -- hpc3-run -q "$0" sh -c 'touch /tmp/up; exec sleep 600' & p=$!
		while [ ! -e /tmp/up ]; do kill -0 $p || exit 125; sleep 0.05; done
		nsenter -t $p -U -m --preserve-credentials sleep 601 & q=$!; while [ "$(cat /proc/$q/comm)" != sleep ]; do sleep 0.05; done
		trap 'kill $p $q' EXIT
		`
	for _, tt := range []struct{ name, text, stderr string }{
		{"root, a user's process", `hpc3 exec $p true`, `entering the container of process \d+: it is not yours`},
		{"another user", `become 54321 hpc3 exec $p true`, `entering the container of process \d+: it is not yours`},
		{"in the namespace of another user", `hpc3 exec pid:$q true`, `entering the container of process \d+: its user namespace is owned by user 4242`},
		{"the user", `become 4242 hpc3 exec $p true && echo 'hpc3: error[engine]: fine' >&2; exit 1`, "fine"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := l.Command(lab.Persons()[len(lab.Persons())-1], "native", "bash", "-c", others+tt.text, l.Image)
			out, _ := cmd.CombinedOutput() // the status is looked at below
			if !regexp.MustCompile(`(?m)^hpc3: error\[engine\]: `+tt.stderr+`$`).Match(out) || cmd.ProcessState.ExitCode() != 1 {
				t.Errorf("status %d, want 1, and %q\n%s", cmd.ProcessState.ExitCode(), tt.stderr, out)
			}
		})
	}
}

func whole(pattern, text string) bool {
	return regexp.MustCompile(`^(?:` + pattern + `)$`).MatchString(text)
}
