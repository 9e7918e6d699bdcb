package fetch

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

func TestChallenges(t *testing.T) {
	type params = map[string]string
	for _, tt := range []struct {
		fields []string
		want   challenge // the one that is answered
	}{
		{nil, challenge{}},
		{[]string{`Basic realm="a, b"`}, challenge{"basic", params{"realm": "a, b"}}},
		{[]string{`Bearer realm="https://a/token",service="s",scope="repository:x:pull,push"`}, challenge{"bearer", params{"realm": "https://a/token", "service": "s", "scope": "repository:x:pull,push"}}},
		{[]string{`BEARER Realm = "https://a" , Service=s`}, challenge{"bearer", params{"realm": "https://a", "service": "s"}}},
		{[]string{`Negotiate`, `Basic realm=x`}, challenge{"basic", params{"realm": "x"}}},
		{[]string{`Negotiate YWJj==, Bearer realm="https://a"`}, challenge{"bearer", params{"realm": "https://a"}}},
		{[]string{`Negotiate, Digest realm="d", Bearer realm="b\"c"`}, challenge{"bearer", params{"realm": `b"c`}}},
		{[]string{`Negotiate`}, challenge{"negotiate", params{}}},
		{[]string{`Bearer realm="never ends`}, challenge{"bearer", params{}}},
		{[]string{`="x", ,,`, `Bearer`}, challenge{"bearer", params{}}},
	} {
		if got := best(challenges(http.Header{"Www-Authenticate": tt.fields})); !cmp.Equal(tt.want, got, cmp.AllowUnexported(challenge{})) {
			t.Errorf("%q: %+v, want %+v", tt.fields, got, tt.want)
		}
	}
}

// No header makes the reader of challenges hang or panic.
func FuzzChallenges(f *testing.F) {
	f.Add(`Bearer realm="https://a/token",service="s"`)
	f.Add(`Negotiate YWJj==, Basic realm=x`)
	f.Fuzz(func(t *testing.T, field string) {
		for _, c := range challenges(http.Header{"Www-Authenticate": {field}}) {
			if c.scheme != strings.ToLower(c.scheme) || c.params == nil {
				t.Errorf("%q: %+v", field, c)
			}
		}
	})
}

// A registry may send for a token to itself and to public servers; to others where the site names
// them.
func TestAllowToken(t *testing.T) {
	const public, private, local = "https registry.example.org", "https 10.1.0.9:5000", "http 127.0.0.1:5000"
	for _, tt := range []struct {
		registry string // its scheme and host
		realm    string
		named    string // token_servers
		plain    string // plain_http
		want     string // of the error
	}{
		{public, "https://auth.example.org/token", "", "", ""},
		{public, "https://registry.example.org/token", "", "", ""},
		{public, "http://registry.example.org/token", "", "", "has no TLS"},
		{public, "http://auth.example.org/token", "", "", "has no TLS"},
		{public, "ftp://auth.example.org/token", "", "", "neither https nor http"},
		{public, "https://10.1.0.8:5001/token", "", "", "has a private address"},
		{public, "https://169.254.169.254/latest", "", "", "has a private address"},
		{public, "https://[fd00::1]/token", "", "", "has a private address"},
		{public, "https://localhost/token", "", "", "has a private address"},
		{public, "https://127.0.0.1/token", "", "", "has a private address"},
		{public, "https://10.1.0.8:5001/token", "10.1.0.8:5001", "", ""},
		{public, "https://10.1.0.8/token", "10.1.0.8", "", ""},
		{public, "https://10.1.0.8:443/token", "10.1.0.8", "", ""},
		{public, "https://10.1.0.8:5001/token", "10.1.0.8", "", "has a private address"},
		{public, "http://10.1.0.8:5001/token", "10.1.0.8:5001", "", "has no TLS"},
		{public, "http://10.1.0.8:5001/token", "10.1.0.8:5001", "10.1.0.8:5001", ""},
		{private, "https://10.1.0.9:5000/token", "", "", ""},
		{private, "https://10.1.0.8:5001/token", "", "", "has a private address"},
		{private, "https://Auth.Cluster/token", "auth.cluster", "", ""},
		{local, "http://127.0.0.1:5000/token", "", "", ""},
		{local, "http://127.0.0.1:5001/token", "", "", ""},
		{local, "http://10.1.0.8:5001/token", "", "", "has no TLS"},
	} {
		scheme, host, _ := strings.Cut(tt.registry, " ")
		ref, err := oci.ParseReference(host + "/app:1")
		if err != nil {
			t.Fatal(err)
		}
		opt := Options{PlainHTTP: func(h string) bool { return h == tt.plain }}
		if tt.named != "" {
			opt.TokenServers = []string{tt.named}
		}
		u, err := url.Parse(tt.realm)
		if err != nil {
			t.Fatal(err)
		}
		err = (&registry{ref: ref, opt: opt}).allowToken(u, host, scheme)
		class, hints, _ := fault.Of(err, "")
		switch {
		case tt.want == "" && err != nil, tt.want != "" && (err == nil || class != fault.Policy || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s to %s (named %q, plain %q): %v of class %q, want %q", tt.registry, tt.realm, tt.named, tt.plain, err, class, tt.want)
		case strings.Contains(tt.want, "private") && !strings.Contains(strings.Join(hints, " "), `token_servers in hpc3.toml: "`+u.Host+`"`):
			t.Errorf("%s: hints %q", tt.realm, hints)
		}
	}
}
