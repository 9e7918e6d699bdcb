package fetch_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// lists answers requests for the tags of "app" with what page returns for a query, and keeps the
// queries.
func lists(t *testing.T, page func(w http.ResponseWriter, query string)) (*host, *[]string) {
	t.Helper()
	h := serve(t)
	var queries []string
	h.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/v2/app/tags/list" {
			return false
		}
		queries = append(queries, r.URL.RawQuery)
		page(w, r.URL.RawQuery)
		return true
	}
	return h, &queries
}

func tagList(tags ...string) string {
	return string(mustJSON(map[string]any{"name": "app", "tags": tags}))
}

func numbered(from, to int) []string {
	var tags []string
	for i := from; i < to; i++ {
		tags = append(tags, fmt.Sprintf("t%06d", i))
	}
	return tags
}

// A registry whose pages have links of all the forms that are allowed.
func TestTagsOfAllPages(t *testing.T) {
	links := []string{
		`</v2/app/tags/list?n=2&last=b>; rel="next"`,
		`<?last=d>; title="a, \"b\"; rel=prev"; rel=next`,
		`</v2/other/tags/list?x=1>; rel="prev", <HOST/v2/app/tags/list?last=f>;rel="last NEXT"`,
		`<https://NAME/v2/app/tags/list?last=h>; REL = next; rel=prev`,
		`</v2/app/tags/list>; rel="first"`,
	}
	at := 0
	var h *host
	h, queries := lists(t, func(w http.ResponseWriter, _ string) {
		link := strings.NewReplacer("HOST", h.URL, "NAME", strings.TrimPrefix(h.URL, "http://")).Replace(links[at])
		w.Header().Set("Link", link)
		fmt.Fprint(w, tagList(fmt.Sprintf("a%d", at), fmt.Sprintf("b%d", at), "a0"))
		at++
	})
	got, err := fetch.Tags(t.Context(), h.open(t, "app:1", fetch.Options{}))
	want := []string{"a0", "b0", "a1", "b1", "a2", "b2", "a3", "b3", "a4", "b4"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Tags = %q, %v, want %q", got, err, want)
	}
	if want := []string{"n=1000", "n=2&last=b", "last=d", "last=f", "last=h"}; !slices.Equal(*queries, want) {
		t.Errorf("asked for %q, want %q", *queries, want)
	}
}

// This registry cuts its list at n and has no links.
func TestTagsOfRegistryWithoutLinks(t *testing.T) {
	for _, count := range []int{0, 3, 1000, 2500} {
		server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
		for _, tag := range append(numbered(0, count), "last") {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL+"/v2/app/manifests/"+tag, strings.NewReader(`{}`))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil || resp.StatusCode != http.StatusCreated {
				t.Fatalf("pushing %s: %v, %v", tag, resp, err)
			}
			resp.Body.Close()
		}
		ref, err := oci.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/app:1")
		if err != nil {
			t.Fatal(err)
		}
		got, err := fetch.Tags(t.Context(), open(t, ref, fetch.Options{}))
		slices.Sort(got)
		if want := append([]string{"last"}, numbered(0, count)...); err != nil || !slices.Equal(got, want) {
			t.Errorf("Tags gives %d of %d tags, %v", len(got), len(want), err)
		}
		server.Close()
	}
}

func TestTagsThatCannotBeListed(t *testing.T) {
	next := func(w http.ResponseWriter, link string) {
		w.Header().Set("Link", "<"+link+`>; rel="next"`)
		fmt.Fprint(w, tagList("a"))
	}
	tests := []struct {
		name       string
		page       func(w http.ResponseWriter, query string)
		class      fault.Class
		text       string
		unlistable bool
		requests   int
	}{
		{"a link to itself", func(w http.ResponseWriter, _ string) { next(w, "/v2/app/tags/list?last=a") }, fault.Registry, "names an earlier one", true, 2},
		{"links without an end", func(w http.ResponseWriter, q string) { next(w, "/v2/app/tags/list?"+q+"1") }, fault.Registry, "more than 100 pages", true, 100},
		{"a link to another host", func(w http.ResponseWriter, _ string) { next(w, "http://127.0.0.2/v2/app/tags/list?last=a") }, fault.Registry, "a place elsewhere", true, 1},
		{"a link to another repository", func(w http.ResponseWriter, _ string) { next(w, "/v2/other/tags/list?last=a") }, fault.Registry, "a place elsewhere", true, 1},
		{"a link upwards", func(w http.ResponseWriter, _ string) { next(w, "../../app2/tags/list?last=a") }, fault.Registry, "a place elsewhere", true, 1},
		{"a link with a user", func(w http.ResponseWriter, _ string) { next(w, "//s3cret@127.0.0.1/v2/app/tags/list?a") }, fault.Registry, "a place elsewhere", true, 1},
		{"a link to another scheme", func(w http.ResponseWriter, _ string) { next(w, "file:///v2/app/tags/list?last=a") }, fault.Registry, "a place elsewhere", true, 1},
		{"a link that is no URL", func(w http.ResponseWriter, _ string) { next(w, "http://[::1") }, fault.Registry, "no URL", true, 1},
		{"a header that is no link", func(w http.ResponseWriter, _ string) { w.Header().Set("Link", "next"); fmt.Fprint(w, tagList("a")) }, fault.Registry, "no Link header", true, 1},
		{"no JSON", func(w http.ResponseWriter, _ string) { fmt.Fprint(w, "<html>") }, fault.Registry, "not JSON", true, 1},
		{"too many on a page", func(w http.ResponseWriter, _ string) { fmt.Fprint(w, tagList(numbered(0, 10_001)...)) }, fault.Registry, "10001 entries, the limit is 10000", true, 1},
		{"too many on all", func(w http.ResponseWriter, q string) {
			var from int
			_, _ = fmt.Sscanf(q, "n=1000&last=t%06d", &from) // none in the first
			fmt.Fprint(w, tagList(numbered(from+1, from+1001)...))
		}, fault.Registry, "more than 10000 tags", true, 11},
		{"too many bytes", func(w http.ResponseWriter, q string) {
			w.Header().Set("Link", `<?`+q+`1>; rel=next`)
			fmt.Fprint(w, tagList("a")+strings.Repeat(" ", 1<<20))
		}, fault.Registry, "more than 4194304 bytes", true, 4},
		{"401", func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusUnauthorized) }, fault.Auth, "wants credentials", true, 1},
		{"403", func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusForbidden) }, fault.Auth, "status 403", true, 1},
		{"404", func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusNotFound) }, fault.Registry, "no such list", true, 1},
		{"405", func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusMethodNotAllowed) }, fault.Registry, "status 405", true, 1},
		{"500", func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusInternalServerError) }, fault.Registry, "in trouble", false, 4},
		{"429", func(w http.ResponseWriter, _ string) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
		}, fault.Registry, "limits how often", false, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, queries := lists(t, tt.page)
			tags, err := fetch.Tags(t.Context(), h.open(t, "app:1", fetch.Options{}))
			wantFault(t, err, tt.class, tt.text)
			var unlistable *fetch.UnlistableError
			if got := errors.As(err, &unlistable); got != tt.unlistable || tags != nil {
				t.Errorf("Tags = %d tags, %v; unlistable %v, want none and %v", len(tags), err, got, tt.unlistable)
			}
			if len(*queries) != tt.requests {
				t.Errorf("%d requests, want %d: %.200q", len(*queries), tt.requests, *queries)
			}
		})
	}
}

// The link of a page is no way to lead credentials elsewhere.
func TestTagsSendNoCredentialsElsewhere(t *testing.T) {
	var asked int
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer other.Close()
	h := serve(t)
	h.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if basic(w, r) {
			return true
		}
		if r.URL.Path == "/v2/app/tags/list" {
			w.Header().Set("Link", "<"+other.URL+`/v2/app/tags/list?last=a>; rel="next"`)
			fmt.Fprint(w, tagList("a"))
			return true
		}
		return false
	}
	file := filepath.Join(t.TempDir(), "auth.json")
	write(t, file, `{"auths":{"`+strings.TrimPrefix(h.URL, "http://")+`":{"username":"alice","password":"s3cret"}}}`, 0o600)
	_, err := fetch.Tags(t.Context(), h.open(t, "app:1", fetch.Options{AuthFile: file}))
	wantFault(t, err, fault.Registry, "a place elsewhere")
	if asked != 0 {
		t.Errorf("the other host was asked %d times", asked)
	}
}

func TestTaggedSharesTheLogin(t *testing.T) {
	h := serve(t)
	src := h.open(t, "app:2", fetch.Options{})
	if _, _, err := src.Root(t.Context()); err == nil {
		t.Fatal("app:2 is there")
	}
	raw, mediaType, err := fetch.Tagged(src, "1").Root(t.Context())
	if err != nil || mediaType != oci.MediaTypeManifest || oci.DigestOf(raw) != oci.DigestOf(manifest) {
		t.Errorf("Root of app:1 = %q, %q, %v", raw, mediaType, err)
	}
	pings := 0
	for _, r := range h.log {
		if r.URL.Path == "/v2/" {
			pings++
		}
	}
	if pings != 1 {
		t.Errorf("the registry was greeted %d times, want 1", pings)
	}
}
