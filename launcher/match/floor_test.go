package match

import (
	"testing"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// What the code of an image needs counts against a node whose CPU is known, and for no preference.
func TestFloor(t *testing.T) {
	features := func(target string, more ...string) []string {
		found, _ := facts.LookupTarget(target)
		return append(append([]string{}, found.Features...), more...)
	}
	cpu := func(target string, features []string) facts.Node {
		return facts.Node{OS: "linux", Arch: "amd64", CPU: facts.CPU{Target: target, Features: features}}
	}
	v3 := oci.Floor{Needs: []oci.Need{{Word: "x86-64-v3", By: "it says so"}}}
	known := v3
	known.Known = true
	sse := oci.Floor{Needs: []oci.Need{{Word: "sse4_2", By: "it says so"}}}
	both := oci.Floor{Needs: append(append([]oci.Need{}, v3.Needs...), sse.Needs...)}
	for _, tt := range []struct {
		name     string
		platform string
		node     facts.Node
		floor    oci.Floor
		unheard  bool
		reason   string // "" where it fits
	}{
		{name: "nothing", node: cpu("nehalem", features("nehalem"))},
		{name: "a level that it has", node: cpu("haswell", features("haswell")), floor: v3},
		{name: "a level by its line alone", node: cpu("haswell", nil), floor: v3},
		{name: "a level that it lacks", node: cpu("nehalem", features("nehalem")), floor: v3, reason: "built for x86-64-v3 although its entry says amd64 (it says so)"},
		{name: "by its line alone", node: cpu("nehalem", nil), floor: v3, reason: "built for x86-64-v3 although its entry says amd64 (it says so)"},
		{name: "from earlier", node: cpu("nehalem", nil), floor: known, reason: "built for x86-64-v3 although its entry says amd64 (it says so; known from an earlier conversion)"},
		{name: "said by the entry", platform: "linux/amd64/v2:nehalem", node: cpu("nehalem", nil), floor: v3, reason: "built for x86-64-v3 although its entry says amd64/v2:nehalem (it says so)"},
		{name: "a level by its features", node: cpu("x86_64_v2", features("x86_64_v3")), floor: v3},
		{name: "a feature that it has", node: cpu("nehalem", features("nehalem")), floor: sse},
		{name: "a feature that it lacks", node: cpu("core2", features("core2")), floor: sse, reason: "needs sse4_2 although its entry says amd64 (it says so)"},
		{name: "the first of both", node: cpu("core2", features("core2")), floor: both, reason: "built for x86-64-v3 although its entry says amd64 (it says so)"},
		{name: "v1 that is known", node: cpu("x86_64", []string{"sse2"}), floor: sse, reason: "needs sse4_2 although its entry says amd64 (it says so)"},
		{name: "v1 by its name alone", node: cpu("x86_64", nil), floor: both},
		{name: "no CPU", node: cpu("", nil), floor: both},
		{name: "a level of later", node: cpu("nehalem", nil), floor: oci.Floor{Needs: []oci.Need{{Word: "x86-64-v9"}}}},
		{name: "by force", node: cpu("nehalem", nil), floor: v3, unheard: true},
		{name: "another architecture", platform: "linux/arm64", node: cpu("nehalem", nil), floor: v3, reason: "built for arm64, the node is amd64"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.platform == "" {
				tt.platform = "linux/amd64"
			}
			e := entriesOf(t, tt.platform)[0]
			policy := Policy{Unheard: tt.unheard}
			before := Best([]facts.Node{tt.node}, []oci.Entry{e}, policy)
			e.Floor = &tt.floor
			r := Best([]facts.Node{tt.node}, []oci.Entry{e}, policy)
			checkShape(t, r)
			v := r.Verdicts[0]
			if v.Fits != (tt.reason == "") || !v.Fits && (len(v.Reasons) != 1 || v.Reasons[0] != tt.reason) {
				t.Errorf("verdict %+v, want %q", v, tt.reason)
			}
			if v.Fits && before.Why != r.Why {
				t.Errorf("it is chosen for %q, and before for %q", r.Why, before.Why)
			}
		})
	}
}

// Of two that fit, what their code needs says nothing.
func TestFloorIsNoPreference(t *testing.T) {
	entries := entriesOf(t, "linux/amd64", "linux/amd64")
	entries[1].Floor = &oci.Floor{Needs: []oci.Need{{Word: "x86-64-v3"}}}
	node := facts.Node{OS: "linux", Arch: "amd64", CPU: facts.CPU{Target: "haswell"}}
	if r := Best([]facts.Node{node}, entries, Policy{}); r.Chosen != 0 {
		t.Errorf("entry %d is chosen, want 0", r.Chosen)
	}
}
