package engine

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// parity is a row of the table: how hpc3-run is called, and the result.
type parity struct {
	name   string
	image  string            // tag of tests/lab/parity-images; "" = bash
	by     string            // "" = tester, whom only the node knows; nobody, unknown, root
	flags  []string          // of hpc3-run
	args   []string          // the command
	env    []string          // of the caller
	stdin  string            // of the caller, unless something is typed
	call   string            // shell script that executes "$@", which is hpc3-run; "" = in the home directory
	signal syscall.Signal    // sent to the process that hpc3-run was, when it prints "ready"
	typed  []exchange        // on a terminal, which then is standard input, output and error
	want   answer            // docker's, where it has one
	other  map[string]answer // of an engine that differs from want
	differ string            // the name of that difference in the manual; also where both engines differ from docker
}

// answer is what a call printed and ended with.
type answer struct {
	stdout string // exactly
	like   string // instead of stdout: a pattern
	stderr string // a pattern; "" = anything
	status int    // 128+N for signal N
}

// exchange is what is typed once a pattern has been seen, and the size that the terminal gets then.
type exchange struct {
	see, say string
	rows     uint16
}

var callers = map[string]lab.Person{
	"": lab.Persons()[0], "unknown": lab.Persons()[1], "root": lab.Persons()[2],
	"nobody": {Name: "nobody", UID: 65534, Engines: lab.Persons()[0].Engines},
}

// TestParity holds both engines against docker's documented behaviour, in the lab's root: same
// answer, or a difference that the manual names.
func TestParity(t *testing.T) {
	lab.Needs(t, "apptainer", os.Getuid() == 0, "the lab needs root")
	lab.Needs(t, "apptainer", !testing.Short(), "the lab is not built by a short run")
	l := lab.In(t, lab.Script(t, "sid-root"), lab.Script(t, "parity-images"))
	inside := holdOpen(t, l)
	for _, row := range parityTable() {
		for _, engine := range callers[row.by].Engines {
			t.Run(row.name+"/"+engine, func(t *testing.T) {
				t.Parallel()
				want := row.want
				if other, differs := row.other[engine]; differs {
					want = other
				}
				got := row.run(t, row.command(t, l, inside, engine))
				if engine == "apptainer" && row.by == "root" && strings.Contains(got.stderr, "root lacks capabilities") {
					t.Skip(got.stderr)
				}
				want.compare(t, got)
			})
		}
	}
}

func (want answer) compare(t *testing.T, got answer) {
	t.Helper()
	if want.like == "" && got.stdout != want.stdout || !matches(want.like, got.stdout) {
		t.Errorf("standard output is %q, want %q", got.stdout, want.stdout+want.like)
	}
	if got.status != want.status {
		t.Errorf("status %d, want %d", got.status, want.status)
	}
	if !matches(want.stderr, got.stderr) {
		t.Errorf("standard error does not match %q", want.stderr)
	}
	if t.Failed() {
		t.Logf("standard error:\n%s", got.stderr)
	}
}

func matches(pattern, text string) bool {
	return regexp.MustCompile("(?s)" + pattern).MatchString(text)
}

// TestDifferencesAreNamed holds the table's differences against the manual's, both ways.
func TestDifferencesAreNamed(t *testing.T) {
	var used []string
	rows := map[string]bool{}
	for _, row := range parityTable() {
		if rows[row.name] {
			t.Errorf("two rows are called %q", row.name)
		}
		rows[row.name] = true
		if len(row.other) > 0 && row.differ == "" {
			t.Errorf("row %q: the engines differ, and the difference has no name", row.name)
		}
		if row.differ != "" {
			used = append(used, row.differ)
		}
	}
	slices.Sort(used)
	_, section, _ := strings.Cut(lab.Read(t, "../../etc/man/hpc3-run.1"), ".SH DIFFERENCES\n")
	section, _, _ = strings.Cut(section, "\n.SH ")
	var named []string
	for _, m := range regexp.MustCompile(`(?m)^\.TP\n\.B (.*)$`).FindAllStringSubmatch(strings.ReplaceAll(section, `\-`, "-"), -1) {
		named = append(named, m[1])
	}
	slices.Sort(named)
	if diff := cmp.Diff(named, slices.Compact(used)); diff != "" {
		t.Errorf("the differences in hpc3-run.1 (-) are not those of the table (+):\n%s", diff)
	}
	if len(rows) < 80 {
		t.Errorf("the table has %d rows, too few", len(rows))
	}
}

// places makes directories on the lab's node that have two names, and what variables name.
const places = `mkdir -p /gpfs/scratch /fast /run/user/1 /run/user/4242 /var/spool; chmod 1777 /gpfs/scratch /fast
ln -s gpfs/scratch /scratch; ln -s /gpfs/scratch /usr/scratch; ln -s /usr/bin /progs
chown 4242:4242 /run/user/4242; chmod 0700 /run/user/4242
echo '<topology/>' >/var/spool/topology.xml; cp /var/spool/topology.xml /var/spool/closed.xml; chmod 0600 /var/spool/closed.xml
`

// holdOpen enters the lab once for all rows, and returns the process that stays in it.
func holdOpen(t *testing.T, l *lab.Lab) int {
	t.Helper()
	cmd := exec.Command("../lab/enter", l.Root, "--bind", lab.Programs()+":/opt/hpc3/bin", "--bind", l.Image+":/images", "--bind", l.Work+":/lab", "--", "sh", "-ec", places+"echo inside; exec sleep 3600")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if _, err := io.CopyN(io.Discard, out, int64(len("inside\n"))); err != nil {
		t.Fatalf("entering the lab: %v", err)
	}
	return cmd.Process.Pid
}

// command is a row's call of hpc3-run. Its pid is hpc3-run's.
func (p parity) command(t *testing.T, l *lab.Lab, inside int, engine string) *exec.Cmd {
	t.Helper()
	who := callers[p.by]
	home := "/lab/" + l.Home(who)
	call := p.call
	if call == "" {
		call = `cd "$HOME" && exec "$@"`
	}
	image := p.image
	if image == "" {
		image = "bash"
	}
	words := []string{"--target", fmt.Sprint(inside), "--mount", "--"}
	if who.UID != 0 {
		words = append(words, "setpriv", "--reuid", fmt.Sprint(who.UID), "--regid", fmt.Sprint(who.UID), "--clear-groups", "--")
	}
	words = append(words, "env", "-i", "PATH=/opt/hpc3/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME="+home, "TERM=xterm", "HPC3_ENGINE="+engine, "HPC3_CACHEDIR="+home+"/cache")
	words = append(append(words, p.env...), "bash", "-c", call, "bash", "hpc3-run")
	words = append(append(append(words, p.flags...), "oci:/images:"+image), p.args...)
	return exec.CommandContext(t.Context(), "nsenter", words...)
}

// run calls hpc3-run and returns the result.
func (p parity) run(t *testing.T, cmd *exec.Cmd) answer {
	t.Helper()
	if len(p.typed) > 0 {
		return p.onTerminal(t, cmd)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = strings.NewReader(p.stdin), &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watch := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer watch.Stop()
	if p.signal != 0 {
		if _, err := io.CopyN(&stdout, out, int64(len("ready\n"))); err != nil {
			t.Errorf("it is not ready: %v", err)
		} else if err := cmd.Process.Signal(p.signal); err != nil {
			t.Error(err)
		}
	}
	if _, err := stdout.ReadFrom(out); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // the status is looked at by the caller
	return answer{stdout: stdout.String(), stderr: stderr.String(), status: lab.StatusOf(cmd.ProcessState)}
}

// onTerminal types what is to be typed, each once its turn has come.
func (p parity) onTerminal(t *testing.T, cmd *exec.Cmd) answer {
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	watch := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer watch.Stop()
	var all, unread bytes.Buffer
	chunk := make([]byte, 4096)
	more := func() bool {
		n, err := tty.Read(chunk) // a terminal whose other end closed answers EIO
		all.Write(chunk[:n])
		unread.Write(chunk[:n])
		return err == nil
	}
	for _, x := range p.typed {
		pattern := regexp.MustCompile(x.see)
		for !pattern.Match(unread.Bytes()) {
			if !more() {
				t.Fatalf("the terminal never showed %q; seen:\n%s", x.see, all.String())
			}
		}
		unread.Reset()
		if x.rows > 0 {
			if err := pty.Setsize(tty, &pty.Winsize{Rows: x.rows, Cols: 80}); err != nil {
				t.Error(err)
			}
		}
		if _, err := tty.WriteString(x.say); err != nil {
			t.Error(err)
		}
	}
	for more() {
	}
	_ = cmd.Wait() // the status is looked at by the caller
	return answer{stdout: all.String(), stderr: all.String(), status: lab.StatusOf(cmd.ProcessState)}
}
