package fetch

import (
	"net/url"
	"strings"
	"testing"
)

// What is taken for a proxy has a host and a protocol that is spoken, and no message about it holds
// what stands before its host.
func FuzzParseProxy(f *testing.F) {
	for _, s := range []string{
		"proxy:3128", "http://me:s3cret@proxy:3128", "socks5h://proxy", "socks://proxy:1080/", "https://[::1]:1", "http://me:1/s3cret@x", "http://me:%zz@x", "http://x:99999", "://", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := parseProxy(s)
		if err != nil {
			return
		}
		if u.Hostname() == "" || strings.Contains(u.Path, "@") {
			t.Errorf("parseProxy(%q) = %v", s, u)
		}
		said := (&proxy{url: u, variable: "V"}).String()
		shown, err := url.Parse(strings.TrimSuffix(strings.TrimPrefix(said, "the proxy "), " (V)"))
		if err != nil || shown.User != nil || shown.Host != u.Host {
			t.Errorf("parseProxy(%q) is shown as %q: %v", s, said, err)
		}
	})
}
