package choice

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hpc3-project/hpc3/launcher"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// explainIndex returns what hpc3 explain --index says of a file and a host; nothing may be left
// unexplained.
func explainIndex(t *testing.T, args ...string) launcher.Explanation {
	t.Helper()
	cmd := exec.Command(filepath.Join(lab.Programs(), "hpc3"), append([]string{"explain", "--json", "--index"}, args...)...)
	cmd.Env = []string{"HOME=" + t.TempDir(), "HPC3_CONFIG=" + os.DevNull}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var told launcher.Explanation
	if json.Unmarshal(out, &told) != nil {
		t.Fatalf("%v prints %q: %v\n%s", cmd.Args, out, err, stderr.String())
	}
	for i, entry := range told.Entries {
		if entry.Position != i || len(entry.Reasons) == 0 {
			t.Errorf("%v: entry %d is explained as %+v", cmd.Args, i, entry)
		}
	}
	want := 0
	if told.Chosen == nil {
		want = 1
	}
	if status := cmd.ProcessState.ExitCode(); status != want || told.Chosen == nil && told.Why == "" {
		t.Errorf("%v ends with status %d, chosen %+v, why %q", cmd.Args, status, told.Chosen, told.Why)
	}
	return told
}

// The golden indexes are small ones on which other choosers take what crashes, or nothing, by the
// order of entries. I7 has an entry without a platform, I8 one for 386; I6 names CPUs in
// platform.features.
func TestGoldenIndexes(t *testing.T) {
	const refuse = -1
	for _, tt := range []struct {
		platform string // of the host
		cpu      string // the same as a node file has it
		want     [8]int // of I1 to I8
	}{
		{"linux/amd64", "x86_64", [8]int{3, 0, refuse, refuse, 0, 2, 2, refuse}},
		{"linux/amd64/v2", "x86_64_v2", [8]int{2, 1, refuse, refuse, 0, 2, 2, refuse}},
		{"linux/amd64/v3", "x86_64_v3", [8]int{1, 2, 0, refuse, 1, 2, 1, 1}},
		{"linux/amd64/v4", "x86_64_v4", [8]int{0, 3, 1, 0, 1, 2, 1, 1}},
		{"linux/amd64:zen3", "zen3", [8]int{1, 2, 0, refuse, 1, 2, 1, 1}},
		{"linux/amd64:skylake_avx512", "skylake_avx512", [8]int{0, 3, 1, 0, 1, 0, 1, 1}},
	} {
		node := filepath.Join(t.TempDir(), "node.json")
		if err := os.WriteFile(node, fmt.Appendf(nil, `{"os":"linux","arch":"amd64","cpu":{"target":%q}}`, tt.cpu), 0o644); err != nil {
			t.Fatal(err)
		}
		for i, want := range tt.want {
			file := fmt.Sprintf("testdata/golden/I%d.json", i+1)
			for _, host := range [][]string{{"--platform", tt.platform}, {"--node", node}} {
				t.Run(fmt.Sprintf("I%d on %s by %s", i+1, tt.cpu, host[0]), func(t *testing.T) {
					told := explainIndex(t, append([]string{file}, host...)...)
					got := refuse
					if told.Chosen != nil {
						got = told.Chosen.Position
					}
					if got != want {
						t.Errorf("chose %d, want %d: %+v", got, want, told)
					}
				})
			}
		}
	}
}
