package match

import (
	"testing"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// goldenIndexes are small indexes on which other tools choose by order or refuse; an empty platform
// is an entry without one.
func goldenIndexes() map[string][]string {
	return map[string][]string{
		"I1": {"linux/amd64/v4", "linux/amd64/v3", "linux/amd64/v2", "linux/amd64"},
		"I2": {"linux/amd64", "linux/amd64/v2", "linux/amd64/v3", "linux/amd64/v4"},
		"I3": {"linux/amd64/v3", "linux/amd64/v4"},
		"I4": {"linux/amd64/v4"},
		"I5": {"linux/amd64/v1", "linux/amd64/v3"},
		"I6": {"linux/amd64:skylake", "linux/amd64:broadwell", "linux/amd64"},
		"I7": {"", "linux/amd64/v3", "linux/amd64"},
		"I8": {"linux/386", "linux/amd64/v3"},
	}
}

func TestGoldenIndexes(t *testing.T) {
	const refuse = -1
	v3 := []int{1, 2, 0, refuse, 1, 2, 1, 1}
	tests := []struct {
		cpu  string
		want []int // of I1 to I8
	}{
		{"x86_64", []int{3, 0, refuse, refuse, 0, 2, 2, refuse}},
		{"x86_64_v2", []int{2, 1, refuse, refuse, 0, 2, 2, refuse}},
		{"x86_64_v3", v3},
		{"haswell", v3},
		{"zen3", v3},
		{"x86_64_v4", []int{0, 3, 1, 0, 1, 2, 1, 1}},
		{"skylake_avx512", []int{0, 3, 1, 0, 1, 0, 1, 1}}, // of both lines, v4 and skylake
		{"broadwell", []int{1, 2, 0, refuse, 1, 1, 1, 1}},
		{"skylake", []int{1, 2, 0, refuse, 1, 0, 1, 1}},
	}
	for _, tt := range tests {
		for i, want := range tt.want {
			name := "I" + string(rune('1'+i))
			t.Run(name+" on "+tt.cpu, func(t *testing.T) {
				r := Best([]facts.Node{{OS: "linux", Arch: "amd64", CPU: facts.CPU{Target: tt.cpu}}}, entriesOf(t, goldenIndexes()[name]...), Policy{})
				if r.Chosen != want {
					t.Errorf("chose %d, want %d: %s\n%s", r.Chosen, want, r.Why, verdicts(r))
				}
				checkShape(t, r)
			})
		}
	}
}

// entriesOf returns the entries of an index of these platforms.
func entriesOf(t testing.TB, platforms ...string) []oci.Entry {
	t.Helper()
	var variants []caseVariant
	for _, p := range platforms {
		variants = append(variants, caseVariant{P: p})
	}
	return indexOfVariants(t, variants)
}
