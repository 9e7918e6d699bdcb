package fetch_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

func remote(t *testing.T, name string) oci.Reference {
	t.Helper()
	ref, err := oci.ParseReference(name)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// tunnel is a proxy that answers with a status, or lets everything through to one address.
func tunnel(t *testing.T, status int, to string) *httptest.Server {
	t.Helper()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status != http.StatusOK {
			w.Header().Set("Proxy-Authenticate", `Basic realm="s3cret"`)
			http.Error(w, `{"errors":[{"code":"DENIED","message":"s3cret"}]}`, status)
			return
		}
		if r.Method != http.MethodConnect {
			r.URL.Host, r.RequestURI = to, ""
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			defer resp.Body.Close()
			w.WriteHeader(resp.StatusCode)
			_, _ = io.Copy(w, resp.Body) // the client may be gone
			return
		}
		out, err := net.Dial("tcp", to)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		in, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(in, "HTTP/1.1 200 Connection established\r\n\r\n")
		go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
		_, _ = io.Copy(in, out)
		_ = in.Close()
	}))
	t.Cleanup(proxy.Close)
	return proxy
}

// silent takes connections and says what it has to, then nothing.
func silent(t *testing.T, says string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			_, _ = io.WriteString(c, says) // the client may be gone
		}
	}()
	return listener.Addr().String()
}

// A proxy that is dead or refuses is named by its address and its variable, and never by its
// password.
func TestProxy(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	with := func(host string) string { return "http://me:s3cret@" + host }
	at := func(status int) string { return strings.TrimPrefix(tunnel(t, status, "").URL, "http://") }
	for _, tt := range []struct {
		name, variable, value string
		class                 fault.Class
		text                  string // of the message
	}{
		{"refuses the connection", "HTTPS_PROXY", with(dead.Addr().String()), fault.Network, "cannot be used: connect: connection refused"},
		{"has no such name", "https_proxy", with("proxy.invalid:3128"), fault.Network, "proxy.invalid:3128 (https_proxy) is not found: no host has this name"},
		{"says nothing", "HTTPS_PROXY", with(silent(t, "")), fault.Network, "does not answer in time"},
		{"says nothing to SOCKS", "ALL_PROXY", "socks5://me:s3cret@" + silent(t, ""), fault.Network, "does not answer in time"},
		{"refuses by SOCKS", "all_proxy", "socks5h://me:s3cret@" + silent(t, "\x05\xff"), fault.Network, "(all_proxy) cannot be used: no acceptable authentication methods"},
		{"is no proxy", "HTTPS_PROXY", with(silent(t, "SSH-2.0-x\r\n\r\n")), fault.Network, "(HTTPS_PROXY) "},
		{"speaks no TLS", "HTTPS_PROXY", "https://me:s3cret@" + at(502), fault.Network, "(HTTPS_PROXY) cannot be used: "},
		{"403", "HTTPS_PROXY", with(at(403)), fault.Network, "refuses access to registry.invalid"},
		{"407", "HTTPS_PROXY", with(at(407)), fault.Auth, "does not take the name and password that stand there (status 407)"},
		{"407 without a password", "HTTPS_PROXY", at(407), fault.Auth, "wants a name and a password (status 407)"},
		{"502", "HTTPS_PROXY", with(at(502)), fault.Network, "does not reach registry.invalid (status 502)"},
		{"malformed", "HTTPS_PROXY", "http://me:s3cret", fault.Network, "HTTPS_PROXY names no proxy that can be used: it is not the URL"},
		{"a slash in the password", "HTTPS_PROXY", "http://me:1/s3cret@x:3128", fault.Network, "a /, ? or # of its password"},
		{"another protocol", "ALL_PROXY", "socks4://me:s3cret@x:1080", fault.Network, `no "socks4"`},
		{"a port that is none", "HTTPS_PROXY", "http://me:s3cret@x:99999", fault.Network, "its port is not valid"},
		{"without encryption, refuses the connection", "HTTP_PROXY", with(dead.Addr().String()), fault.Network, "connection refused"},
		{"without encryption, 407", "http_proxy", with(at(407)), fault.Auth, "(http_proxy) does not take the name"},
		{"without encryption, says nothing", "HTTP_PROXY", with(silent(t, "")), fault.Network, "(HTTP_PROXY) does not answer in time"},
		{"without encryption, 403", "HTTP_PROXY", with(at(403)), fault.Auth, "status 403"},
		{"without encryption, 504", "HTTP_PROXY", with(at(504)), fault.Registry, "status 504"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			plain := strings.HasPrefix(tt.name, "without encryption")
			opt := fetch.Options{
				Env:       func(name string) string { return map[string]string{tt.variable: tt.value}[name] },
				Timing:    fetch.Timing{Connect: time.Second, Stall: 2 * time.Second, Backoff: time.Millisecond},
				PlainHTTP: func(string) bool { return plain },
			}
			_, _, err := open(t, remote(t, "registry.invalid/app:1"), opt).Root(t.Context())
			wantFault(t, err, tt.class, tt.text)
			_, hints, _ := fault.Of(err, "")
			said := fmt.Sprint(err, hints)
			if strings.Contains(said, "s3cret") || !strings.Contains(said, tt.variable) {
				t.Errorf("%s: want %s, and no password", said, tt.variable)
			}
		})
	}
}

// What works goes by the proxy, and what NO_PROXY names does not; a fault behind a proxy is the
// registry's, and the proxy is named beside.
func TestThroughProxy(t *testing.T) {
	h := serve(t)
	proxy := tunnel(t, http.StatusOK, strings.TrimPrefix(h.URL, "http://"))
	plain := func(string) bool { return true }
	env := map[string]string{"ALL_PROXY": proxy.URL}
	opt := fetch.Options{Env: func(name string) string { return env[name] }, PlainHTTP: plain}
	if raw, _, err := open(t, remote(t, "registry.invalid/app:1"), opt).Root(t.Context()); err != nil || string(raw) != string(manifest) {
		t.Errorf("by a proxy: %q, %v", raw, err)
	}
	env["NO_PROXY"] = "example.org,.invalid"
	_, _, err := open(t, remote(t, "registry.invalid/app:1"), opt).Root(t.Context())
	wantFault(t, err, fault.Network, "registry.invalid")
	if strings.Contains(fmt.Sprint(err), "proxy") {
		t.Errorf("%v: NO_PROXY names it", err)
	}
	delete(env, "NO_PROXY")
	opt.PlainHTTP = nil // the tunnel leads to a server without TLS
	_, _, err = open(t, remote(t, "registry.invalid/app:1"), opt).Root(t.Context())
	wantFault(t, err, fault.Network, "registry.invalid speaks no TLS")
	if _, hints, _ := fault.Of(err, ""); !strings.Contains(fmt.Sprint(hints), "it is asked through the proxy "+proxy.URL+" (ALL_PROXY)") {
		t.Errorf("%v: hints %q do not name the proxy", err, hints)
	}
}
