package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// answer is what a host does before it would serve the image.
type answer = func(w http.ResponseWriter, r *http.Request) bool

func (h *host) name() string { return strings.TrimPrefix(h.URL, "http://") }

func (h *host) requests() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []string
	for _, r := range h.log {
		list = append(list, r.Method+" "+r.URL.Path)
	}
	return list
}

func mirrorsOf(hosts ...*host) []fetch.Mirror {
	var list []fetch.Mirror
	for _, h := range hosts {
		list = append(list, fetch.Mirror{Scheme: "http", Host: h.name()})
	}
	return list
}

// notes gathers what is noted.
type notes struct {
	mu   sync.Mutex
	said []string
}

func (n *notes) note(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.said = append(n.said, text)
}

func status(code int, header ...string) answer {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		for _, h := range header {
			key, value, _ := strings.Cut(h, ": ")
			w.Header().Set(key, value)
		}
		w.WriteHeader(code)
		return true
	}
}

// stall does not answer before the client gives up.
func stall(_ http.ResponseWriter, r *http.Request) bool {
	<-r.Context().Done()
	return true
}

func flip(raw []byte) []byte {
	raw = bytes.Clone(raw)
	raw[len(raw)/2] ^= 1
	return raw
}

// flips answers with a wrong byte in what the path names.
func flips(path string, raw []byte) answer {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, path) {
			return false
		}
		_, _ = w.Write(flip(raw)) // the client may be gone
		return true
	}
}

func readImage(t *testing.T, src fetch.Source) error {
	t.Helper()
	raw, _, err := src.Root(t.Context())
	if err != nil {
		return err
	}
	if !bytes.Equal(raw, manifest) {
		t.Errorf("Root = %q", raw)
	}
	if raw, err = src.Blob(t.Context(), descriptor(config, oci.MediaTypeConfig)); err != nil {
		return err
	}
	if !bytes.Equal(raw, config) {
		t.Errorf("Blob = %q", raw)
	}
	if raw, err = readLayer(t, src, descriptor(layer, oci.MediaTypeLayer)); err != nil {
		return err
	}
	if !bytes.Equal(raw, layer) {
		t.Errorf("Layer = %d bytes", len(raw))
	}
	return nil
}

func TestFirstMirrorServesAll(t *testing.T) {
	first, second, own := serve(t), serve(t), serve(t)
	var n notes
	src := own.open(t, "app:1", fetch.Options{Mirrors: mirrorsOf(first, second), Note: n.note})
	if err := readImage(t, src); err != nil {
		t.Fatal(err)
	}
	want := []string{"GET /v2/", "GET /v2/app/manifests/1", "GET /v2/app/blobs/" + oci.DigestOf(config), "GET /v2/app/blobs/" + oci.DigestOf(layer)}
	if got := first.requests(); !slices.Equal(got, want) {
		t.Errorf("the first mirror was asked %q, want %q", got, want)
	}
	if got := append(second.requests(), own.requests()...); len(got) > 0 {
		t.Errorf("others were asked %q", got)
	}
	if ns := first.log[1].URL.Query().Get("ns"); ns != own.name() {
		t.Errorf("the mirror was told ns=%q, want %q", ns, own.name())
	}
	if want := "images of " + own.name() + " come from the mirror " + first.URL; !slices.Equal(n.said, []string{want}) {
		t.Errorf("noted %q, want %q", n.said, want)
	}
}

func TestFailingMirrorIsPassedOver(t *testing.T) {
	tests := []struct {
		name   string
		answer answer
		want   string // of the note
	}{
		{"down", nil, "connection refused"},
		{"404", status(404), "status 404"},
		{"401", status(401), "wants credentials"},
		{"403", status(403), "wants credentials"},
		{"429", status(429, "Retry-After: 30"), "status 429"},
		{"500", status(500), "status 500"},
		{"503", status(503, "Retry-After: 0"), "status 503"},
		{"slow", stall, "does not answer in time"},
		{"a page for people", flips("", []byte("<html>")), "x"},
		{"a config with a wrong byte", flips("blobs/"+oci.DigestOf(config), config), "its digest is"},
		{"a blob that is too short", flips("blobs/"+oci.DigestOf(layer), layer[:100]), "announces 100 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			first, second, own := serve(t), serve(t), serve(t)
			if first.answer = tt.answer; tt.answer == nil {
				first.Close()
			}
			var n notes
			opt := fetch.Options{
				Mirrors: mirrorsOf(first, second), Note: n.note,
				Timing: fetch.Timing{Stall: 2 * time.Second, Backoff: time.Millisecond},
			}
			if err := readImage(t, own.open(t, "app:1", opt)); err != nil {
				t.Fatal(err)
			}
			if got := own.requests(); len(got) > 0 {
				t.Errorf("the registry itself was asked %q", got)
			}
			if got := first.requests(); len(got) > 4 {
				t.Errorf("the mirror was asked %q", got)
			}
			passed := slices.IndexFunc(n.said, func(s string) bool {
				return strings.HasPrefix(s, "the mirror "+first.URL+" is passed over: ") && (tt.want == "x" || strings.Contains(s, tt.want))
			})
			if passed < 0 {
				t.Errorf("noted %q, want a mirror that is passed over: %s", n.said, tt.want)
			}
		})
	}
}

func TestFailedMirrorIsNotAskedAgain(t *testing.T) {
	first, own := serve(t), serve(t)
	first.answer = func(w http.ResponseWriter, r *http.Request) bool {
		return r.URL.Path != "/v2/" && status(404)(w, r)
	}
	src := own.open(t, "app:1", fetch.Options{Mirrors: mirrorsOf(first)})
	if err := readImage(t, src); err != nil {
		t.Fatal(err)
	}
	if got := len(first.requests()); got != 2 {
		t.Errorf("the mirror was asked %d times, want 2", got)
	}
	if got := len(own.requests()); got != 4 {
		t.Errorf("the registry was asked %d times, want 4", got)
	}
}

func TestWrongLayerOfAMirror(t *testing.T) {
	first, second, own := serve(t), serve(t), serve(t)
	first.answer = flips("blobs/"+oci.DigestOf(layer), layer)
	src := own.open(t, "app:1", fetch.Options{Mirrors: mirrorsOf(first, second)})
	_, err := readLayer(t, src, descriptor(layer, oci.MediaTypeLayer))
	wantFault(t, err, fault.Registry, "from the mirror "+first.URL+" of "+own.name()+": its digest is")
	if !fetch.Reroute(src) {
		t.Error("there is no other place")
	}
	if fetch.Reroute(src) {
		t.Error("another mirror is to blame")
	}
	raw, err := readLayer(t, src, descriptor(layer, oci.MediaTypeLayer))
	if err != nil || !bytes.Equal(raw, layer) {
		t.Errorf("the second time: %d bytes, %v", len(raw), err)
	}
	if len(second.requests()) == 0 || len(own.requests()) > 0 {
		t.Errorf("the second mirror was asked %q, the registry %q", second.requests(), own.requests())
	}
}

func TestWrongLayerOfTheOnlyPlace(t *testing.T) {
	first, own := serve(t), serve(t)
	first.answer = flips("blobs/"+oci.DigestOf(layer), layer)
	src := own.open(t, "app:1", fetch.Options{Mirrors: mirrorsOf(first), NoFallback: true})
	_, err := readLayer(t, src, descriptor(layer, oci.MediaTypeLayer))
	wantFault(t, err, fault.Registry, "its digest is")
	if fetch.Reroute(src) {
		t.Error("there is another place")
	}
	asked := len(first.requests())
	_, err = readLayer(t, src, descriptor(layer, oci.MediaTypeLayer))
	wantFault(t, err, fault.Registry, "no mirror has it (mirror "+first.URL+": its digest is")
	if len(first.requests()) != asked {
		t.Error("a mirror that sent wrong bytes is asked again")
	}
}

// What a conversion gave up in the middle of is in doubt, what was read to its end is not.
func TestLayerThatWasNotReadToItsEnd(t *testing.T) {
	first, own := serve(t), serve(t)
	src := own.open(t, "app:1", fetch.Options{Mirrors: mirrorsOf(first)})
	if err := readImage(t, src); err != nil || fetch.Reroute(src) {
		t.Fatalf("a good mirror is in doubt, or %v", err)
	}
	r, err := src.Layer(t.Context(), descriptor(layer, oci.MediaTypeLayer))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if !fetch.Reroute(src) {
		t.Error("the mirror is not in doubt")
	}
	if err := readImage(t, src); err != nil || len(own.requests()) == 0 {
		t.Errorf("from the registry: %v", err)
	}
}

func TestBlobGoesOnAtTheNextMirror(t *testing.T) {
	first, second, own := serve(t), serve(t), serve(t)
	first.answer = func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case !strings.Contains(r.URL.Path, "/blobs/"):
			return false
		case r.Header.Get("Range") != "":
			return status(404)(w, r)
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(layer)))
		_, _ = w.Write(layer[:100_000]) // the client may be gone
		panic(http.ErrAbortHandler)
	}
	src := own.open(t, "app:1", fetch.Options{Mirrors: mirrorsOf(first, second)})
	raw, err := readLayer(t, src, descriptor(layer, oci.MediaTypeLayer))
	if err != nil || !bytes.Equal(raw, layer) {
		t.Fatalf("%d bytes, %v", len(raw), err)
	}
	var from int
	if _, err := fmt.Sscanf(second.log[len(second.log)-1].Header.Get("Range"), "bytes=%d-", &from); err != nil || from == 0 || from > 100_000 {
		t.Errorf("the second mirror was asked for the range %q", second.log[len(second.log)-1].Header.Get("Range"))
	}
}

func TestAllMirrorsFail(t *testing.T) {
	first, second, own := serve(t), serve(t), serve(t)
	first.answer, own.answer = status(403), status(404)
	second.Close()
	opt := fetch.Options{Mirrors: mirrorsOf(first, second)}
	_, _, err := own.open(t, "app:1", opt).Root(t.Context())
	wantFault(t, err, fault.Registry, "does not answer as a registry does")
	for _, text := range []string{"reading " + own.name(), "mirror " + first.URL + ": ", "mirror " + second.URL + ": "} {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v says nothing of %q", err, text)
		}
	}
	opt.NoFallback = true
	asked := len(own.requests())
	_, _, err = own.open(t, "app:1", opt).Root(t.Context())
	wantFault(t, err, fault.Network, "reading "+own.name()+"/app:1: no mirror has it (mirror "+first.URL+": ")
	if len(own.requests()) != asked {
		t.Error("the registry itself was asked")
	}
}

func TestOnlyMirrorIsAskedPatiently(t *testing.T) {
	only, own := serve(t), serve(t)
	left := 2
	only.answer = func(w http.ResponseWriter, r *http.Request) bool {
		left--
		return left >= 0 && status(503, "Retry-After: 0")(w, r)
	}
	if err := readImage(t, own.open(t, "app:1", fetch.Options{Mirrors: mirrorsOf(only), NoFallback: true})); err != nil {
		t.Error(err)
	}
}

func TestMirrorGetsItsOwnCredentials(t *testing.T) {
	for _, known := range []string{"own", "mirror"} {
		mirror, own := serve(t), serve(t)
		mirror.answer, own.answer = basic, basic
		at := map[string]string{"own": own.name(), "mirror": mirror.name()}[known]
		file := filepath.Join(t.TempDir(), "auth.json")
		write(t, file, `{"auths":{"`+at+`":{"username":"alice","password":"s3cret"}}}`, 0o600)
		opt := fetch.Options{Mirrors: mirrorsOf(mirror), AuthFile: file}
		if err := readImage(t, own.open(t, "app:1", opt)); err != nil {
			t.Errorf("with the credentials of %s: %v", known, err)
		}
		for _, r := range mirror.log {
			if known == "own" && r.Header.Get("Authorization") != "" {
				t.Errorf("the mirror was sent the credentials of the registry")
			}
		}
		if known == "mirror" && len(own.requests()) > 0 {
			t.Errorf("the registry was asked %q", own.requests())
		}
	}
}

func TestMirrorBelowAPath(t *testing.T) {
	mirror, own := serve(t), serve(t)
	mirror.answer = func(_ http.ResponseWriter, r *http.Request) bool {
		r.URL.Path = strings.Replace(r.URL.Path, "/v2/proxy/docker/", "/v2/", 1)
		return false
	}
	opt := fetch.Options{Mirrors: []fetch.Mirror{{Host: mirror.name(), Path: "proxy/docker"}}}
	if err := readImage(t, own.open(t, "app:1", opt)); err != nil || len(own.requests()) > 0 {
		t.Errorf("%v; the registry was asked %q", err, own.requests())
	}
}

func TestTagsOfAMirror(t *testing.T) {
	mirror, own := serve(t), serve(t)
	list := func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/tags/list") {
			return false
		}
		if r.URL.Query().Get("last") == "" {
			w.Header().Set("Link", fmt.Sprintf(`</v2/app/tags/list?n=1&last=1&ns=%s>; rel="next"`, own.name()))
			fmt.Fprint(w, `{"tags":["1"]}`)
		} else {
			fmt.Fprint(w, `{"tags":["1_zen3"]}`)
		}
		return true
	}
	mirror.answer = list
	src := own.open(t, "app:0", fetch.Options{Mirrors: mirrorsOf(mirror)})
	tags, err := fetch.Tags(t.Context(), src)
	if err != nil || !slices.Equal(tags, []string{"1", "1_zen3"}) {
		t.Errorf("Tags = %q, %v", tags, err)
	}
	if err := readImage(t, fetch.Tagged(src, "1")); err != nil || len(own.requests()) > 0 {
		t.Errorf("another tag: %v; the registry was asked %q", err, own.requests())
	}
	mirror.answer, own.answer = status(405), status(405)
	_, err = fetch.Tags(t.Context(), own.open(t, "app:1", fetch.Options{Mirrors: mirrorsOf(mirror), NoFallback: true}))
	var unlistable *fetch.UnlistableError
	if !errors.As(err, &unlistable) {
		t.Errorf("Tags where there is no list = %v, want an UnlistableError", err)
	}
}

func TestEndedContextIsNoFaultOfAMirror(t *testing.T) {
	mirror, own := serve(t), serve(t)
	var n notes
	src := own.open(t, "app:1", fetch.Options{Mirrors: mirrorsOf(mirror), Note: n.note})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := src.Root(ctx); !errors.Is(err, context.Canceled) || len(n.said) > 0 || len(own.requests()) > 0 {
		t.Errorf("Root after the end = %v, noted %q", err, n.said)
	}
}
