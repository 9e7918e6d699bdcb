package harm

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// limited runs a command line with a limit of the shell, and returns what it prints on standard
// error, and its status.
func limited(t *testing.T, uid int, limit string, words ...string) (stderr string, status int) {
	t.Helper()
	cmd := exec.Command("bash", append([]string{"-c", limit + ` && exec "$@"`, "sh"}, words...)...)
	if uid != 0 {
		cmd.Args = append([]string{"setpriv", "--reuid", strconv.Itoa(uid), "--clear-groups", "--"}, cmd.Args...)
		setpriv, err := exec.LookPath("setpriv")
		if err != nil {
			t.Fatal(err)
		}
		cmd.Path = setpriv
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	_ = cmd.Run() // the status is looked at by the caller
	return errs.String(), cmd.ProcessState.ExitCode()
}

// Below what Go needs there is one line, and no dump of its runtime; from there on up the programs
// start.
func TestLowLimits(t *testing.T) {
	const plenty = 1 << 22
	for _, program := range []struct {
		name   string
		status int
	}{{"hpc3-run", 125}, {"hpc3", 3}} {
		for _, limit := range []struct {
			option, words string
			low           []int
		}{
			{"-v", `kB of address space, and the limit \(RLIMIT_AS, ulimit -v\) is (\d+) kB: raise it`, []int{65536, 300000, 500000, 700000, 800000, 1000000, 1200000}},
			{"-n", `open files, and the hard limit \(RLIMIT_NOFILE, ulimit -Hn\) is (\d+): raise it`, []int{3, 5, 8, 12, 20}},
		} {
			t.Run(program.name+" "+limit.option, func(t *testing.T) {
				line := regexp.MustCompile(`^` + program.name + `: error\[engine\]: starting needs (\d+) ` + limit.words + `\n$`)
				need := 0
				below := func(value int) {
					t.Helper()
					stderr, status := limited(t, 0, fmt.Sprint("ulimit ", limit.option, " ", value), filepath.Join(lab.Programs(), program.name), "--version")
					m := line.FindStringSubmatch(stderr)
					if m == nil || status != program.status || m[2] != strconv.Itoa(value) {
						t.Fatalf("with %d: status %d, want %d, and %q, which is to match %s", value, status, program.status, stderr, line)
					}
					need, _ = strconv.Atoi(m[1]) // digits
				}
				for _, value := range limit.low {
					below(value)
				}
				below(need - 1)
				for _, value := range []int{need, need + need/16, min(2*need, plenty)} {
					stderr, status := limited(t, 0, fmt.Sprint("ulimit ", limit.option, " ", value), filepath.Join(lab.Programs(), program.name), "--version")
					if stderr != "" || status != 0 {
						t.Errorf("with %d: status %d\n%s", value, status, stderr)
					}
				}
			})
		}
		t.Run(program.name+" with a soft limit of open files", func(t *testing.T) {
			if stderr, status := limited(t, 0, "ulimit -Sn 3", filepath.Join(lab.Programs(), program.name), "--version"); stderr != "" || status != 0 {
				t.Errorf("status %d\n%s", status, stderr)
			}
		})
		t.Run(program.name+" -u", func(t *testing.T) {
			lab.Needs(t, "native", os.Getuid() == 0, "the limit does not hold root, who is needed to become another user")
			said := fmt.Sprintf("%s: error[engine]: starting needs 32 processes and threads, and the limit of the user's (RLIMIT_NPROC, ulimit -u), ", program.name)
			nobodyElse := 40000 + os.Getpid()%20000 // has no other process
			for _, value := range []int{1, 2, 3, 5, 8, 12, 20, 31} {
				stderr, status := limited(t, nobodyElse, fmt.Sprint("ulimit -u ", value), filepath.Join(lab.Programs(), program.name), "--version")
				if !strings.HasPrefix(stderr, said) || strings.Count(stderr, "\n") != 1 || status != program.status {
					t.Errorf("with %d: status %d\n%s", value, status, stderr)
				}
			}
			if stderr, status := limited(t, nobodyElse, "ulimit -u 40", filepath.Join(lab.Programs(), program.name), "--version"); stderr != "" || status != 0 {
				t.Errorf("with 40: status %d\n%s", status, stderr)
			}
		})
	}
}
