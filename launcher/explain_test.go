package launcher

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hpc3-project/hpc3/launcher/nodes"
)

// What is read of a node file is written again as such, and any index can be held against it.
func FuzzReadNode(f *testing.F) {
	for _, name := range []string{"zen5-kvm", "dgx-h100-535", "nvml-hangs", "mi250x", "haswell-rack", "power9le", "x60"} {
		raw, err := os.ReadFile("../tests/nodes/" + name + ".json")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte(`{"os":"linux","arch":"amd64","cpu":{"target":"Milan"},"gpus":[],"nvidia":{},"unknown":[{}]}`))
	f.Add([]byte(`{"os":"linux","arch":"amd64","cpu":{"target":"zen3"},"labels":["rack\u007f","\u001b[2J"]}`))
	f.Add([]byte(`{"os":"linux","arch":"s390x","cpu":{"target":"zen3"},"hostname":"n\n","labels":["rack\u007f"]}`))
	index, err := os.ReadFile("../tests/nodes/index.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		n, err := nodes.Read("fuzz", strings.NewReader(string(raw)))
		if err != nil {
			return
		}
		written, err := json.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		again, err := nodes.Read("fuzz", strings.NewReader(string(written)))
		if diff := cmp.Diff(n, again, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%s reads back differently: %v (-want +got):\n%s", raw, err, diff)
		}
		e, err := (&Road{Given: &n}).ExplainIndex(t.Context(), "fuzz", index)
		if err != nil {
			t.Fatalf("for %s: %v", raw, err)
		}
		for _, entry := range e.Entries {
			if len(entry.Reasons) == 0 || e.Chosen != nil && e.Chosen.Position == entry.Position && !entry.Fits {
				t.Errorf("for %s, chosen %+v, it says %+v", raw, e.Chosen, entry)
			}
		}
		for line := range strings.SplitSeq(e.Table(0), "\n") {
			if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("for %s it prints %q", raw, line)
			}
		}
	})
}
