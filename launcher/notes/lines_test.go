package notes_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/notes"
)

func TestFold(t *testing.T) {
	for _, tt := range []struct {
		head, text string
		width      int
		want       string
	}{
		{"node  ", "amd64 zen4, nvidia 9.0", 0, "node  amd64 zen4, nvidia 9.0\n"},
		{"node  ", "amd64 zen4, nvidia 9.0", 28, "node  amd64 zen4, nvidia 9.0\n"},
		{"node  ", "amd64 zen4, nvidia 9.0", 27, "node  amd64 zen4, nvidia\n      9.0\n"},
		{"digest ", "sha256:0123456789abcdef", 20, "digest sha256:0123456789abcdef\n"},
		{"wörter ", "ä ö ü", 10, "wörter ä ö\n       ü\n"},
		{"why ", "", 80, "why\n"},
	} {
		if diff := cmp.Diff(tt.want, notes.Fold(tt.head, tt.text, tt.width)); diff != "" {
			t.Errorf("Fold(%q, %q, %d) differs (-want +got):\n%s", tt.head, tt.text, tt.width, diff)
		}
	}
}

func TestRows(t *testing.T) {
	rows := [][]string{{"#", "PLATFORM", "REASON"}, {"0", "linux/amd64", "fits, but linux/amd64/v3 is closer to this node"}, {"", "", "and so on"}}
	for _, tt := range []struct {
		width int
		want  string
	}{
		{0, "#  PLATFORM     REASON\n0  linux/amd64  fits, but linux/amd64/v3 is closer to this node\n                and so on\n"},
		{50, "#  PLATFORM     REASON\n0  linux/amd64  fits, but linux/amd64/v3 is closer\n                to this node\n                and so on\n"},
		{40, "#  PLATFORM\n    REASON\n0  linux/amd64\n    fits, but linux/amd64/v3 is closer\n    to this node\n    and so on\n"},
	} {
		if diff := cmp.Diff(tt.want, notes.Rows(rows, tt.width)); diff != "" {
			t.Errorf("Rows in %d columns differs (-want +got):\n%s", tt.width, diff)
		}
	}
}
