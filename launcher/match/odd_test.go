package match

import (
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/probe/facts"
)

// An amd64 entry with podman's v8 fits as a generic one, after all others.
func TestOddVariant(t *testing.T) {
	zen3 := facts.Node{OS: "linux", Arch: "amd64", CPU: facts.CPU{Target: "zen3"}}
	for _, tt := range []struct {
		platforms []string
		want      int
		reason    string // of the first entry
	}{
		{[]string{"linux/amd64/v8"}, 0, "the only one there is"},
		{[]string{"linux/amd64/v8", "linux/amd64"}, 1, "comes last: its variant \"v8\" is one of arm64"},
		{[]string{"linux/amd64/v8:zen3", "linux/amd64"}, 1, "comes last"},
		{[]string{"linux/amd64/v8", "linux/amd64/v4"}, 0, "the only one of the index that fits"},
		{[]string{"linux/amd64/v8:zen4"}, -1, "zen4"},
		{[]string{"linux/amd64/v9"}, -1, "needs v9, a CPU that hpc3 does not know"},
	} {
		r := Best([]facts.Node{zen3}, entriesOf(t, tt.platforms...), Policy{})
		if r.Chosen != tt.want || !strings.Contains(r.Verdicts[0].Reasons[0], tt.reason) {
			t.Errorf("%q: chose %d, want %d; %q, want %q in it", tt.platforms, r.Chosen, tt.want, r.Verdicts[0].Reasons, tt.reason)
		}
		checkShape(t, r)
	}
}
