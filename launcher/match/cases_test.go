package match

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// selectionCases is a file of hosts, indexes and the choice expected.
type selectionCases struct {
	Cases []struct {
		ID       int
		Name     string
		Hosts    []caseHost
		Variants []caseVariant
		Policy   struct{ CPU string }
		Expect   *int `json:"expect_index"`
		Reason   string
	}
}

type caseHost struct {
	OS, Arch, CPU string
	Features      []string
	GPUs          []struct{ CC string }
	Driver, CUDA  string
	AMDGPU        []string
	MPI           map[string]string
	Labels        []string
	Glibc         string
}

type caseVariant struct {
	P           string
	Rank        int
	Annotations map[string]string
}

func (h caseHost) node() facts.Node {
	n := facts.Node{OS: h.OS, Arch: h.Arch, Glibc: h.Glibc, CPU: facts.CPU{Target: h.CPU, Features: h.Features}, Labels: h.Labels}
	for _, g := range h.GPUs {
		n.GPUs = append(n.GPUs, facts.GPU{Vendor: "nvidia", Arch: g.CC})
	}
	for _, gfx := range h.AMDGPU {
		n.GPUs = append(n.GPUs, facts.GPU{Vendor: "amd", Arch: gfx})
	}
	if h.Driver != "" || h.CUDA != "" {
		n.NVIDIA = &facts.NVIDIA{Driver: h.Driver, CUDA: h.CUDA}
	}
	for _, name := range slices.Sorted(maps.Keys(h.MPI)) {
		n.MPI = append(n.MPI, facts.MPI{Implementation: name, Version: h.MPI[name]})
	}
	return n
}

// indexOfVariants writes an index and reads it, so that the cases walk the way of real ones.
func indexOfVariants(t testing.TB, variants []caseVariant) []oci.Entry {
	t.Helper()
	doc := map[string]any{"schemaVersion": 2}
	entries := []oci.Descriptor{}
	for i, v := range variants {
		d := oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: oci.DigestOf([]byte(strconv.Itoa(i))), Annotations: map[string]string{}}
		if v.P != "" {
			p, _, err := oci.ParsePlatform(v.P)
			if err != nil {
				t.Fatal(err)
			}
			d.Platform = &p
		}
		maps.Copy(d.Annotations, v.Annotations)
		if v.Rank != 0 {
			d.Annotations[oci.AnnotationRank] = strconv.Itoa(v.Rank)
		}
		entries = append(entries, d)
	}
	doc["manifests"] = entries
	raw, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	x, err := oci.ParseIndex(raw)
	if err != nil {
		t.Fatal(err)
	}
	return x.Entries
}

// TestSelectionCases runs the cases of the file that HPC3_SELECTION_CASES names, relative to the
// working directory of go test's caller or to the repository.
func TestSelectionCases(t *testing.T) {
	file := os.Getenv("HPC3_SELECTION_CASES")
	if file == "" {
		file = "../shared/data/selection_cases.json"
	}
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && !strings.HasPrefix(file, "/") {
		raw, err = os.ReadFile("../../" + file) // tests run in the directory of the package
	}
	if errors.Is(err, fs.ErrNotExist) && os.Getenv("HPC3_SELECTION_CASES") == "" {
		t.Skipf("no selection cases here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	runCases(t, file, raw)
}

// Cases of our own, each with the expert's answer.
func TestOwnCases(t *testing.T) {
	for _, file := range []string{"words.json"} {
		raw, err := os.ReadFile("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		runCases(t, file, raw)
	}
}

func runCases(t *testing.T, file string, raw []byte) {
	t.Helper()
	var all selectionCases
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for _, c := range all.Cases {
		t.Run(fmt.Sprintf("%d %s", c.ID, c.Name), func(t *testing.T) {
			var nodes []facts.Node
			for _, h := range c.Hosts {
				nodes = append(nodes, h.node())
			}
			want := -1
			if c.Expect != nil {
				want = *c.Expect
			}
			r := Best(nodes, indexOfVariants(t, c.Variants), Policy{CPUFeatures: c.Policy.CPU == "features"})
			if r.Chosen != want {
				t.Errorf("chose %d, want %d (%s); why: %s\n%s", r.Chosen, want, c.Reason, r.Why, verdicts(r))
			}
			checkShape(t, r)
			t.Logf("%s\n%s", r.Why, verdicts(r))
		})
	}
	t.Logf("%d cases", len(all.Cases))
}

func verdicts(r Result) string {
	var b strings.Builder
	for _, v := range r.Verdicts {
		fmt.Fprintf(&b, "  %d fits=%v: %s\n", v.Position, v.Fits, strings.Join(v.Reasons, "; "))
	}
	return b.String()
}

// checkShape holds a result against what callers rely on.
func checkShape(t *testing.T, r Result) {
	t.Helper()
	if r.Why == "" || strings.ContainsAny(r.Why, "\n\x1b") {
		t.Errorf("Why is %q", r.Why)
	}
	fits := 0
	for i, v := range r.Verdicts {
		if len(v.Reasons) == 0 || slices.Contains(v.Reasons, "") {
			t.Errorf("verdict %d has the reasons %q", i, v.Reasons)
		}
		if v.Fits {
			fits++
		}
	}
	if r.Chosen >= 0 && !r.Verdicts[r.Chosen].Fits || r.Chosen < 0 && fits > 0 {
		t.Errorf("chose %d with the verdicts\n%s", r.Chosen, verdicts(r))
	}
}
