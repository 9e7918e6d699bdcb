package fault_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

func TestPrint(t *testing.T) {
	plain := errors.New("no such file")
	tests := []struct {
		name   string
		err    error
		want   string
		status int
	}{
		{"without a class", plain, "hpc3-run: error[engine]: no such file\n", 125},
		{
			"a class and hints",
			fault.New(fault.Auth, "reading index: %w", plain).Hint("log in").Hint("or ask"),
			"hpc3-run: error[auth]: reading index: no such file\nhpc3-run: hint: log in\nhpc3-run: hint: or ask\n", 125,
		},
		{
			"the innermost class wins and hints are kept",
			fault.New(fault.Cache, "making x: %w", fault.New(fault.Convert, "layer 2: %w", plain).Hint("inner")).Hint("outer"),
			"hpc3-run: error[convert]: making x: layer 2: no such file\nhpc3-run: hint: inner\nhpc3-run: hint: outer\n", 125,
		},
		{"a status", fmt.Errorf("road: %w", fault.New(fault.Exec, "running %q: %w", "x", plain).Exit(127)), "hpc3-run: error[exec]: road: running \"x\": no such file\n", 127},
		{"foreign bytes", fault.New(fault.Registry, "got \"a\nhpc3-run: hint: b\x1b[31m\""), "hpc3-run: error[registry]: got \"a hpc3-run: hint: b?[31m\"\n", 125},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			status := fault.Print(&b, "hpc3-run", tt.err, fault.Engine)
			if diff := cmp.Diff(tt.want, b.String()); diff != "" {
				t.Errorf("Print(%v) differs (-want +got):\n%s", tt.err, diff)
			}
			if status != tt.status {
				t.Errorf("Print(%v) = %d, want %d", tt.err, status, tt.status)
			}
		})
	}
}
