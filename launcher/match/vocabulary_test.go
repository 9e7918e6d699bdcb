package match

import (
	"slices"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// Each kind of demand is read, held against nodes, described, and has a remedy: a kind that is
// added in one of these places only fails here.
func TestEveryKindOfDemandIsComplete(t *testing.T) {
	samples := map[kind]string{
		kindCPU: "zen3", kindFlags: "avx512_vbmi2", kindGPU: "rocm-6-3", kindNVIDIA: "nv-compute-9-0", kindAMD: "amd-gfx90a", kindDriver: "nvidia-535-104-12",
		kindCUDA: "cuda-12-4", kindMPI: "mpi-mpich-4-1", kindGlibc: "glibc-2-36", kindLabel: "efa",
	}
	others := map[kind]string{kindNVIDIA: "nv-compute-7-0", kindAMD: "amd-gfx906"} // another GPU of the vendor
	none := newChooser(nil, Policy{}).remedy(&judgement{refusals: []refusal{{kind: kindUnknown}}})
	for k := kindCPU; k < kindUnknown; k++ {
		if k == kindGeneric || k == kindCompat { // these ask for nothing
			continue
		}
		token := samples[k]
		if got := newChooser(nil, Policy{}).read(token).kind; token == "" || got != k {
			t.Errorf("the sample %q of kind %d is read as kind %d", token, k, got)
			continue
		}
		entry := oci.Entry{
			Descriptor: oci.Descriptor{Platform: &oci.Platform{OS: "linux", Architecture: "amd64"}},
			Tokens:     []string{token},
		}
		with, err := NodeFor("linux/amd64:" + token)
		if err != nil {
			t.Fatal(err)
		}
		if j := judged(with, entry); !j.fits() {
			t.Errorf("%s: a node that NodeFor made for it is refused: %v", token, j.refusals)
		}
		without := facts.Node{SchemaVersion: facts.SchemaVersion, OS: "linux", Arch: "amd64"}
		j := judged(without, entry)
		if j.fits() {
			t.Errorf("%s: a node without it is not refused", token)
			continue
		}
		if got := j.refusals[0].kind; got != k && got != kindUnknown {
			t.Errorf("%s: a node without it is refused for kind %d: %v", token, got, j.refusals)
		}
		c := newChooser([]facts.Node{without}, Policy{})
		if c.remedy(&judgement{refusals: []refusal{{kind: k}}}) == none {
			t.Errorf("%s: there is no remedy for a node without it", token)
		}
		if other := others[k]; other != "" {
			node, err := NodeFor("linux/amd64:" + other)
			if err == nil {
				node, err = Describe(node, []string{token})
			}
			if err != nil || len(node.GPUs) != 1 || !slices.Equal(node.GPUs, with.GPUs) {
				t.Errorf("%s on a node of %s has the GPUs %v, %v; want %v", token, other, node.GPUs, err, with.GPUs)
			}
		}
	}
}

func judged(n facts.Node, e oci.Entry) judgement {
	c := newChooser([]facts.Node{n}, Policy{})
	return c.judge(&e, false)
}
