package probe

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/probe/facts"
)

// The dumps are /proc/cpuinfo texts named system-distribution-target, as archspec keeps them in tests/targets; the target is archspec's
// own answer. HPC3_CPUINFO_DIR names another directory of the same form.
func TestCPUInfoDumps(t *testing.T) {
	dir, given := os.LookupEnv("HPC3_CPUINFO_DIR")
	if !given {
		dir = filepath.FromSlash("../../shared/data/archspec/tests/targets")
		if _, err := os.Stat(dir); err != nil {
			t.Skipf("no cpuinfo dumps, HPC3_CPUINFO_DIR names some: %v", err)
		}
	} else if _, err := os.Stat(dir); err != nil && !filepath.IsAbs(dir) {
		dir = filepath.Join("..", dir) // the test runs in probe, its user stands above
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, e := range entries {
		system, rest, _ := strings.Cut(e.Name(), "-")
		if system != "linux" && system != "bgq" { // the others are sysctl and CPUID
			continue
		}
		tried++
		t.Run(e.Name(), func(t *testing.T) {
			raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			_, want, _ := strings.Cut(rest, "-")
			testDump(t, string(raw), want, !given)
		})
	}
	if tried == 0 {
		t.Errorf("%s holds no dump named linux-DISTRIBUTION-TARGET", dir)
	}
	if !given && tried != 42 {
		t.Errorf("tried %d dumps, want 42", tried)
	}
}

func testDump(t *testing.T, text, want string, whole bool) {
	target, ok := facts.LookupTarget(want)
	if !ok {
		t.Fatalf("%q is no target", want)
	}
	info := parseCPUInfo(text)
	// POWER's cpuinfo does not tell the byte order, so that the family is the expected one's.
	cpu := info.cpu(target.Root())
	if cpu.Strict != want {
		t.Errorf("strict = %s, want %s", cpu.Strict, want)
	}
	if whole && target.Root() == "x86_64" && cpu.Target != want {
		t.Errorf("target = %s by rule %s, want %s as by strict: these machines hide nothing", cpu.Target, cpu.Rule, want)
	}
	if got := facts.FamilyOf(info.arch()); got != target.Root() && got+"le" != target.Root() && got != target.Root()+"le" {
		t.Errorf("family by the text = %s, want %s", got, target.Root())
	}
}
