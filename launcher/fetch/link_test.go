package fetch

import (
	"strings"
	"testing"
)

func TestNextLink(t *testing.T) {
	tests := []struct {
		name   string
		fields []string
		want   string
		bad    bool
	}{
		{name: "none"},
		{name: "empty", fields: []string{"", " , "}},
		{name: "one", fields: []string{`</v2/a/tags/list?n=1&last=b>; rel="next"`}, want: "/v2/a/tags/list?n=1&last=b"},
		{name: "a comma in the target", fields: []string{`<?a,b;c="d">;rel=next`}, want: `?a,b;c="d"`},
		{name: "of several", fields: []string{`<a>; rel=prev, <b>; rel=next, <c>; rel=next`}, want: "b"},
		{name: "of several fields", fields: []string{`<a>`, `<b>; rel="prev next"`}, want: "b"},
		{name: "of another relation", fields: []string{`<a>; rel=nextish`, `<b>; notrel=next`}},
		{name: "the first rel counts", fields: []string{`<a>; rel=prev; rel=next`}},
		{name: "a parameter without a value", fields: []string{`<a>; x; rel=next;`}, want: "a"},
		{name: "a quoted rel inside another parameter", fields: []string{`<a>; title="; rel=next"`}},
		{name: "no brackets", fields: []string{`/v2/a/tags/list; rel=next`}, bad: true},
		{name: "no opening bracket", fields: []string{`>; rel=next`}, bad: true},
		{name: "no target", fields: []string{`<>; rel=next`}, bad: true},
		{name: "no closing bracket", fields: []string{`<a; rel=next`}, bad: true},
		{name: "no end of a quoted string", fields: []string{`<a>; rel="next`}, bad: true},
		{name: "garbage behind", fields: []string{`<a> rel=next`}, bad: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := nextLink(tt.fields)
			if got != tt.want || (err != nil) != tt.bad {
				t.Errorf("nextLink(%q) = %q, %v, want %q, an error: %v", tt.fields, got, err, tt.want, tt.bad)
			}
		})
	}
}

func FuzzNextLink(f *testing.F) {
	for _, s := range []string{`<a>; rel="next"`, `<a>;rel=prev,<b>; title="\"" ; rel=next`, `<`, `>`, `<a>;`, `<a>;=`, `<a>; rel="`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		link, err := nextLink([]string{s})
		if err != nil || link == "" {
			return
		}
		if strings.Contains(link, ">") || !strings.Contains(s, "<"+link+">") {
			t.Errorf("nextLink(%q) = %q, which is no link of it", s, link)
		}
		if again, err := nextLink([]string{"<x>; rel=prev, <" + link + `>; rel="next"`}); err != nil || again != link {
			t.Errorf("nextLink(%q) = %q; written, it reads back as %q, %v", s, link, again, err)
		}
	})
}
