package probe

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/probe/facts"
	"github.com/klauspost/cpuid/v2"
)

// nfdName returns the name that NFD has for a feature of x86.
func nfdName(feature string) string {
	flags := facts.NFDOf(facts.Node{Arch: "amd64", CPU: facts.CPU{Features: []string{feature}}}).Flags["cpu.cpuid"]
	return strings.Join(flags, " ")
}

// NFD's names of x86 are those of the cpuid package: every feature that is asked of it must have
// the name it has there.
func TestNFDNamesAreThoseOfCPUID(t *testing.T) {
	for _, f := range cpuidFeatures() {
		if got, want := nfdName(f.name), f.id.String(); got != want {
			t.Errorf("NFD's name of %s is %q, the cpuid package's %s", f.name, got, want)
		}
	}
	for _, f := range cpuidLacks() {
		if got := nfdName(f); got != "" {
			t.Errorf("NFD's name of %s is %q, and the cpuid package never reports it", f, got)
		}
	}
	for _, v := range []cpuid.Vendor{cpuid.Intel, cpuid.AMD, cpuid.Hygon, cpuid.ARM, cpuid.Ampere, cpuid.Cavium, cpuid.Fujitsu} {
		vendor := map[string]string{"Intel": "GenuineIntel", "AMD": "AuthenticAMD", "Hygon": "HygonGenuine"}[v.String()]
		if vendor == "" {
			vendor = implementer(implementerOf(v))
		}
		if got := facts.NFDOf(facts.Node{CPU: facts.CPU{Vendor: vendor}}).Attributes["cpu.model"]["vendor_id"]; got != v.String() {
			t.Errorf("NFD's name of %s is %q, want %s", vendor, got, v)
		}
	}
}

// On this machine NFD would find each of the features: it asks the cpuid package for all it has.
func TestNFDOfThisNode(t *testing.T) {
	n, err := Node(context.Background(), Options{Env: os.Getenv})
	if err != nil {
		t.Fatal(err)
	}
	if n.Arch != "amd64" || n.CPU.Emulated {
		t.Skip("not an x86 CPU of its own")
	}
	flags := facts.NFDOf(n).Flags["cpu.cpuid"]
	for _, name := range flags {
		if name == "TOPEXT" {
			continue // some kernels say that AMD's have it where a hypervisor's CPUID does not
		}
		if !slices.Contains(cpuid.CPU.FeatureSet(), name) {
			t.Errorf("NFD would not find %s here", name)
		}
	}
	if len(flags) < 20 {
		t.Errorf("only %v", flags)
	}
}
