package match_test

import (
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/match"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// Entries that are known by their tags are called by them, and two that were not looked at are not
// one image.
func TestReasonsNameTags(t *testing.T) {
	linux := oci.Platform{OS: "linux", Architecture: "amd64"}
	entries := []oci.Entry{
		oci.TagEntry(0, "1_zen3", []string{"zen3"}, linux),
		oci.TagEntry(1, "1_milan", []string{"milan"}, linux),
		oci.TagEntry(2, "1_rack_b", []string{"rack_b"}, linux),
	}
	tests := []struct {
		name, target string
		labels       []string
		want         []string // of the reason of each entry
		why          string
	}{
		{
			name: "alike", target: "zen3", why: "1_zen3: the first of 2 alike",
			want: []string{"1_zen3", "fits as well as the tag 1_zen3, which comes earlier", `needs "rack_b"`},
		},
		{
			name: "a label", target: "zen3", labels: []string{"rack_b"}, why: "1_rack_b: ",
			want: []string{"the tag 1_rack_b names more labels", "the tag 1_rack_b names more labels", "1_rack_b"},
		},
		{
			name: "only one", target: "skylake", labels: []string{"rack_b"}, why: "the only tag that fits",
			want: []string{"zen3", "milan", "1_rack_b"},
		},
		{name: "none", target: "skylake", why: "the tag 1_", want: []string{"zen3", "milan", `needs "rack_b"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			node := facts.Node{OS: "linux", Arch: "amd64", CPU: facts.CPU{Target: tt.target}, Labels: tt.labels}
			r := match.Best([]facts.Node{node}, entries, match.Policy{})
			if !strings.Contains(r.Why, tt.why) {
				t.Errorf("why = %q, want %q in it", r.Why, tt.why)
			}
			for i, v := range r.Verdicts {
				if !strings.Contains(v.Reasons[0], tt.want[i]) {
					t.Errorf("the reason of %s = %q, want %q in it", entries[i].Tag, v.Reasons[0], tt.want[i])
				}
			}
		})
	}
}
