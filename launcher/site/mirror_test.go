package site_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/site"
)

func TestMirrorsOf(t *testing.T) {
	s, err := site.LoadNamed(write(t, `
[[mirror]]
registry = "*"
mirrors = ["ALL.example.org"]
[[mirror]]
registry = "docker.io"
mirrors = ["http://cache.cluster:5000/", "https://[::1]:5000", "mirror.example.org/proxy/docker"]
fallback = false
`))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		registry string
		want     []site.Endpoint
		fallback bool
	}{
		{"docker.io", []site.Endpoint{{"http", "cache.cluster:5000", ""}, {"https", "[::1]:5000", ""}, {"", "mirror.example.org", "proxy/docker"}}, false},
		{"quay.example.org", []site.Endpoint{{"", "all.example.org", ""}}, true},
	}
	for _, tt := range tests {
		got, fallback := s.MirrorsOf(tt.registry)
		if diff := cmp.Diff(tt.want, got); diff != "" || fallback != tt.fallback {
			t.Errorf("MirrorsOf(%q), fallback %v: %s", tt.registry, fallback, diff)
		}
	}
	if got, fallback := (site.Site{}).MirrorsOf("docker.io"); got != nil || !fallback {
		t.Errorf("a site without mirrors has %v, fallback %v", got, fallback)
	}
}
