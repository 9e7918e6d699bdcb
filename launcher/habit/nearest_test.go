package habit_test

import (
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/habit"
)

func TestNearest(t *testing.T) {
	known := []string{"container-mounts", "container-workdir", "container-writable", "dry-run", "engine", "pull", "quiet", "time"}
	for word, want := range map[string]string{
		"contaner-mounts": "container-mounts", "container-mount": "container-mounts", "containr-wokdir": "container-workdir",
		"dryrun": "dry-run", "dry": "dry-run", "egnine": "engine", "pul": "pull", "Pull": "pull", "mounts": "container-mounts", "writable": "container-writable",
		"tmie": "time", "x": "", "": "", "frobnicate": "", strings.Repeat("a", 1000): "",
	} {
		if got := habit.Nearest(word, known); got != want {
			t.Errorf("Nearest(%.20q) = %q, want %q", word, got, want)
		}
	}
}
