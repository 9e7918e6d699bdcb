package choice

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/launcher"
	"github.com/hpc3-project/hpc3/launcher/match"
	"github.com/hpc3-project/hpc3/launcher/nodes"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/settings"
	"github.com/hpc3-project/hpc3/probe/facts"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// probed returns the node that a /proc/cpuinfo records, with vectors of a length if that is not 0.
func probed(t *testing.T, cpuinfo, sveBytes string) facts.Node {
	t.Helper()
	root := t.TempDir()
	files := map[string]string{"proc/cpuinfo": cpuinfo}
	if sveBytes != "" {
		files["proc/sys/abi/sve_default_vector_length"] = sveBytes + "\n"
	}
	for name, text := range files {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	road := launcher.Road{ProbeRoot: root, Settings: settings.Settings{Host: settings.Host{Environ: []string{"HPC3_CACHEDIR=" + root + "/cache"}}}}
	n, err := road.Node(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// recordedCPUs are all CPUs that there are as data: those of the recorded nodes, and of archspec's
// collection if it is here, with SVE of each length.
func recordedCPUs(t *testing.T) map[string]facts.Node {
	t.Helper()
	all := map[string]facts.Node{}
	for name := range nodeChoices {
		n, err := nodes.Read(name, strings.NewReader(lab.Read(t, "../nodes/"+name+".json")))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = n
	}
	files, err := filepath.Glob("../../../shared/data/archspec/tests/targets/linux-*")
	if err != nil || len(files) == 0 {
		t.Logf("left out: no cpuinfo dumps here (%v)", err)
	}
	for _, file := range files {
		text := lab.Read(t, file)
		for _, bytes := range []string{"", "16", "32", "64"} {
			all[filepath.Base(file)+" "+bytes] = probed(t, text, bytes)
		}
	}
	return all
}

// What fits a node that shows its features needs none that the node does not show, but for those
// that programs do not use by themselves; and no SVE of another length than the node's.
func TestWhatFitsIsShown(t *testing.T) {
	cpus := recordedCPUs(t)
	tried, beside := 0, 0
	for _, name := range slices.Sorted(maps.Keys(cpus)) {
		n := cpus[name]
		if len(n.CPU.Features) == 0 {
			continue // POWER and RISC-V tell of none
		}
		family := facts.FamilyOf(n.Arch)
		own, _ := facts.LookupTarget(n.CPU.Target)
		for _, image := range slices.Concat(facts.Targets(), facts.Later()) {
			target, _ := facts.LookupTarget(image)
			if target.Root() != family {
				continue
			}
			tried++
			entry := oci.Entry{Descriptor: oci.Descriptor{
				MediaType: oci.MediaTypeManifest, Digest: oci.DigestOf(nil), Platform: &oci.Platform{OS: "linux", Architecture: n.Arch},
			}, Tokens: []string{image}}
			if match.Best([]facts.Node{n}, []oci.Entry{entry}, match.Policy{}).Chosen < 0 {
				continue
			}
			needs, ownLine := target.Features, own.DescendsFrom(image)
			if !ownLine {
				beside++
				needs = target.Uses()
			}
			if slices.Contains(target.Features, "sve") && n.CPU.SVEBits != target.SVEBits() && (n.CPU.SVEBits > 0 || !ownLine) {
				t.Errorf("%s, with vectors of %d bits, runs %s", name, n.CPU.SVEBits, image)
			}
			for _, f := range needs {
				if !slices.Contains(n.CPU.Features, f) && !slices.Contains(facts.NicheFeatures(family), f) {
					t.Errorf("%s does not show %s and runs %s", name, f, image)
				}
			}
		}
	}
	if tried < 1000 || beside == 0 {
		t.Errorf("tried only %d pairs, of which %d fit beside the CPU's line", tried, beside)
	}
	t.Logf("%d CPUs, %d pairs, %d fit beside the CPU's line", len(cpus), tried, beside)
}
