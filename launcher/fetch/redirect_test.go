package fetch

import (
	"net/http"
	"net/url"
	"testing"
)

// A registry of another machine may not redirect to this one, nor to its link.
func TestRedirectToThisMachine(t *testing.T) {
	for _, tt := range []struct {
		from, to string
		refused  bool
	}{
		{"https://registry.example/v2/", "https://storage.example/blob", false},
		{"https://registry.example/v2/", "https://10.0.0.1/blob", false}, // a site's own storage
		{"https://registry.example/v2/", "http://127.0.0.1/blob", true},
		{"https://registry.example/v2/", "http://localhost:8080/blob", true},
		{"https://registry.example/v2/", "http://[::1]/blob", true},
		{"https://registry.example/v2/", "http://[::ffff:127.0.0.1]/blob", true},
		{"https://registry.example/v2/", "http://0.0.0.0/blob", true},
		{"https://registry.example/v2/", "http://169.254.169.254/latest/meta-data", true},
		{"https://registry.example/v2/", "http://[fe80::1]/blob", true},
		{"http://localhost:5000/v2/", "http://127.0.0.1:5001/blob", false},
	} {
		request := func(address string) *http.Request {
			u, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			return &http.Request{URL: u}
		}
		err := checkRedirect(request(tt.to), []*http.Request{request(tt.from)})
		if (err != nil) != tt.refused {
			t.Errorf("checkRedirect(%s) from %s = %v; want refused: %v", tt.to, tt.from, err, tt.refused)
		}
	}
}
