package nodes

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/probe/facts"
)

func TestRead(t *testing.T) {
	const good = `"os":"linux","arch":"amd64","cpu":{"target":"zen3"}`
	n, err := Read("n", strings.NewReader(`{"os":"linux","arch":"amd64","cpu":{"target":"Milan"},"later":[1]}`))
	if want := (facts.Node{OS: "linux", Arch: "amd64", CPU: facts.CPU{Target: "zen3"}}); err != nil || !cmp.Equal(n, want) {
		t.Errorf("Read = %+v, %v, want %+v", n, err, want)
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
		`{"os":"linux","arch":"amd64","cpu":{"target":"zen99"}}`: `names the microarchitecture "zen99" in cpu.target, which is not known`,
		"{" + good + strings.Repeat(" ", maxNodeFile) + "}":      "is larger than 1048576 bytes",
	} {
		_, err := Read("n", strings.NewReader(in))
		if class, hints, _ := fault.Of(err, fault.Engine); err == nil || !strings.Contains(err.Error(), why) || class != fault.Usage || len(hints) == 0 {
			t.Errorf("Read(%.80q) = %v (%s, %q), want a usage error with %q", in, err, class, hints, why)
		}
	}
}
