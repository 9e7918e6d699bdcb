package fetch_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// Whether anyone may read an image is told by what the registry wanted, and not by what the user
// has.
func TestAnonymous(t *testing.T) {
	h := serve(t)
	host := strings.TrimPrefix(h.URL, "http://")
	auth := filepath.Join(t.TempDir(), "auth.json")
	write(t, auth, `{"auths":{"`+host+`":{"username":"alice","password":"s3cret"}}}`, 0o600)
	tests := []struct {
		name     string
		answer   func(w http.ResponseWriter, r *http.Request) bool
		authFile string
		want     bool
	}{
		{"open", nil, "", true},
		{"open, for a user with a password", nil, auth, true},
		{"a token that everybody gets", h.wantToken, "", true},
		{"a token for a user", h.wantToken, auth, false},
		{"a password", basic, auth, false},
		{"a password for the image only", func(w http.ResponseWriter, r *http.Request) bool { return r.URL.Path != "/v2/" && basic(w, r) }, auth, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h.answer = tt.answer
			src := h.open(t, "app:1", fetch.Options{AuthFile: tt.authFile})
			if !fetch.Anonymous(src) {
				t.Error("a registry that was not asked yet counts as one that was shown credentials")
			}
			if _, err := readLayer(t, src, descriptor(layer, oci.MediaTypeLayer)); err != nil {
				t.Fatal(err)
			}
			if got := fetch.Anonymous(src); got != tt.want {
				t.Errorf("Anonymous = %v, want %v", got, tt.want)
			}
			if got := fetch.Anonymous(fetch.Tagged(src, "2")); got != tt.want {
				t.Errorf("Anonymous of another tag = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestLocalIsNotAnonymous(t *testing.T) {
	src := open(t, oci.Reference{Transport: oci.Layout, Path: writeDir(t, layoutFiles(t, ""))}, fetch.Options{})
	if fetch.Anonymous(src) {
		t.Error("a layout counts as one that anyone may read")
	}
}
