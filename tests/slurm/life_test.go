package slurm

import (
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// root runs a script as root on the cluster.
func (c *cluster) root(text string) string {
	out, _ := exec.Command("nsenter", "-t", c.pid, "-m", "-p", "-u", "--", "bash", "-c", text).CombinedOutput() // what it prints is looked at by the caller
	return strings.TrimSpace(string(out))
}

// nothingLeft waits until no process of tester is left on the cluster, no mount, no lock on an
// image, and every node is idle.
func (c *cluster) nothingLeft(t *testing.T) {
	t.Helper()
	c.idle(t)
	c.ended(t, "the processes", "pgrep -u 4242")
	if mounts := c.root(`grep -E ' - (fuse|[^ ]* hpc3 )' /proc/self/mountinfo`); mounts != "" {
		t.Errorf("mounts are left:\n%s", mounts)
	}
	if locks := c.root(`find /home/tester/.cache -name '*.sif' -o -name '*.lock' 2>/dev/null | while read -r f; do flock -n "$f" true || echo "$f"; done`); locks != "" {
		t.Errorf("locked is still:\n%s", locks)
	}
}

// ofTester lists the processes of tester whose names match a pattern.
func ofTester(pattern string) string { return "ps -u 4242 -o comm= | grep -E '" + pattern + "'" }

// ended waits until a script that lists processes of tester prints nothing.
func (c *cluster) ended(t *testing.T, what, listing string) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Log(c.root("ps -u 4242 -o pid,ppid,lstart,wchan:20,comm,args"))
		}
	}()
	lab.WaitFor(t, what+" to end", func() bool { return c.root(listing) == "" })
}

// start starts a script of tester's, and returns a function that waits for its end.
func (c *cluster) start(t *testing.T, text string) (wait func() answer) {
	t.Helper()
	done := make(chan answer, 1)
	go func() { done <- c.run(t, text) }()
	return func() answer { return <-done }
}

// silent returns the address of a registry that takes connections and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			if _, err := l.Accept(); err != nil {
				return // closed
			}
		}
	}()
	return l.Addr().String()
}

// lives ends steps in each of their phases, by scancel and by the death of slurmstepd.
func (c *cluster) lives(t *testing.T) {
	phases := map[string]struct{ command, under string }{
		"pull": {"srun -n2 --container=" + silent(t) + "/a/b@sha256:" + strings.Repeat("0", 64) + " hello", "hpc3-run|hello"},
		// A new cache, so that the image is converted.
		"conversion": {"HPC3_CACHEDIR=$(mktemp -d ~/.cache/XXXXXX) srun -n2 --container=$IMAGE sleep 987", "hpc3-run|sleep"},
		"run":        {"srun -n2 --container=$IMAGE sh -c 'touch running; exec sleep 987'", "sleep"},
	}
	for name, phase := range phases {
		for _, end := range []string{"scancel", "kill -9 of slurmstepd"} {
			t.Run(end+" in the phase "+name, func(t *testing.T) {
				c.root("rm -f /home/tester/running")
				wait := c.start(t, phase.command)
				lab.WaitFor(t, "the tasks", func() bool {
					return c.root(ofTester(phase.under)) != "" && (name != "run" || c.root("ls /home/tester/running") == "/home/tester/running")
				})
				if end == "scancel" {
					c.root("scancel -u tester")
				} else {
					c.root("pkill -9 -x slurmstepd; pkill -9 'slurmstepd:'")
				}
				// srun waits for a slurmstepd that is gone, whatever it started.
				c.ended(t, "the tasks", ofTester("hpc3|sleep|squashfuse"))
				c.root("scancel -u tester")
				if end != "scancel" {
					c.root("pkill -9 -u 4242 -x srun")
				}
				if got := wait(); got.status == 0 {
					t.Errorf("srun ended with 0; stderr %s", got.stderr)
				}
				c.nothingLeft(t)
			})
		}
	}
}

// crowds starts many steps one after another, and many tasks at once; most on one suite, for the
// time that it takes.
func (c *cluster) crowds(t *testing.T) {
	rounds := 1
	if c.suite == "trixie" {
		rounds = 3
	}
	for range rounds {
		got := c.run(t, `salloc -Q -N1 bash -c 'for i in $(seq 170); do srun --container=$IMAGE true || echo "step $i: $?"; done'`)
		if got.stdout != "" || got.status != 0 {
			t.Errorf("of 170 steps some failed: status %d\n%s%s", got.status, got.stdout, got.stderr)
		}
		got = c.run(t, `for i in 1 2 3 4; do srun -n64 -N1 --container=$IMAGE sh -c 'echo $SLURM_PROCID' | sort -n | uniq | wc -l; done`)
		if got.stdout != strings.Repeat("64\n", 4) || got.status != 0 {
			t.Errorf("64 tasks, four times: status %d, %q\n%s", got.status, got.stdout, got.stderr)
		}
	}
	c.nothingLeft(t)
}
