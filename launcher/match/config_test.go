package match

import (
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// h100 is a node with a driver of CUDA 12.8.
func h100() facts.Node {
	return facts.Node{
		OS: "linux", Arch: "amd64", CPU: facts.CPU{Target: "zen3"}, GPUs: []facts.GPU{{Vendor: "nvidia", Name: "NVIDIA H100", Arch: "9.0"}},
		NVIDIA: &facts.NVIDIA{Driver: "570.86.15", CUDA: "12.8"},
	}
}

// configOf is the config of an image for amd64.
func configOf(env ...string) *oci.Config {
	return &oci.Config{OS: "linux", Architecture: "amd64", Env: env}
}

// What an image says of itself refuses it, once, and is what a message is about.
func TestOwnWords(t *testing.T) {
	const microarch = "org.supercontainers.hardware.cpu.target.microarch"
	newer := configOf("NVIDIA_REQUIRE_CUDA=cuda>=13.0")
	with := func(change func(*oci.Config)) *oci.Config {
		c := configOf()
		change(c)
		return c
	}
	for _, tt := range []struct {
		name   string
		config *oci.Config
		unread bool
		reason string // the only one; "" where it fits
	}{
		{name: "not read"},
		{name: "plain", config: configOf()},
		{name: "no system stated", config: with(func(c *oci.Config) { c.OS = "" })},
		{name: "another architecture", config: with(func(c *oci.Config) { c.Architecture = "arm64" }), reason: "by its own config, built for arm64, the node is amd64"},
		{name: "a level that it has", config: with(func(c *oci.Config) { c.Variant = "v3" })},
		{name: "a level that it lacks", config: with(func(c *oci.Config) { c.Variant = "v4" }), reason: "by its own config, needs avx512f"},
		{name: "a label", config: with(func(c *oci.Config) { c.Labels = map[string]string{microarch: "zen4"} }), reason: "by its own config, needs avx512f"},
		{name: "the variable", config: configOf("ORG_SUPERCONTAINERS_HARDWARE_CPU_TARGET_MICROARCH=zen4"), reason: "by its own config, needs avx512f"},
		{name: "a driver that it has", config: configOf("NVIDIA_REQUIRE_CUDA=cuda>=12.8")},
		{name: "a driver that it lacks", config: newer, reason: "by its own config, requires of NVIDIA's driver, by NVIDIA_REQUIRE_CUDA: cuda>=13.0 (cuda=12.8)"},
		{name: "no word", config: with(func(c *oci.Config) { c.Labels = map[string]string{microarch: "a b"} }), reason: "by its own config, cannot be used: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := entriesOf(t, "linux/amd64")[0]
			e.Config = tt.config
			for _, entry := range []oci.Entry{e, oci.SingleIndex(e.Descriptor, *configOf()).Entries[0]} {
				entry.Config = tt.config
				r := Best([]facts.Node{h100()}, []oci.Entry{entry}, Policy{})
				checkShape(t, r)
				v := r.Verdicts[0]
				if v.Fits != (tt.reason == "") || !v.Fits && (len(v.Reasons) != 1 || !strings.HasPrefix(v.Reasons[0], tt.reason)) {
					t.Errorf("verdict %+v, want %q", v, tt.reason)
				}
				if !v.Fits && !strings.Contains(r.Why, strings.TrimPrefix(tt.reason, saidByConfig)) {
					t.Errorf("why = %q, want %q in it", r.Why, tt.reason)
				}
				if r := Best([]facts.Node{h100()}, []oci.Entry{entry}, Policy{Unheard: true}); r.Chosen != 0 {
					t.Errorf("unheard: %+v", r)
				}
			}
		})
	}
}

// What the entry says as well is said once, as the entry's word.
func TestOwnWordsAreNotSaidTwice(t *testing.T) {
	e := oci.SingleIndex(oci.Descriptor{Digest: oci.DigestOf(nil)}, oci.Config{OS: "linux", Architecture: "amd64", Variant: "v4"}).Entries[0]
	r := Best([]facts.Node{h100()}, []oci.Entry{e}, Policy{})
	if v := r.Verdicts[0]; len(v.Reasons) != 1 || strings.HasPrefix(v.Reasons[0], saidByConfig) {
		t.Errorf("reasons %q", v.Reasons)
	}
}

// On a node without a driver nothing is required of one.
func TestOwnWordsWithoutADriver(t *testing.T) {
	e := entriesOf(t, "linux/amd64")[0]
	e.Config = configOf("NVIDIA_REQUIRE_CUDA=cuda>=13.0")
	r := Best([]facts.Node{{OS: "linux", Arch: "amd64", CPU: facts.CPU{Target: "zen3"}}}, []oci.Entry{e}, Policy{})
	if v := r.Verdicts[0]; !v.Fits || len(v.Notes) != 1 || !strings.Contains(v.Notes[0], "NVIDIA_REQUIRE_CUDA") {
		t.Errorf("verdict %+v", v)
	}
}

// The reason that is given is that of the image which would run, were it not for this.
func TestWhyNothingFitsByOwnWords(t *testing.T) {
	const requires = "by its own config, requires of NVIDIA's driver, by NVIDIA_REQUIRE_CUDA: cuda>=13.0 (cuda=12.8)"
	const remedy = "; it would take a newer driver, or an image for an older one"
	entries := func(platforms ...string) []oci.Entry {
		list := entriesOf(t, platforms...)
		for i := range list {
			list[i].Config = configOf("NVIDIA_REQUIRE_CUDA=cuda>=13.0")
			list[i].Config.Architecture = list[i].Platform.Architecture
		}
		return list
	}
	inside := entriesOf(t, "linux/amd64")
	inside[0].MediaType, inside[0].Nested = oci.MediaTypeIndex, entries("linux/amd64")
	none := entriesOf(t, "linux/amd64")
	none[0].MediaType, none[0].Nested = oci.MediaTypeIndex, []oci.Entry{}
	foreign := entries("linux/amd64")
	foreign[0].Config.Architecture = "arm64"
	tag := oci.TagEntry(0, "1_v3", []string{"x86_64_v3"}, oci.Platform{OS: "linux", Architecture: "amd64"})
	tag.Nested = append(entries("linux/amd64"), entriesOf(t, "linux/arm64")...)
	for _, tt := range []struct {
		name    string
		entries []oci.Entry
		want    string
	}{
		{"alone", entries("linux/amd64"), "the only image, " + requires + remedy},
		{"beside another architecture", entries("linux/amd64", "linux/arm64"), "of 2 images entry 0, linux/amd64, comes nearest, but " + requires + remedy},
		{"beside a newer CPU", append(entries("linux/amd64"), entriesOf(t, "linux/amd64/v4")...), "of 2 images entry 0, linux/amd64, comes nearest, but " + requires + remedy},
		{"all alike", entries("linux/amd64", "linux/amd64/v2"), "of 2 images entry 0, linux/amd64, comes nearest, but " + requires + remedy},
		{"an index inside", inside, "the only image is an index of which no entry fits: the only image, " + requires + remedy},
		{"an empty index inside", none, "no entry of the index can be used: entry 0 is an index of which no entry fits: the index holds no image"},
		{"a tag of an index", []oci.Entry{tag}, "the only image, " + requires + remedy},
		{
			"of another architecture by its own word only", foreign,
			"no entry of the index can be used: entry 0 by its own config, built for arm64, the node is amd64",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if r := Best([]facts.Node{h100()}, tt.entries, Policy{}); r.Chosen != -1 || r.Why != tt.want {
				t.Errorf("why = %q\nwant  %q", r.Why, tt.want)
			}
		})
	}
}
