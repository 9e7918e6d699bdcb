package oci

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParsePlatform(t *testing.T) {
	tests := []struct {
		in     string
		want   Platform
		tokens []string
	}{
		{"linux/amd64", Platform{OS: "linux", Architecture: "amd64"}, nil},
		{"linux/x86_64/v3:Zen3", Platform{OS: "linux", Architecture: "amd64", Variant: "v3", Features: []string{"zen3"}}, []string{"zen3"}},
		{
			"linux/amd64:broadwell:nv-compute-5-2:nvidia-396-44",
			Platform{OS: "linux", Architecture: "amd64", Features: []string{"broadwell", "nv-compute-5-2", "nvidia-396-44"}},
			[]string{"broadwell", "nv-compute-5-2", "nvidia-396-44"},
		},
		{
			"linux/amd64:cpu:broadwell:nvcap:5.2",
			Platform{OS: "linux", Architecture: "amd64", Features: []string{"broadwell", "nv-compute-5-2"}},
			[]string{"broadwell", "nv-compute-5-2"},
		},
		{"linux/arm64/v8.2", Platform{OS: "linux", Architecture: "arm64", Variant: "v8.2"}, nil},
	}
	for _, tt := range tests {
		got, tokens, err := ParsePlatform(tt.in)
		if err != nil {
			t.Errorf("ParsePlatform(%q): %v", tt.in, err)
		}
		if diff := cmp.Diff(tt.want, got) + cmp.Diff(tt.tokens, tokens); diff != "" {
			t.Errorf("ParsePlatform(%q) differs (-want +got):\n%s", tt.in, diff)
		}
	}
	for _, in := range []string{"", "linux", "linux/", "/amd64", "linux/amd64/v3/x", "linux/amd64:", "linux/amd64:a b", "linux/amd64:-x", "a/b\n", strings.Repeat("x", 5000)} {
		if got, _, err := ParsePlatform(in); err == nil {
			t.Errorf("ParsePlatform(%q) = %v, want an error", in, got)
		}
	}
}

func FuzzParsePlatform(f *testing.F) {
	f.Add("linux/amd64/v3:zen3:cpu:broadwell:nvcap:5.2")
	f.Add("linux/arm64:cpu:cpu:x")
	f.Fuzz(func(t *testing.T, s string) {
		p, _, err := ParsePlatform(s)
		if err != nil {
			return
		}
		again, _, err := ParsePlatform(p.String())
		if err != nil || !cmp.Equal(again, p) {
			t.Errorf("ParsePlatform(%q) = %+v; its String() reads back as %+v, %v", s, p, again, err)
		}
	})
}
