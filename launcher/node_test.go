package launcher

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/probe/facts"
)

func TestReadNode(t *testing.T) {
	const good = `"os":"linux","arch":"amd64","cpu":{"target":"zen3"}`
	n, err := ReadNode("n", strings.NewReader(`{"os":"linux","arch":"amd64","cpu":{"target":"Milan"},"later":[1]}`))
	if want := (facts.Node{OS: "linux", Arch: "amd64", CPU: facts.CPU{Target: "zen3"}}); err != nil || !cmp.Equal(n, want) {
		t.Errorf("ReadNode = %+v, %v, want %+v", n, err, want)
	}
	for in, why := range map[string]string{
		"":                                 "is empty",
		"[]":                               "is empty",
		"{":                                "is not a node's JSON",
		"7":                                "is not a node's JSON",
		"{" + good + "}x":                  "is not a node's JSON",
		"{" + good + "}{}":                 "lacks os, arch or cpu.target",
		`[{` + good + `},{` + good + `}]`:  "holds 2 nodes, and one is wanted",
		`{"os":"linux","cpu":{}}`:          "lacks os, arch or cpu.target",
		`{"schemaVersion":2,` + good + `}`: "has schema version 2, and this hpc3 knows up to 1",
		`{"os":"linux","arch":"amd64","cpu":{"target":"zen9"}}`: `names the microarchitecture "zen9" in cpu.target, which is not known`,
		"{" + good + strings.Repeat(" ", maxNodeFile) + "}":     "is larger than 1048576 bytes",
	} {
		_, err := ReadNode("n", strings.NewReader(in))
		if class, hints, _ := fault.Of(err, fault.Engine); err == nil || !strings.Contains(err.Error(), why) || class != fault.Usage || len(hints) == 0 {
			t.Errorf("ReadNode(%.80q) = %v (%s, %q), want a usage error with %q", in, err, class, hints, why)
		}
	}
}

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
		n, err := ReadNode("fuzz", strings.NewReader(string(raw)))
		if err != nil {
			return
		}
		written, err := json.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ReadNode("fuzz", strings.NewReader(string(written)))
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
