package house

import (
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/task"
	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// The plugin's C and hpc3-run mean the same protocol.
func TestProtocol(t *testing.T) {
	if want := "#define HPC3_PROTOCOL \"" + task.Protocol + "\"\n"; !strings.Contains(lab.Read(t, "../../spank/face.h"), want) {
		t.Errorf("spank/face.h lacks %q", want)
	}
}
