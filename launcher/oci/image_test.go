package oci

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseManifest(t *testing.T) {
	raw := `{"schemaVersion":2,"config":{"mediaType":"` + MediaTypeConfig + `","digest":"` + sum + `","size":2},
		"layers":[{"mediaType":"` + MediaTypeLayerZstd + `","digest":"` + sum + `","size":2,"urls":["http://169.254.169.254/"]}],"annotations":{"a":"b"}}`
	m, err := ParseManifest([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	want := Manifest{
		MediaType:   MediaTypeManifest,
		Config:      Descriptor{MediaType: MediaTypeConfig, Digest: sum, Size: 2},
		Layers:      []Descriptor{{MediaType: MediaTypeLayerZstd, Digest: sum, Size: 2, URLs: []string{"http://169.254.169.254/"}}},
		Annotations: map[string]string{"a": "b"},
	}
	if diff := cmp.Diff(want, m); diff != "" || m.Artifact() != "" {
		t.Errorf("ParseManifest differs (-want +got), artifact %q:\n%s", m.Artifact(), diff)
	}
}

func TestParseManifestRefuses(t *testing.T) {
	config := fmt.Sprintf(`"config":{"mediaType":%q,"digest":%q,"size":2}`, MediaTypeConfig, sum)
	tests := []struct{ name, in, why string }{
		{"no config", `{"layers":[]}`, "config: has no digest"},
		{"no layers", `{` + config + `}`, "has no layers"},
		{"an index", indexOf(), "its media type is"},
		{"both", `{` + config + `,"layers":[],"manifests":[]}`, "manifests, as an index has"},
		{"a bad layer", `{` + config + `,"layers":[{"digest":"sha256:x"}]}`, `layers[0]: "sha256:x" is no digest`},
		{"a negative layer", `{` + config + `,"layers":[{"digest":"` + sum + `","size":-2}]}`, "layers[0]: a size of -2"},
		{"a null layer", `{` + config + `,"layers":[null]}`, "layers[0]: has no digest"},
		{"schema 1", `{"schemaVersion":1,"fsLayers":[]}`, "schema 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseManifest([]byte(tt.in))
			if err == nil || !strings.Contains(err.Error(), tt.why) || strings.Contains(err.Error(), "\n") {
				t.Errorf("ParseManifest(%s) = %v, want one line with %q", tt.in, err, tt.why)
			}
		})
	}
}

func TestArtifact(t *testing.T) {
	for want, m := range map[string]Manifest{
		"application/x": {ArtifactType: "application/x", Config: Descriptor{MediaType: MediaTypeEmpty}},
		"text/plain":    {Config: Descriptor{MediaType: "text/plain"}},
		"unknown":       {},
		"":              {ArtifactType: "application/x", Config: Descriptor{MediaType: MediaTypeDockerConfig}},
	} {
		if got := m.Artifact(); got != want {
			t.Errorf("%+v.Artifact() = %q, want %q", m, got, want)
		}
	}
}

func TestParseConfig(t *testing.T) {
	raw := `{"created":"2026-05-01T10:00:00Z","architecture":"x86_64","os":"linux","variant":"v3",
		"config":{"Env":["PATH=/bin","A="],"Entrypoint":["/opt/view/bin/gmx"],"Cmd":["-h"],"WorkingDir":"/srv/../data","User":"1000:1000",
		"Labels":{"a":"b","c":null},"StopSignal":"SIGTERM"},"rootfs":{"type":"layers","diff_ids":["` + sum + `"]},"history":[{}]}`
	got, err := ParseConfig([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		OS: "linux", Architecture: "amd64", Variant: "v3", Created: time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC),
		Env: []string{"PATH=/bin", "A="}, Entrypoint: []string{"/opt/view/bin/gmx"}, Cmd: []string{"-h"}, WorkingDir: "/data",
		User: "1000:1000", Labels: map[string]string{"a": "b", "c": ""}, StopSignal: "SIGTERM", DiffIDs: []string{sum},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ParseConfig differs (-want +got):\n%s", diff)
	}
}

func TestParseConfigHostile(t *testing.T) {
	in := func(config string) string { return `{"os":"linux","architecture":"amd64","config":{` + config + `}}` }
	tests := []struct {
		name, in string
		env      []string
		faults   []string // parts of what Faults says, in order
	}{
		{"nulls", `{"os":null,"config":null,"rootfs":null,"created":null}`, nil, nil},
		{"a variable without =", in(`"Env":["A","=b","C=d"]`), []string{"C=d"}, []string{`"A" is not NAME=VALUE`, `"=b" is not NAME=VALUE`}},
		{"a NUL", in(`"Env":["A=\u0000b","C=d"]`), []string{"C=d"}, []string{"holds a NUL"}},
		{"a variable of 1 MiB", in(`"Env":["A=` + strings.Repeat("x", 1<<20) + `","C=d"]`), []string{"C=d"}, []string{"limit is 131071"}},
		{"2 MiB of variables", in(`"Env":["C=d"` + strings.Repeat(`,"A=`+strings.Repeat("x", 120000)+`"`, 17) + `]`), nil, []string{"more than 1048576 bytes"}},
		{"a directory of the kernel", in(`"WorkingDir":"/proc/self/fd/8"`), nil, []string{`"/proc/self/fd/8" is not of the image`}},
		{"the same by a detour", in(`"WorkingDir":"x/..//../proc/self"`), nil, []string{"not of the image"}},
		{"a user with a line break", in(`"User":"root\nx"`), nil, []string{"is no name"}},
		{"a time that is none", `{"created":"yesterday"}`, nil, []string{"is no time"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := ParseConfig([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if tt.env != nil && !cmp.Equal(tt.env, c.Env) {
				t.Errorf("Env = %.200q, want %q", c.Env, tt.env)
			}
			if len(c.Faults) != len(tt.faults) {
				t.Fatalf("Faults = %q, want %q", c.Faults, tt.faults)
			}
			for i, part := range tt.faults {
				if !strings.Contains(c.Faults[i], part) {
					t.Errorf("Faults[%d] = %q, want %q in it", i, c.Faults[i], part)
				}
			}
			if c.WorkingDir != "" {
				t.Errorf("WorkingDir = %q", c.WorkingDir)
			}
		})
	}
	for why, raw := range map[string]string{
		"want a list, found a string":  in(`"Env":"A=b"`),
		"want a string, found a list":  in(`"User":[]`),
		"holds a NUL":                  in(`"Cmd":["\u0000"]`),
		"the limit is 4096":            in(`"Entrypoint":["x"` + strings.Repeat(`,"x"`, maxArgs) + `]`),
		"the limit is 10000":           in(`"Entrypoint":["x"` + strings.Repeat(`,"x"`, 100000) + `]`),
		"too long":                     in(`"Entrypoint":["` + strings.Repeat("x", 200000) + `"]`),
		"rootfs.diff_ids[0]: \"x\" is": `{"rootfs":{"diff_ids":["x"]}}`,
	} {
		if _, err := ParseConfig([]byte(raw)); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("ParseConfig(%.80s) = %v, want %q", raw, err, why)
		}
	}
}

func TestSingleIndex(t *testing.T) {
	cfg := Config{
		OS: "linux", Architecture: "amd64", Variant: "v3",
		Env:    []string{"ORG_SUPERCONTAINERS_HARDWARE_CPU_TARGET_MICROARCH=zen3"},
		Labels: map[string]string{"org.supercontainers.hpc3.features": "efa"},
	}
	x := SingleIndex(Descriptor{MediaType: MediaTypeManifest, Digest: sum, Size: 7}, cfg)
	if len(x.Entries) != 1 || x.Digest != "" || x.Entries[0].Wants() != "linux/amd64/v3:efa:zen3" || !x.Entries[0].IsImage() {
		t.Errorf("SingleIndex = %+v", x)
	}
	bare := SingleIndex(Descriptor{MediaType: MediaTypeManifest, Digest: sum, Size: 7}, Config{})
	if bare.Entries[0].Platform != nil || bare.Entries[0].Annotations != nil {
		t.Errorf("SingleIndex of an empty config = %+v", bare)
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(`{"os":"linux","config":{"Env":["A=b"],"WorkingDir":"/x"},"rootfs":{"diff_ids":["` + sum + `"]}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := ParseConfig(raw)
		if err != nil {
			return
		}
		for _, e := range c.Env {
			if !strings.Contains(e, "=") || strings.Contains(e, "\x00") {
				t.Errorf("ParseConfig(%q): Env has %q", raw, e)
			}
		}
		if c.WorkingDir != "" && !strings.HasPrefix(c.WorkingDir, "/") {
			t.Errorf("ParseConfig(%q): WorkingDir is %q", raw, c.WorkingDir)
		}
		SingleIndex(Descriptor{Digest: sum}, c)
	})
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(`{"config":{"digest":"` + sum + `"},"layers":[{"digest":"` + sum + `"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := ParseManifest(raw)
		if err != nil {
			return
		}
		for _, l := range append(m.Layers, m.Config) {
			if !ValidDigest(l.Digest) || l.Size < 0 {
				t.Errorf("ParseManifest(%q): %+v", raw, l)
			}
		}
	})
}
