package harm

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// TestKillsLeaveNothing starts 500 commands and kills a process of each start at a random moment.
// Nothing is left of them: no process, and so no namespace and no mount in one, no mount of the
// node, no file, no loop device.
func TestKillsLeaveNothing(t *testing.T) {
	lab.Needs(t, "native", os.Getuid() == 0, "the lab needs root")
	lab.Needs(t, "native", !testing.Short(), "500 starts take a minute")
	l := lab.New(t)
	killer, err := os.ReadFile("../lab/kill-starts")
	if err == nil {
		err = os.WriteFile(filepath.Join(l.Work, "kill-starts"), killer, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []lab.Person{lab.Persons()[1], lab.Persons()[2]} {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			if _, stderr, status := l.Run(p, "native", l.Image, "true"); status != 0 {
				t.Fatalf("hpc3-run true: status %d\n%s", status, stderr)
			}
			cmd := l.Command(p, "native", "/lab/kill-starts", l.Image, "250", "1")
			out, err := cmd.Output()
			if err != nil || strings.TrimSpace(string(out)) != "" {
				t.Errorf("kill-starts: %v; left is:\n%s", err, out)
			}
			devices, err := exec.Command("losetup", "-nO", "BACK-INO,BACK-FILE").Output()
			if err != nil {
				t.Error(err)
			}
			for _, sif := range l.SIFs(p) { // other tests may have others
				info, err := os.Stat(sif)
				if err != nil {
					t.Fatal(err)
				}
				if regexp.MustCompile(fmt.Sprintf(`(?m)^ *%d `, info.Sys().(*syscall.Stat_t).Ino)).Match(devices) {
					t.Errorf("loop devices are left:\n%s", devices)
				}
			}
		})
	}
}
