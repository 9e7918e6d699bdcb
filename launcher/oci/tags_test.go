package oci

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

func TestParseTags(t *testing.T) {
	many := `{"tags":["` + strings.Repeat(`a","`, maxEntries) + `a"]}`
	tests := []struct {
		name, in string
		want     []string
		err      string
	}{
		{name: "a list", in: `{"name":"app","tags":["2021.5_zen3","2021.5"]}`, want: []string{"2021.5_zen3", "2021.5"}},
		{name: "what is no tag", in: `{"tags":["../../blobs","a?n=1","","` + strings.Repeat("x", 129) + `",null,"ok"]}`, want: []string{"ok"}},
		{name: "null", in: `{"name":"app","tags":null}`},
		{name: "empty", in: `{"tags":[]}`},
		{name: "another answer", in: `{"errors":[]}`, err: "it has no tags"},
		{name: "a page", in: `<html>`, err: "it is not JSON"},
		{name: "cut short", in: `{"tags":["a"`, err: "it is not JSON"},
		{name: "wrong types", in: `{"tags":[1]}`, err: "tags[0]: want a string, found a number"},
		{name: "no list", in: `{"tags":{"a":"b"}}`, err: "want a list, found an object"},
		{name: "too many", in: many, err: "10001 entries, the limit is 10000"},
		{name: "too large", in: strings.Repeat(" ", MaxDocument+1), err: "the limit is"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseTags([]byte(tt.in))
			if tt.err == "" {
				if err != nil || !slices.Equal(got, tt.want) {
					t.Errorf("ParseTags(%.80s) = %q, %v, want %q", tt.in, got, err, tt.want)
				}
				return
			}
			if class, _, _ := fault.Of(err, ""); err == nil || class != fault.Registry || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("ParseTags(%.80s) = %q, %v, want an error of class registry with %q", tt.in, got, err, tt.err)
			}
		})
	}
}

func FuzzParseTags(f *testing.F) {
	for _, s := range []string{`{"name":"a/b","tags":["1","2_zen3"]}`, `{"tags":null}`, `{"tags":[""]}`, `[]`, `{`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		tags, err := ParseTags(raw)
		if err != nil {
			return
		}
		written, err := FormatTags("a", tags)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseTags(written)
		if err != nil || !slices.Equal(again, tags) {
			t.Errorf("ParseTags(%q) = %q; written, it reads back as %q, %v", raw, tags, again, err)
		}
	})
}

func TestTaggedEntries(t *testing.T) {
	e := TagEntry(3, "2021.5_Zen3_mpi-mpich", []string{"Zen3", "mpi-mpich"}, Platform{OS: "linux", Architecture: "amd64"})
	if got, want := e.Wants(), "linux/amd64:zen3:mpi-mpich"; got != want || e.Position != 3 || e.Tag != "2021.5_Zen3_mpi-mpich" || len(e.Faults) > 0 {
		t.Errorf("TagEntry = %+v, wants %q; want %q", e, got, want)
	}
	own := SingleIndex(Descriptor{Digest: DigestOf(nil)}, Config{
		OS: "linux", Architecture: "amd64", Variant: "v3", Labels: map[string]string{AnnotationFeatures: "zen3,glibc-2-28"},
	}).Entries[0]
	before := fmt.Sprint(own.Tokens)
	e = own.Tagged(1, "1_zen3", []string{"zen3"})
	if got, want := e.Wants(), "linux/amd64/v3:zen3:glibc-2-28"; got != want || e.Digest != own.Digest || e.Position != 1 {
		t.Errorf("Tagged = %+v, wants %q; want %q", e, got, want)
	}
	if fmt.Sprint(own.Tokens) != before {
		t.Errorf("Tagged changed the tokens of its receiver to %q", own.Tokens)
	}
}
