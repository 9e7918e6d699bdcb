package launcher

import (
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// What the choice relies on reaches the start, and explain says so, for an entry inside an index as
// well.
func TestChosenForCUDACompat(t *testing.T) {
	const config, labelled = `{"os":"linux","architecture":"amd64"}`, `{"os":"linux","architecture":"amd64","config":{"Env":["NVIDIA_REQUIRE_CUDA=cuda>=13.1","NV_CUDA_COMPAT_PACKAGE=cuda-compat-13-1"]}}`
	const words = `,"platform":{"os":"linux","architecture":"amd64","features":["nv-compute-9-0","cuda-13-1","cuda-compat"]}`
	plain, own := manifestOf(config, oci.MediaTypeConfig, "", ""), manifestOf(labelled, oci.MediaTypeConfig, "", "")
	generic, entry := descriptorOf(plain, oci.MediaTypeManifest, ofAMD64), descriptorOf(own, oci.MediaTypeManifest, words)
	inner := indexOf(entry)
	for _, tt := range []struct {
		name, index, driver string
		force               bool
		want                string
		position            int
	}{
		{"an older driver", indexOf(generic, entry), "535.161.08", false, "13.1", 1},
		{"inside an index", indexOf(generic, descriptorOf(inner, oci.MediaTypeIndex, words)), "535.161.08", false, "13.1", 1},
		{"by what the image says itself", indexOf(descriptorOf(own, oci.MediaTypeManifest, ofAMD64)), "535.161.08", false, "13.1", 0},
		{"by force", indexOf(generic, entry), "535.161.08", true, "", 1},
		{"a driver that serves", indexOf(generic, entry), "590.48.01", false, "", 1},
		{"a driver that NVIDIA does not support", indexOf(generic, entry), "545.23.08", false, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			layout := layoutOf(t, config, labelled, plain, own, inner, tt.index, indexOf(descriptorOf(tt.index, oci.MediaTypeIndex, "")))
			r := &Road{
				Settings: inTemp(t),
				Given: &facts.Node{
					OS: "linux", Arch: "amd64", CPU: facts.CPU{Target: "zen4"}, NVIDIA: &facts.NVIDIA{Driver: tt.driver},
					GPUs: []facts.GPU{{Vendor: "nvidia", Name: "NVIDIA H100 80GB HBM3", Arch: "9.0"}},
				},
			}
			r.Option.Force = tt.force
			c, err := chosenBy(t, r, layout)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.relies(c); got != tt.want || c.Taken().Position != tt.position {
				t.Errorf("entry %d relies on CUDA %q, want entry %d and %q: %s", c.Taken().Position, got, tt.position, tt.want, c.Why)
			}
			told, err := r.Explain(t.Context(), layout)
			const says = "its cuda-compat brings CUDA 13.1, which driver 535.161.08 lacks"
			if table := told.Table(0); err != nil || strings.Contains(table, says) != (tt.driver == "535.161.08") {
				t.Errorf("Explain() = %v, %s", err, table)
			}
		})
	}
}
