package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestKillsLeaveNothing starts 500 commands and kills a process of each start at a random moment. Nothing is left of them: no process, and so no
// namespace and no mount in one, no mount of the node, no file, no loop device.
func TestKillsLeaveNothing(t *testing.T) {
	needs(t, "native", os.Getuid() == 0, "the lab needs root")
	needs(t, "native", !testing.Short(), "500 starts take a minute")
	l := newLab(t)
	killer, err := os.ReadFile("lab/kill-starts")
	if err == nil {
		err = os.WriteFile(filepath.Join(l.work, "kill-starts"), killer, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []person{persons[1], persons[2]} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			if _, stderr, status := l.run(p, "native", l.image, "true"); status != 0 {
				t.Fatalf("hpc3-run true: status %d\n%s", status, stderr)
			}
			cmd := l.command(p, "native", "/lab/kill-starts", l.image, "250", "1")
			out, err := cmd.Output()
			if err != nil || strings.TrimSpace(string(out)) != "" {
				t.Errorf("kill-starts: %v; left is:\n%s", err, out)
			}
			devices, err := exec.Command("losetup", "-nO", "BACK-FILE").Output()
			if err != nil || strings.Contains(string(devices), "/"+l.home(p)+"/") {
				t.Errorf("loop devices: %v\n%s", err, devices)
			}
		})
	}
}
