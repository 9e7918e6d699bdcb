package fetch_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// host serves one image, "app:1", and goes wrong as a test wants: answer, if set, goes first and
// says whether it answered.
type host struct {
	*httptest.Server
	answer func(w http.ResponseWriter, r *http.Request) bool

	mu  sync.Mutex
	log []*http.Request
}

var (
	layer    = bytes.Repeat([]byte("layer "), 50_000)
	config   = []byte(`{"os":"linux","architecture":"amd64"}`)
	manifest = mustJSON(map[string]any{
		"schemaVersion": 2, "mediaType": oci.MediaTypeManifest,
		"config": descriptor(config, oci.MediaTypeConfig), "layers": []oci.Descriptor{descriptor(layer, oci.MediaTypeLayer)},
	})
)

func mustJSON(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}

func descriptor(raw []byte, mediaType string) oci.Descriptor {
	return oci.Descriptor{MediaType: mediaType, Digest: oci.DigestOf(raw), Size: int64(len(raw))}
}

func serve(t *testing.T) *host {
	t.Helper()
	h := &host{}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.log = append(h.log, r)
	h.mu.Unlock()
	if h.answer != nil && h.answer(w, r) {
		return
	}
	for path, raw := range map[string][]byte{
		"/v2/": nil, "/v2/app/manifests/1": manifest, "/v2/app/manifests/" + oci.DigestOf(manifest): manifest,
		"/v2/app/blobs/" + oci.DigestOf(config): config, "/v2/app/blobs/" + oci.DigestOf(layer): layer,
	} {
		if r.URL.Path == path {
			if strings.Contains(path, "manifests") {
				w.Header().Set("Content-Type", oci.MediaTypeManifest)
			}
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(raw))
			return
		}
	}
	w.WriteHeader(http.StatusNotFound)
}

func (h *host) open(t *testing.T, name string, opt fetch.Options) fetch.Source {
	t.Helper()
	ref, err := oci.ParseReference(strings.TrimPrefix(h.URL, "http://") + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return open(t, ref, opt)
}

func open(t *testing.T, ref oci.Reference, opt fetch.Options) fetch.Source {
	t.Helper()
	if opt.Timing == (fetch.Timing{}) {
		opt.Timing = fetch.Timing{Stall: 2 * time.Second, Backoff: time.Millisecond, RetryAfter: time.Second, Pauses: 5 * time.Second, Helper: 2 * time.Second}
	}
	src, err := fetch.Open(t.Context(), ref, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return src
}

func readLayer(t *testing.T, src fetch.Source, d oci.Descriptor) ([]byte, error) {
	t.Helper()
	r, err := src.Layer(t.Context(), d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func wantFault(t *testing.T, err error, class fault.Class, text string) {
	t.Helper()
	got, hints, _ := fault.Of(err, "")
	if err == nil || got != class || !strings.Contains(err.Error(), text) {
		t.Errorf("error of class %q: %v; want class %q and %q", got, err, class, text)
		return
	}
	if len(hints) == 0 {
		t.Errorf("%v: no hint", err)
	}
	if strings.ContainsAny(err.Error(), "\n\r") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%q is more than a line, or holds a credential", err)
	}
}

func TestRegistry(t *testing.T) {
	h := serve(t)
	src := h.open(t, "app:1", fetch.Options{})
	raw, mediaType, err := src.Root(t.Context())
	if err != nil || !bytes.Equal(raw, manifest) || mediaType != oci.MediaTypeManifest {
		t.Fatalf("Root = %q, %q, %v", raw, mediaType, err)
	}
	if raw, err := src.Blob(t.Context(), descriptor(config, oci.MediaTypeConfig)); err != nil || !bytes.Equal(raw, config) {
		t.Errorf("Blob(config) = %q, %v", raw, err)
	}
	if raw, err := src.Blob(t.Context(), descriptor(manifest, oci.MediaTypeManifest)); err != nil || !bytes.Equal(raw, manifest) {
		t.Errorf("Blob(manifest) = %q, %v", raw, err)
	}
	if raw, err := readLayer(t, src, descriptor(layer, oci.MediaTypeLayer)); err != nil || !bytes.Equal(raw, layer) {
		t.Errorf("Layer = %d bytes, %v", len(raw), err)
	}
	if len(h.log) != 5 { // /v2/, the root, and three blobs
		t.Errorf("%d requests were made, want 5", len(h.log))
	}
	pinned := h.open(t, "app@"+oci.DigestOf(manifest), fetch.Options{})
	if raw, _, err := pinned.Root(t.Context()); err != nil || !bytes.Equal(raw, manifest) {
		t.Errorf("Root of a digest = %q, %v", raw, err)
	}
}

func TestStatuses(t *testing.T) {
	tests := []struct {
		status int
		class  fault.Class
		text   string
	}{
		{404, fault.Reference, "no such image"},
		{401, fault.Auth, "wants credentials"},
		{403, fault.Auth, "wants credentials"},
		{429, fault.Registry, "429"},
		{500, fault.Registry, "500"},
		{502, fault.Registry, "502"},
		{418, fault.Registry, "418"},
	}
	for _, tt := range tests {
		t.Run(strconv.Itoa(tt.status), func(t *testing.T) {
			h := serve(t)
			h.answer = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/v2/" {
					return false
				}
				w.WriteHeader(tt.status)
				fmt.Fprintln(w, `{"errors":[{"code":"X","message":"a\nlong\x1b answer"}]}`)
				return true
			}
			_, _, err := h.open(t, "app:1", fetch.Options{}).Root(t.Context())
			wantFault(t, err, tt.class, tt.text)
			if len(h.log) > 6 {
				t.Errorf("%d requests were made", len(h.log))
			}
		})
	}
}

func TestBusyRegistryIsAskedAgain(t *testing.T) {
	for _, status := range []int{429, 500, 503} {
		h := serve(t)
		left := 2
		h.answer = func(w http.ResponseWriter, r *http.Request) bool {
			if left--; left < 0 {
				return false
			}
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(status)
			return true
		}
		if _, _, err := h.open(t, "app:1", fetch.Options{}).Root(t.Context()); err != nil {
			t.Errorf("two answers of %d: %v", status, err)
		}
	}
}

func TestLongRetryAfterIsNotWaitedFor(t *testing.T) {
	for _, field := range []string{"86400", time.Now().Add(24 * time.Hour).UTC().Format(http.TimeFormat)} {
		h := serve(t)
		h.answer = func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", field)
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}
		_, _, err := h.open(t, "app:1", fetch.Options{}).Root(t.Context())
		wantFault(t, err, fault.Registry, "429")
		if len(h.log) != 1 {
			t.Errorf("Retry-After %s: %d requests, want 1", field, len(h.log))
		}
	}
}

func TestBadBlobs(t *testing.T) {
	flipped := bytes.Clone(layer)
	flipped[1000] ^= 1
	tests := []struct {
		name string
		body []byte
		text string
	}{
		{"other bytes", flipped, "its digest is"},
		{"too short", layer[:1000], "1000"},
		{"too long", append(bytes.Clone(layer), 'x'), "300001"},
		{"empty", nil, "0"},
	}
	for _, tt := range tests {
		for _, length := range []bool{true, false} {
			t.Run(fmt.Sprint(tt.name, " with length ", length), func(t *testing.T) {
				h := serve(t)
				h.answer = func(w http.ResponseWriter, r *http.Request) bool {
					if !strings.Contains(r.URL.Path, oci.DigestOf(layer)) {
						return false
					}
					if length {
						w.Header().Set("Content-Length", strconv.Itoa(len(tt.body)))
					} else {
						w.WriteHeader(http.StatusOK)
						w.(http.Flusher).Flush()
					}
					_, _ = w.Write(tt.body) // the client may be gone
					return true
				}
				_, err := readLayer(t, h.open(t, "app:1", fetch.Options{}), descriptor(layer, oci.MediaTypeLayer))
				text := tt.text
				if !length && tt.name == "too long" {
					text = "longer"
				}
				wantFault(t, err, fault.Registry, text)
			})
		}
	}
}

func TestCutBlobIsResumed(t *testing.T) {
	h := serve(t)
	cuts := 0
	h.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, oci.DigestOf(layer)) || cuts == 2 {
			return false
		}
		cuts++
		from := 0
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err == nil {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(layer)-1, len(layer)))
			w.Header().Set("Content-Length", strconv.Itoa(len(layer)-from))
			w.WriteHeader(http.StatusPartialContent)
		} else {
			w.Header().Set("Content-Length", strconv.Itoa(len(layer)))
		}
		_, _ = w.Write(layer[from : from+50_000]) // the client may be gone
		panic(http.ErrAbortHandler)
	}
	raw, err := readLayer(t, h.open(t, "app:1", fetch.Options{}), descriptor(layer, oci.MediaTypeLayer))
	if err != nil || !bytes.Equal(raw, layer) || cuts != 2 {
		t.Errorf("after %d cuts: %d bytes, %v", cuts, len(raw), err)
	}
}

func TestStalledBodyEnds(t *testing.T) {
	h := serve(t)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	h.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, oci.DigestOf(layer)) {
			return false
		}
		_, _ = w.Write(layer[:100]) // the client may be gone
		w.(http.Flusher).Flush()
		select {
		case <-release:
		case <-r.Context().Done():
		}
		return true
	}
	opt := fetch.Options{Timing: fetch.Timing{Stall: 50 * time.Millisecond, Backoff: time.Millisecond, Pauses: 10 * time.Millisecond}}
	_, err := readLayer(t, h.open(t, "app:1", opt), descriptor(layer, oci.MediaTypeLayer))
	wantFault(t, err, fault.Network, "does not answer in time")
}

func TestRegistryThatIsDown(t *testing.T) {
	h := serve(t)
	h.Close()
	_, _, err := h.open(t, "app:1", fetch.Options{}).Root(t.Context())
	wantFault(t, err, fault.Network, "connection refused")
}

// basic lets only alice in.
func basic(w http.ResponseWriter, r *http.Request) bool {
	if user, password, ok := r.BasicAuth(); ok && user == "alice" && password == "s3cret" {
		return false
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
	w.WriteHeader(http.StatusUnauthorized)
	return true
}

func TestCredentials(t *testing.T) {
	good := base64.StdEncoding.EncodeToString([]byte("alice:s3cret"))
	bad := base64.StdEncoding.EncodeToString([]byte("alice:s3cretwrong"))
	tests := []struct {
		name   string
		config string // of the file; HOST stands for the registry
		helper string // a credential helper "test", as a shell script
		text   string // of the error; "" = it works
	}{
		{name: "in the file", config: `{"auths":{"HOST":{"auth":"` + good + `"}}}`},
		{name: "as a URL", config: `{"auths":{"http://HOST/v2/":{"auth":"` + good + `"}}}`},
		{name: "the more specific wins", config: `{"auths":{"HOST":{"auth":"` + bad + `"},"HOST/app":{"auth":"` + good + `"}}}`},
		{name: "a helper", config: `{"credHelpers":{"HOST":"test"}}`, helper: `read h; [ "$1" = get ] && echo '{"Username":"alice","Secret":"s3cret"}'`},
		{name: "a helper for all", config: `{"credsStore":"test"}`, helper: `echo '{"Username":"alice","Secret":"s3cret"}'`},
		{name: "wrong", config: `{"auths":{"HOST":{"auth":"` + bad + `"}}}`, text: "refuses the credentials"},
		{name: "none for this registry", config: `{"auths":{"other.example.org":{"auth":"` + good + `"}}}`, text: "none were found"},
		{name: "no base64", config: `{"auths":{"HOST":{"auth":"***"}}}`, text: "not USER:PASSWORD in base64"},
		{name: "no JSON", config: `{"auths"`, text: "not JSON"},
		{name: "wrong types", config: `{"auths":{"HOST":"s3cret"}}`, text: "should be of type"},
		{name: "a helper that is not there", config: `{"credHelpers":{"HOST":"none"}}`, text: "docker-credential-none"},
		{name: "a helper that fails", config: `{"credsStore":"test"}`, helper: `echo s3cret >&2; exit 1`, text: "ended with"},
		{name: "a helper that prints garbage", config: `{"credsStore":"test"}`, helper: `echo s3cret`, text: "not the JSON"},
		{name: "a helper that hangs", config: `{"credsStore":"test"}`, helper: `sleep 60`, text: "no answer within"},
		{name: "a helper that knows nothing", config: `{"credsStore":"test"}`, helper: `echo credentials not found in native keychain; exit 1`, text: "none were found"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := serve(t)
			h.answer = basic
			dir := t.TempDir()
			write(t, filepath.Join(dir, ".docker/config.json"), strings.ReplaceAll(tt.config, "HOST", strings.TrimPrefix(h.URL, "http://")), 0o600)
			if tt.helper != "" {
				write(t, filepath.Join(dir, "bin/docker-credential-test"), "#!/bin/sh\n"+tt.helper+"\n", 0o700)
			}
			env := map[string]string{"PATH": filepath.Join(dir, "bin") + ":" + os.Getenv("PATH")}
			_, _, err := h.open(t, "app:1", fetch.Options{Env: func(k string) string { return env[k] }, HomeDir: dir}).Root(t.Context())
			if tt.text == "" {
				if err != nil {
					t.Errorf("Root = %v", err)
				}
				return
			}
			wantFault(t, err, fault.Auth, tt.text)
		})
	}
}

func write(t *testing.T, file, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	// A process that is started meanwhile would hold the file open for writing, and no one may
	// execute it then.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func TestAuthFileOrder(t *testing.T) {
	h := serve(t)
	h.answer = basic
	good := `{"auths":{"` + strings.TrimPrefix(h.URL, "http://") + `":{"username":"alice","password":"s3cret"}}}`
	dir := t.TempDir()
	write(t, filepath.Join(dir, "good.json"), good, 0o600)
	write(t, filepath.Join(dir, ".docker/config.json"), `{}`, 0o600)
	for _, env := range []map[string]string{
		{"HPC3_AUTH_FILE": filepath.Join(dir, "good.json")}, {"REGISTRY_AUTH_FILE": filepath.Join(dir, "good.json")},
	} {
		opt := fetch.Options{Env: func(k string) string { return env[k] }, HomeDir: dir}
		if _, _, err := h.open(t, "app:1", opt).Root(t.Context()); err != nil {
			t.Errorf("%v: %v", env, err)
		}
	}
	if _, _, err := h.open(t, "app:1", fetch.Options{AuthFile: filepath.Join(dir, "good.json")}).Root(t.Context()); err != nil {
		t.Errorf("--authfile: %v", err)
	}
	_, _, err := h.open(t, "app:1", fetch.Options{AuthFile: filepath.Join(dir, "none.json")}).Root(t.Context())
	wantFault(t, err, fault.Auth, "none.json")
}

// wantToken is an answer that gives whoever asks a token, and the registry to nobody without it.
func (h *host) wantToken(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case r.URL.Path == "/token":
		fmt.Fprint(w, `{"token":"t0ken"}`)
		return true
	case r.Header.Get("Authorization") == "Bearer t0ken":
		return false
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="`+h.URL+`/token",service="test"`)
	w.WriteHeader(http.StatusUnauthorized)
	return true
}

func TestTokens(t *testing.T) {
	h := serve(t)
	h.answer = h.wantToken
	src := h.open(t, "app:1", fetch.Options{})
	if _, _, err := src.Root(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := readLayer(t, src, descriptor(layer, oci.MediaTypeLayer)); err != nil {
		t.Error(err)
	}
	tokens := 0
	for _, r := range h.log {
		if r.URL.Path == "/token" {
			tokens++
		}
	}
	if tokens != 1 {
		t.Errorf("%d tokens were asked for, want 1", tokens)
	}
}

func TestRedirectTakesNoCredentials(t *testing.T) {
	var seen string
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Get("Authorization")
		_, _ = w.Write(layer) // the client may be gone
	}))
	defer storage.Close()
	h := serve(t)
	h.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if basic(w, r) {
			return true
		}
		if strings.Contains(r.URL.Path, "/blobs/") {
			// Another name for the same machine, since credentials are of a host.
			http.Redirect(w, r, strings.Replace(storage.URL, "127.0.0.1", "localhost", 1), http.StatusTemporaryRedirect)
			return true
		}
		return false
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "auth.json"), `{"auths":{"`+strings.TrimPrefix(h.URL, "http://")+`":{"username":"alice","password":"s3cret"}}}`, 0o600)
	raw, err := readLayer(t, h.open(t, "app:1", fetch.Options{AuthFile: filepath.Join(dir, "auth.json")}), descriptor(layer, oci.MediaTypeLayer))
	if err != nil || !bytes.Equal(raw, layer) {
		t.Fatalf("%d bytes, %v", len(raw), err)
	}
	if seen != "" {
		t.Errorf("the other host was sent %q", seen)
	}
}

func TestRedirectLoopEnds(t *testing.T) {
	h := serve(t)
	h.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/manifests/") {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
			return true
		}
		return false
	}
	_, _, err := h.open(t, "app:1", fetch.Options{}).Root(t.Context())
	wantFault(t, err, fault.Registry, "redirect")
}

func TestUnsafeDescriptorsAreRefused(t *testing.T) {
	src := serve(t).open(t, "app:1", fetch.Options{})
	for name, d := range map[string]oci.Descriptor{
		"a path":  {Digest: "sha256:../../x", Size: 1},
		"no size": {Digest: oci.DigestOf(layer), Size: -1},
	} {
		if _, err := src.Layer(t.Context(), d); err == nil {
			t.Errorf("%s: Layer gave no error", name)
		}
		if _, err := src.Blob(t.Context(), d); err == nil {
			t.Errorf("%s: Blob gave no error", name)
		}
	}
	// A foreign layer is refused by name, and nobody is asked for it.
	foreign := descriptor(layer, "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip")
	asked := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a foreign layer was asked for") }))
	defer asked.Close()
	foreign.URLs = []string{asked.URL}
	_, err := src.Layer(t.Context(), foreign)
	wantFault(t, err, fault.Registry, foreign.Digest+": it is a foreign layer")
	if _, err := src.Blob(t.Context(), oci.Descriptor{Digest: oci.DigestOf(layer), Size: oci.MaxDocument + 1}); err == nil {
		t.Error("a blob that is too large was fetched")
	}
}

func TestCancelledLayerFails(t *testing.T) {
	h := serve(t)
	ctx, cancel := contextWithCancel(t)
	r, err := h.open(t, "app:1", fetch.Options{}).Layer(ctx, descriptor(layer, oci.MediaTypeLayer))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cancel()
	if _, err := io.ReadAll(r); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("reading after the context ended = %v", err)
	}
}

// An entry of an index that the registry has deleted is no wrong name.
func TestDeletedEntry(t *testing.T) {
	h := serve(t)
	h.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if gone := strings.HasPrefix(r.URL.Path, "/v2/app/manifests/sha256:"); gone {
			w.WriteHeader(http.StatusNotFound)
			return true
		}
		return false
	}
	src := h.open(t, "app:1", fetch.Options{})
	_, err := src.Blob(t.Context(), descriptor(manifest, oci.MediaTypeManifest))
	wantFault(t, err, fault.Registry, "names this entry, and the registry has it no more (status 404)")
	_, hints, _ := fault.Of(err, "")
	if len(hints) != 2 || !strings.Contains(hints[1], "hpc3 explain "+strings.TrimPrefix(h.URL, "http://")+"/app:1") {
		t.Errorf("hints %q", hints)
	}
	_, _, err = h.open(t, "app@"+oci.DigestOf(manifest), fetch.Options{}).Root(t.Context())
	wantFault(t, err, fault.Reference, "no such image")
}
