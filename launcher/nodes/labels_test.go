package nodes

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/settings"
	"github.com/hpc3-project/hpc3/launcher/site"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// finderOf returns a finder on n7 with this slurm.conf, site file and environment.
func finderOf(t *testing.T, conf, file string, env ...string) Finder {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"slurm.conf": conf, "hpc3.toml": file} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := site.LoadNamed(filepath.Join(dir, "hpc3.toml"))
	if err != nil {
		t.Fatal(err)
	}
	return Finder{Settings: settings.Settings{Host: settings.Host{Name: "n7.example.org", Cwd: dir, Environ: append([]string{"SLURM_CONF=slurm.conf"}, env...)}, Site: s}}
}

func probedNode() facts.Node {
	return facts.Node{OS: "linux", Arch: "amd64", CPU: facts.CPU{Target: "zen3", Strict: "zen3", Rule: "strict", Level: 3}, Fabric: []string{"efa"}, Labels: []string{"cluster_1"}}
}

func TestLabelled(t *testing.T) {
	const conf = "NodeName=n[1-9] Features=IB_HDR,a100,x:y,bad!word\nNodeName=m1 Features=other\n"
	tests := []struct {
		name, file string
		env        []string
		want       []string
		fabric     []string
	}{
		{"of Slurm", "", nil, []string{"a100", "bad!word", "cluster_1", "ib_hdr", "nv-compute-8-0", "x:y"}, []string{"efa"}},
		{"of Slurm, mapped", "[words]\nib_hdr = \"infiniband\"\na100 = \"\"\n", nil, []string{"bad!word", "cluster_1", "infiniband", "x:y"}, []string{"efa"}},
		{"of Slurm, by the name in the job", "", []string{"SLURMD_NODENAME=m1"}, []string{"cluster_1", "other"}, []string{"efa"}},
		{"not of Slurm", "slurm_features = false\n", nil, []string{"cluster_1"}, []string{"efa"}},
		{"of all three", "[words]\na100 = \"\"\n\"x:y\" = \"\"\n\"bad!word\" = \"\"", []string{"HPC3_LABELS=Mine, cluster_1 ,,insttype:c5"}, []string{"cluster_1", "ib_hdr", "insttype:c5", "mine"}, []string{"efa"}},
		{"taken away", "platform-features = [\"-a100\", \"-nothing\"]\n[[host]]\nmatch = [\"n7\"]\nplatform-features = [\"-efa\", \"-cluster_1\", \"rack_b\"]\n", []string{"HPC3_LABELS=a100"}, []string{"a100", "bad!word", "ib_hdr", "nv-compute-8-0", "rack_b", "x:y"}, []string{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := finderOf(t, conf, tt.file, tt.env...).Labelled(probedNode())
			want := probedNode()
			want.Labels, want.Fabric = tt.want, tt.fabric
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("labelled: %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestLabelledUnknown(t *testing.T) {
	r := finderOf(t, "Include none.conf\n", "")
	got, err := r.Labelled(probedNode())
	why := filepath.Join(r.Host.Cwd, "slurm.conf") + ":1: reading " + filepath.Join(r.Host.Cwd, "none.conf") + ": no such file or directory"
	if diff := cmp.Diff([]facts.Unknown{{What: "labels.slurm", Why: why}}, got.Unknown); err != nil || diff != "" {
		t.Errorf("labelled with a broken slurm.conf: %v (-want +got):\n%s", err, diff)
	}
	if err := os.Remove(filepath.Join(r.Host.Cwd, "slurm.conf")); err != nil {
		t.Fatal(err)
	}
	if got, err = r.Labelled(probedNode()); err != nil || len(got.Unknown) > 0 {
		t.Errorf("labelled without slurm.conf = %+v, %v, want nothing unknown", got.Unknown, err)
	}
}

func TestLabelledFaults(t *testing.T) {
	for _, tt := range []struct {
		file, env string
		class     fault.Class
	}{
		{"", "HPC3_LABELS=a,b c", fault.Usage},
		{"", "HPC3_LABELS=-efa", fault.Usage},
		{"platform-features = [\"grace\"]\n", "", fault.Config},
		{"platform-features = [\"zen3\", \"haswell\"]\n", "", fault.Config},
	} {
		_, err := finderOf(t, "", tt.file, tt.env).Labelled(probedNode())
		if class, hints, _ := fault.Of(err, ""); err == nil || class != tt.class || len(hints) == 0 {
			t.Errorf("labelled with %q and %q = %v (%s, %q), want an error of class %s with a hint", tt.file, tt.env, err, class, hints, tt.class)
		}
	}
}

// What is said of this node is not said of another one.
func TestStatedOfThisNodeOnly(t *testing.T) {
	r := finderOf(t, "NodeName=n7 Features=a\n", "platform-features = [\"zen5\"]\n", "HPC3_LABELS=mine")
	if len(r.Stated()) != 1 {
		t.Errorf("Stated() = %q, want the list of the file", r.Stated())
	}
	r.Option = option.Run{Platform: "linux/amd64"}
	if got := r.Stated(); got != nil {
		t.Errorf("Stated() with --platform = %q", got)
	}
	r.Option.Platform, r.Given = "", &facts.Node{}
	if got := r.Stated(); got != nil {
		t.Errorf("Stated() of a given node = %q", got)
	}
	r.Given, r.Root = nil, "/recorded"
	got, err := r.Labelled(probedNode())
	if diff := cmp.Diff(probedNode(), got); err != nil || diff != "" || r.Stated() != nil {
		t.Errorf("labelled of a recorded node: %v (-want +got):\n%s", err, diff)
	}
}
