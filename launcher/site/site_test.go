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
		{"bad mismatch", "label_mismatch = \"ignore\"\n", `label_mismatch: "ignore" is not one of error, warn`},
		{"bad feature", "\nplatform-features = [\n\"zen3\",\n\"nv-compute-9\"]\n", `hpc3.toml:4: "nv-compute-9" is almost a word of the vocabulary`},
		{"bad feature of a host", "[[host]]\nmatch = [\"a\"]\nplatform-features = [\"a b\"]\n", `hpc3.toml:3: "a b" is no word of letters`},
		{"feature with an underscore", "platform_features = []\n", `hpc3.toml:1: no setting is called "platform_features"`},
		{"bad token", "[words]\na = \"efa\"\nib = \"infini band\"\n", `hpc3.toml:3: "infini band" is no word of letters`},
		{"taken token", "[words]\nib = \"-efa\"\n", `hpc3.toml:2: a word of Slurm's cannot stand for "-efa"`},
		{"bad word", "[words]\n\"a b\" = \"efa\"\n", `words: "a b" cannot be a Feature of Slurm's`},
		{"no word", "[words]\nib = [\"efa\"]\n", `hpc3.toml:2: `},
		{"pattern without a version", "[[tags]]\nmatch = \"docker.io/cp2k/*\"\npattern = \"{gpu}\"\n", `hpc3.toml:3: the pattern "{gpu}" needs {version} once`},
		{"pattern with another place", "[[tags]]\nmatch = \"docker.io/cp2k/*\"\npattern = \"{version}-{arch}\"\n", `hpc3.toml:3: the pattern "{version}-{arch}" has a place {arch}`},
		{"pattern for no repository", "[[tags]]\nmatch = \"cp2k\"\npattern = \"{version}-{gpu}\"\n", `hpc3.toml: tags: "cp2k" is no repository with its registry`},
		{"no pattern", "[[tags]]\nmatch = \"docker.io/cp2k/*\"\n", `hpc3.toml: tags: no pattern is given for docker.io/cp2k/*`},
		{"mirror of another scheme", "[[mirror]]\nregistry = \"*\"\nmirrors = [\n\"ftp://a\"]\n", `hpc3.toml:4: the mirror "ftp://a" begins with neither http:// nor https://`},
		{"mirror without a host", "[[mirror]]\nregistry = \"*\"\nmirrors = [\"http:///a\"]\n", `hpc3.toml:3: the mirror "http:///a" does not name a HOST[:PORT]`},
		{"mirror with a password", "[[mirror]]\nregistry = \"*\"\nmirrors = [\"u:p@a\"]\n", `does not name a HOST[:PORT]`},
		{"mirror with a query", "[[mirror]]\nregistry = \"*\"\nmirrors = [\"a/b?c\"]\n", `is not that of a repository`},
		{"mirror with a path that leaves", "[[mirror]]\nregistry = \"*\"\nmirrors = [\"a/../b\"]\n", `is not that of a repository`},
		{"mirror of nothing", "[[mirror]]\nmirrors = [\"a\"]\n", `mirror: "" is no registry`},
		{"mirror of another name", "[[mirror]]\nregistry = \"index.docker.io\"\nmirrors = [\"a\"]\n", `is called "docker.io" here`},
		{"token server with a scheme", "token_servers = [\"https://a\"]\n", `token_servers: "https://a" is not a HOST[:PORT] in lower case`},
		{"no mirror", "[[mirror]]\nregistry = \"docker.io\"\nfallback = false\n", `mirror: none is named for docker.io`},
		{"mirrors twice", strings.Repeat("[[mirror]]\nregistry = \"a\"\nmirrors = [\"b\"]\n", 2), `mirror: there are two tables for a`},
		{"relative cache", "[[cache]]\ndir = \"sw\"\n", `cache: dir: "sw" is not an absolute path`},
		{"cache without a directory", "[[cache]]\nwrite = true\n", `cache: dir: "" is not an absolute path`},
		{"unknown owner", "[[cache]]\ndir = \"/sw\"\nowners = [\"nobody-is-called-so\"]\n", `hpc3.toml:3: no user is called "nobody-is-called-so" in /etc/passwd`},
		{"bad size", "layer_cache = \"4 gigs\"\n", `hpc3.toml:1: "4 gigs" is no size`},
		{"bad age", "cache_max_age = \"1y\"\n", `hpc3.toml:1: "1y" is no number of days`},
		{"bad host", "[[host]]\nmatch = [\"n[a]\"]\n", `the host pattern "n[a]"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := site.LoadNamed(write(t, tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("Load(%q) = %v, want %q", tt.text, err, tt.want)
			}
			if class, _, _ := fault.Of(err, ""); class != fault.Config {
				t.Errorf("Load(%q) is of class %q, want config", tt.text, class)
			}
		})
	}
}

func TestCaches(t *testing.T) {
	s, err := site.LoadNamed(write(t, "[[cache]]\ndir = \"/sw/hpc3\"\nowners = [\"root\", \"4242\"]\n[[cache]]\ndir = \"/scratch/hpc3\"\nwrite = true\n"))
	want := []site.Cache{{Dir: "/sw/hpc3", Owners: []site.Owner{{UID: 0}, {UID: 4242}}}, {Dir: "/scratch/hpc3", Write: true}}
	if diff := cmp.Diff(want, s.Caches); diff != "" || err != nil {
		t.Errorf("Load: %v; caches differ (-want +got):\n%s", err, diff)
	}
}

func TestLoadAbsent(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "none.toml")
	if _, err := site.Load(absent); err != nil {
		t.Errorf("Load of an absent default = %v, want none", err)
	}
	if _, err := site.LoadNamed(absent); err == nil {
		t.Error("Load of an absent file that was named gave no error")
	}
}

func TestUserFileCannotSetSiteKeys(t *testing.T) {
	if _, err := site.LoadUser(write(t, "labels = [\"gpu\"]\n")); err == nil {
		t.Error("LoadUser took labels, which are the site's")
	}
}

func TestResolve(t *testing.T) {
	s, err := site.LoadNamed(write(t, "engine = \"native\"\ncontainer_mounts = [\"/scratch\"]\nlocked = [\"engine\"]\n"))
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

func TestSlurmLabels(t *testing.T) {
	s, err := site.LoadNamed(write(t, "[words]\nib_hdr = \"infiniband\"\n7xx3 = \"Zen3\"\nnogpu = \"\"\nA100 = \"big\"\nmix = \"lower\"\nMIX = \"upper\"\nmilan = \"\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		site site.Site
		in   string
		want string
	}{
		{s, "ib_hdr 7xx3 nogpu rack_B", "infiniband zen3 rack_b"},
		{s, "IB_HDR a100 Milan MIX mix Mix", "infiniband big upper lower upper"},
		{site.Site{}, "milan ROME 128GB Gen1", "milan zen3 rome zen2 128gb gen1"},
		{site.Site{}, "epyc_7352 epyc7763 EPYC_9654 epyc-9755 epyc_7601", "epyc_7352 zen2 epyc7763 zen3 epyc_9654 zen4 epyc-9755 zen5 epyc_7601"},
		{site.Site{}, "E5-2695v4 e5_2680_v3 E5-2670", "e5-2695v4 broadwell e5_2680_v3 haswell e5-2670"},
		{site.Site{}, "ampere hopper skylake icelake", "ampere hopper skylake icelake"},
	}
	for _, tt := range tests {
		if got := strings.Join(tt.site.SlurmLabels(strings.Fields(tt.in)), " "); got != tt.want {
			t.Errorf("SlurmLabels(%s) = %s, want %s", tt.in, got, tt.want)
		}
	}
}

// What the built-in map knows are words that an entry can ask for.
func TestSlurmLabelsAreTokens(t *testing.T) {
	words := strings.Fields("ice_lake cascade_lake sapphire_rapids rome milan genoa turin avx2 avx512 v100 a100 h100 l40")
	for _, word := range words {
		labels := site.Site{}.SlurmLabels([]string{word})
		if len(labels) != 2 {
			t.Errorf("SlurmLabels(%q) = %q, want the word and its token", word, labels)
			continue
		}
		var f site.Feature
		if err := f.UnmarshalText([]byte(labels[1])); err != nil || labels[1] == word {
			t.Errorf("SlurmLabels(%q) = %q: %v", word, labels, err)
		}
	}
}

func TestReadsSlurm(t *testing.T) {
	for text, want := range map[string]bool{"": true, "slurm_features = true\n": true, "slurm_features = false\n": false} {
		s, err := site.LoadNamed(write(t, text))
		if err != nil || s.ReadsSlurm() != want {
			t.Errorf("ReadsSlurm of %q = %v, %v, want %v", text, s.ReadsSlurm(), err, want)
		}
	}
}

func TestFeaturesOf(t *testing.T) {
	s, err := site.LoadNamed(write(t, `platform-features = ["rack_b"]
[[host]]
match = ["gpu*"]
platform-features = ["nv-compute-9-0", "-efa"]
[[host]]
match = ["gpu7", "n1"]
labels = ["a"]
[[host]]
match = ["gpu7"]
platform-features = ["zen3"]
`))
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string][][]string{
		"n1":               {{"rack_b"}},
		"gpu1":             {{"rack_b"}, {"nv-compute-9-0", "-efa"}},
		"gpu7.example.org": {{"rack_b"}, {"nv-compute-9-0", "-efa"}, {"zen3"}},
	} {
		if diff := cmp.Diff(want, s.FeaturesOf(host)); diff != "" {
			t.Errorf("FeaturesOf(%q) differs (-want +got):\n%s", host, diff)
		}
	}
}
