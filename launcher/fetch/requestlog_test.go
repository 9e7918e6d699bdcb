package fetch_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// Each request is told with method, URL, status, bytes and time, where a signed redirect and a
// token are involved as well; no secret is in it.
func TestRequestsAreToldWithoutSecrets(t *testing.T) {
	const body = "a layer"
	digest := oci.DigestOf([]byte(body))
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.URL.Path == "/token":
			_, _ = w.Write([]byte(`{"token":"T0PSECRET"}`))
		case req.URL.Path == "/store":
			_, _ = w.Write([]byte(body))
		case req.Header.Get("Authorization") != "Bearer T0PSECRET":
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+server.URL+`/token",service="s"`)
			w.WriteHeader(http.StatusUnauthorized)
		case strings.Contains(req.URL.Path, "/blobs/"):
			http.Redirect(w, req, strings.Replace(server.URL, "//", "//u:T0PSECRET@", 1)+"/store?X-Signature=T0PSECRET", http.StatusTemporaryRedirect)
		}
	}))
	defer server.Close()
	ref, err := oci.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/app:1")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var told []string
	src, err := fetch.Open(t.Context(), ref, fetch.Options{Env: func(string) string { return "" }, Detail: func(text string) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, strings.ReplaceAll(text, server.URL, "URL"))
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if raw, err := src.Blob(t.Context(), oci.Descriptor{Digest: digest, Size: int64(len(body))}); err != nil || string(raw) != body {
		t.Fatalf("Blob = %q, %v", raw, err)
	}
	got := regexp.MustCompile(`(307, )\d+|\d+( ms)`).ReplaceAllString(strings.Join(told, "\n"), "${1}N$2")
	want := `request: GET URL/v2/: 401, 0 bytes, N ms
credentials: for ` + ref.Registry + ` from nowhere; looked in no file
request: GET URL/token?...: 200, 21 bytes, N ms
request: GET URL/v2/app/blobs/` + digest[:len("sha256:")+12] + `: 307, N bytes, N ms
request: GET URL/store?...: 200, 7 bytes, N ms`
	if got != want {
		t.Errorf("told\n%s\nwant\n%s", got, want)
	}
}
