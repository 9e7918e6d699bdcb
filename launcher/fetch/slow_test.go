package fetch_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// impatient bounds waits so that a test sees them.
var impatient = fetch.Timing{Stall: 200 * time.Millisecond, Document: time.Second, Backoff: time.Millisecond, RetryAfter: time.Second, Pauses: 10 * time.Millisecond}

// drip sends a byte now and then until nobody listens.
func drip(w http.ResponseWriter, r *http.Request, every time.Duration, piece []byte) {
	for r.Context().Err() == nil {
		if _, err := w.Write(piece); err != nil {
			return
		}
		w.(http.Flusher).Flush()
		time.Sleep(every)
	}
}

// Whatever a registry sends slowly, or without an end, it holds nobody up.
func TestRegistryThatDrips(t *testing.T) {
	const often = 10 * time.Millisecond
	lawful := bytes.Repeat([]byte(" "), 20<<10) // more than the least rate
	for _, tt := range []struct {
		name   string
		answer func(h *host, w http.ResponseWriter, r *http.Request) bool
		class  fault.Class // of the error; "" = it works
		text   string
	}{
		{"its 401", func(h *host, w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/v2/" {
				return h.wantToken(w, r)
			}
			h.wantToken(w, r)
			drip(w, r, often, []byte(" "))
			return true
		}, "", ""},
		{"its 401, without an end", func(h *host, w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/v2/" {
				return h.wantToken(w, r)
			}
			h.wantToken(w, r)
			drip(w, r, 0, lawful)
			return true
		}, "", ""},
		{"its 200", func(_ *host, w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/v2/" {
				drip(w, r, often, []byte(" "))
			}
			return r.URL.Path == "/v2/"
		}, "", ""},
		{"the token", func(h *host, w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/token" {
				drip(w, r, often, []byte(" "))
				return true
			}
			return h.wantToken(w, r)
		}, fault.Network, "does not answer in time"},
		{"the token, without an end", func(h *host, w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/token" {
				drip(w, r, 0, lawful)
				return true
			}
			return h.wantToken(w, r)
		}, fault.Registry, "the token server's answer has more than 65536 bytes"},
		{"a manifest", func(_ *host, w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/manifests/") {
				drip(w, r, often, []byte(" "))
			}
			return strings.Contains(r.URL.Path, "/manifests/")
		}, fault.Network, "does not answer in time"},
		{"a manifest, just fast enough", func(_ *host, w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/manifests/") {
				drip(w, r, 100*time.Millisecond, lawful)
			}
			return strings.Contains(r.URL.Path, "/manifests/")
		}, fault.Network, "does not answer in time"},
		{"the text of an error", func(_ *host, w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/manifests/") {
				w.WriteHeader(http.StatusNotFound)
				drip(w, r, often, []byte(" "))
			}
			return strings.Contains(r.URL.Path, "/manifests/")
		}, fault.Reference, "no such image"},
		{"a redirect", func(_ *host, w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/v2/app/manifests/1" && r.URL.RawQuery == "" {
				w.Header().Set("Location", r.URL.Path+"?again")
				w.WriteHeader(http.StatusTemporaryRedirect)
				drip(w, r, often, []byte(" "))
				return true
			}
			return false
		}, "", ""},
		{"one that is busy", func(_ *host, w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
			drip(w, r, often, []byte(" "))
			return true
		}, fault.Registry, "503"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := serve(t)
			h.answer = func(w http.ResponseWriter, r *http.Request) bool { return tt.answer(h, w, r) }
			start := time.Now()
			_, _, err := h.open(t, "app:1", fetch.Options{Timing: impatient}).Root(t.Context())
			if tt.class == "" && err != nil {
				t.Error(err)
			}
			if tt.class != "" {
				wantFault(t, err, tt.class, tt.text)
			}
			if took := time.Since(start); took > 20*time.Second { // some seconds, were the machine idle
				t.Errorf("it took %v", took)
			}
		})
	}
}

// A header that drips has a deadline as well.
func TestHeaderThatDrips(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, err := http.ReadRequest(bufio.NewReader(c))
				if err == nil {
					_, err = io.WriteString(c, "HTTP/1.1 401 Unauthorized\r\n")
				}
				for i := 0; err == nil; i++ {
					time.Sleep(20 * time.Millisecond)
					_, err = fmt.Fprintf(c, "X-%d: y\r\n", i)
				}
			}()
		}
	}()
	ref, err := oci.ParseReference(listener.Addr().String() + "/app:1")
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = open(t, ref, fetch.Options{Timing: impatient}).Root(t.Context())
	wantFault(t, err, fault.Network, "does not answer in time")
}

// What answers at /v2/ is said as what it is, and no other scheme is spoken of.
func TestWordsOfTheFirstContact(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(w http.ResponseWriter)
		class  fault.Class
		text   string
	}{
		{"404", func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) }, fault.Registry, "does not answer as a registry does (status 404)"},
		{"400", func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadRequest) }, fault.Registry, "refuses the request (status 400)"},
		{"a large header", func(w http.ResponseWriter) { w.Header().Set("X", strings.Repeat("x", 70_000)) }, fault.Registry, "answer has more than 65536 bytes"},
		{"no realm", func(w http.ResponseWriter) {
			w.Header().Set("WWW-Authenticate", `Bearer service="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		}, fault.Registry, "it names no server to get one from"},
		{"a realm with a private address", func(w http.ResponseWriter) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="https://10.255.255.1/token"`)
			w.WriteHeader(http.StatusUnauthorized)
		}, fault.Policy, "the registry sends for a token to https://10.255.255.1: it has a private address"},
	} {
		h := serve(t)
		h.answer = func(w http.ResponseWriter, _ *http.Request) bool { tt.answer(w); return true }
		_, _, err := h.open(t, "app:1", fetch.Options{}).Root(t.Context())
		wantFault(t, err, tt.class, tt.text)
		if err != nil && strings.Contains(err.Error(), "is not asked by") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// An identity token is exchanged as OAuth 2 has it, and by a GET where the server does not know
// that.
func TestIdentityToken(t *testing.T) {
	for _, knows := range []bool{true, false} {
		h := serve(t)
		var asked []string
		h.answer = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/token" {
				asked = append(asked, r.Method)
				if r.Method == http.MethodPost && !knows {
					w.WriteHeader(http.StatusNotFound)
					return true
				}
				if r.Method == http.MethodPost && (r.FormValue("refresh_token") != "s3cretidentity" || r.FormValue("grant_type") != "refresh_token") {
					t.Errorf("form %v", r.Form)
				}
			}
			return h.wantToken(w, r)
		}
		file := filepath.Join(t.TempDir(), "auth.json")
		if err := os.WriteFile(file, []byte(`{"auths":{"`+strings.TrimPrefix(h.URL, "http://")+`":{"identitytoken":"s3cretidentity"}}}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := h.open(t, "app:1", fetch.Options{AuthFile: file}).Root(t.Context()); err != nil {
			t.Error(err)
		}
		if want := map[bool]string{true: "POST", false: "POST GET"}[knows]; strings.Join(asked, " ") != want {
			t.Errorf("the token server was asked by %q, want %s", asked, want)
		}
	}
}

// A name for certificates that leads to a FIFO is refused by that name.
func TestCertificatesInFIFO(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	ref, err := oci.ParseReference("registry.example.org/app:1")
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = open(t, ref, fetch.Options{Env: func(name string) string { return map[string]string{"SSL_CERT_FILE": fifo}[name] }}).Root(t.Context())
	wantFault(t, err, fault.Config, "it is a named pipe")
}
