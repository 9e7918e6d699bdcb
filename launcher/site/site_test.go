package site_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/site"
)

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hpc3.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestLoadFaults(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"unknown key", "engine = \"native\"\nengin = 1\n", `hpc3.toml:2: no setting is called "engin"`},
		{"bad value", "\nengine = \"docker\"\n", `hpc3.toml:2: "docker" is not one of auto, apptainer, native`},
		{"bad mount", "container_mounts = [\"/a\",\n \"b\"]\n", `hpc3.toml:2: mount "b": the target "b" is not an absolute path`},
		{"wrong type", "container_writable = \"yes\"\n", `hpc3.toml:1: `},
		{"not TOML", "a b c\n", `hpc3.toml:1: `},
		{"unknown lock", "locked = [\"engines\"]\n", `locked: no setting is called "engines"`},
		{"bad compression", "compression = \"lzma\"\n", `"lzma" is not one of zstd, gzip, lz4`},
		{"bad host", "[[host]]\nmatch = [\"n[a]\"]\n", `the host pattern "n[a]"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := site.Load(write(t, tt.text), true)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("Load(%q) = %v, want %q", tt.text, err, tt.want)
			}
			if class, _, _ := fault.Of(err, ""); class != fault.Config {
				t.Errorf("Load(%q) is of class %q, want config", tt.text, class)
			}
		})
	}
}

func TestLoadAbsent(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "none.toml")
	if _, err := site.Load(absent, false); err != nil {
		t.Errorf("Load of an absent default = %v, want none", err)
	}
	if _, err := site.Load(absent, true); err == nil {
		t.Error("Load of an absent file that was named gave no error")
	}
}

func TestUserFileCannotSetSiteKeys(t *testing.T) {
	if _, err := site.LoadUser(write(t, "labels = [\"gpu\"]\n")); err == nil {
		t.Error("LoadUser took labels, which are the site's")
	}
}

func TestResolve(t *testing.T) {
	s, err := site.Load(write(t, "engine = \"native\"\ncontainer_mounts = [\"/scratch\"]\nlocked = [\"engine\"]\n"), true)
	if err != nil {
		t.Fatal(err)
	}
	native, apptainer := option.Choice[option.Engine]{Value: option.Native}, option.Choice[option.Engine]{Value: option.Apptainer}
	run, err := s.Resolve(option.Settings{Engine: &native, Mounts: []option.Mount{{Source: "/x", Target: "/y"}}})
	if err != nil || run.Engine != option.Native || len(run.Mounts) != 2 {
		t.Errorf("Resolve with the site's own engine = %+v, %v", run, err)
	}
	_, err = s.Resolve(option.Settings{}, option.Settings{Engine: &apptainer})
	if class, _, _ := fault.Of(err, ""); class != fault.Policy {
		t.Errorf("Resolve against a locked key = %v, want an error of class policy", err)
	}
}

func TestLabelsOf(t *testing.T) {
	s := site.Site{Labels: []string{"cluster_1"}, Hosts: []site.Host{
		{Match: []string{"gpu*", "n[008-010,200]"}, Labels: []string{"a100", "cluster_1"}},
		{Match: []string{"n[1-20]"}, Labels: []string{"short"}},
		{Match: []string{"n0??.example.org"}, Labels: []string{"dotted"}},
	}}
	tests := []struct {
		host string
		want []string
	}{
		{"login", []string{"cluster_1"}},
		{"gpu7.example.org", []string{"a100", "cluster_1"}},
		{"n009", []string{"a100", "cluster_1", "short"}},
		{"n9", []string{"cluster_1", "short"}},
		{"n0009", []string{"cluster_1", "short"}},
		{"n011.example.org", []string{"cluster_1", "dotted", "short"}},
		{"n200x", []string{"cluster_1"}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, s.LabelsOf(tt.host)); diff != "" {
			t.Errorf("LabelsOf(%q) differs (-want +got):\n%s", tt.host, diff)
		}
	}
}
