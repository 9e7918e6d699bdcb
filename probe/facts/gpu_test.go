package facts

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVisible(t *testing.T) {
	uuids := []string{"GPU-aa11", "GPU-ab22", "GPU-cc33"}
	for _, c := range []struct {
		setting string
		set     bool
		want    []int
	}{
		{"", false, []int{0, 1, 2}},
		{"", true, nil},
		{"2,0", true, []int{2, 0}},
		{" 1 , 2 ", true, []int{1, 2}},
		{"0,0", true, []int{0}},
		{"1,-1,2", true, []int{1}},
		{"1,3,2", true, []int{1}},
		{"3", true, nil}, // a number does not reach the instance
		{"GPU-c,gpu-x", true, []int{2}},
		{"gpu-CC33", true, nil},
		{"GPU-CC33", true, []int{2}},
		{"MIG-dd,0", true, []int{3, 0}},
		{"NoDevFiles", true, nil},
		{"all", true, nil},
	} {
		if diff := cmp.Diff(c.want, Visible(c.setting, c.set, uuids, "MIG-dd44")); diff != "" {
			t.Errorf("Visible(%q, %v) (-want +got):\n%s", c.setting, c.set, diff)
		}
	}
}
