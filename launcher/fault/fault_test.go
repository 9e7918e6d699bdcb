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

func TestSentinel(t *testing.T) {
	errA, errB := fault.Sentinel(fault.Network, "a"), fault.Sentinel(fault.Network, "b")
	plain := errors.New("no such host")
	made := errA.New("reading index: %w", plain).Hint("inner")
	summary := errB.New("no mirror has it").Like(fmt.Errorf("road: %w", made))
	tests := []struct {
		name    string
		err     error
		isA     bool
		class   fault.Class
		because string
	}{
		{"made by it", made, true, fault.Network, "no such host"},
		{"wrapped", fmt.Errorf("road: %w", made), true, fault.Network, "no such host"},
		{"wrapped in another class", fault.New(fault.Convert, "converting: %w", made), true, fault.Network, "no such host"},
		{"with a hint", fault.WithHint(made, "outer"), true, fault.Network, "no such host"},
		{"joined", errors.Join(made, errors.New("closing")), true, fault.Network, "no such host"},
		{"like it", summary, true, fault.Network, "no mirror has it"},
		{"like one without a class", errB.New("x").Like(plain), false, fault.Network, "x"},
		{"another of the same class", errB.New("reading index"), false, fault.Network, "reading index"},
		{"of its class only", fault.New(fault.Network, "reading index"), false, fault.Network, "reading index"},
		{"a hint on an error without a class", fault.WithHint(plain, "h"), false, "", "no such host"},
		{"none", nil, false, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := errors.Is(tt.err, errA); got != tt.isA {
				t.Errorf("errors.Is(%v, errA) = %t, want %t", tt.err, got, tt.isA)
			}
			if got := fault.ClassOf(tt.err); got != tt.class {
				t.Errorf("ClassOf(%v) = %q, want %q", tt.err, got, tt.class)
			}
			if tt.err != nil && fault.Reason(tt.err).Error() != tt.because {
				t.Errorf("Reason(%v) = %q, want %q", tt.err, fault.Reason(tt.err), tt.because)
			}
		})
	}
	if _, hints, status := fault.Of(fault.WithHint(made, "outer"), ""); len(hints) != 2 || status != fault.StatusFailed {
		t.Errorf("WithHint leaves the hints %q and the status %d", hints, status)
	}
	if class, _, _ := fault.Of(fault.WithHint(plain, "h"), fault.Engine); class != fault.Engine {
		t.Errorf("a hint on an error without a class leaves it %q, want the fallback", class)
	}
}
