package registry

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hpc3-project/hpc3/tests/internal/images"
	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// counting serves what inner does to those who have a token, and notes what it was asked.
type counting struct {
	url   string
	inner http.Handler

	mu  sync.Mutex
	log []string
}

func (c *counting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.log = append(c.log, r.Method+" "+regexp.MustCompile(`sha256:[0-9a-f]{64}`).ReplaceAllString(r.URL.Path, "DIGEST"))
	c.mu.Unlock()
	switch {
	case r.URL.Path == "/token":
		fmt.Fprint(w, `{"token":"t0ken"}`)
	case r.Header.Get("Authorization") == "Bearer t0ken":
		c.inner.ServeHTTP(w, r)
	default:
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+c.url+`/token",service="test"`)
		w.WriteHeader(http.StatusUnauthorized)
	}
}

func (c *counting) asked() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	log := c.log
	c.log = nil
	return log
}

// A registry counts requests, and a job has many nodes: one to see how to log in, one token, and
// one for each thing that is needed.
func TestRequestsOfAPull(t *testing.T) {
	c := &counting{inner: images.StartRegistry(t).Inner}
	server := httptest.NewServer(c)
	defer server.Close()
	c.url = server.URL
	image := strings.TrimPrefix(server.URL, "http://") + "/good/app:1"
	cold := []string{"GET /v2/", "GET /token", "GET /v2/good/app/manifests/1", "GET /v2/good/app/manifests/DIGEST", "GET /v2/good/app/blobs/DIGEST", "GET /v2/good/app/blobs/DIGEST"}
	fresh := cold[:3] // pull asks what the name means now
	tests := []struct {
		name    string
		command []string
		want    []string
	}{
		{"a cold run", []string{"hpc3-run", "-q", image, "true"}, cold},
		{"a second run", []string{"hpc3-run", "-q", image, "true"}, nil},
		{"a pull of what is there", []string{"hpc3", "pull", "-q", image}, fresh},
		{"a pull of what is missing", []string{"hpc3", "pull", "-q", "--pull", "missing", image}, nil},
	}
	home := t.TempDir()
	run := func(command []string, home string) []string {
		cmd := exec.Command(filepath.Join(lab.Programs(), command[0]), command[1:]...)
		cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME=", "HPC3_CACHEDIR=", "HPC3_CONFIG=/dev/null", "HPC3_ENGINE=native")
		out, err := cmd.CombinedOutput() // there is no program in the image, so a run fails after all that is counted
		if asked := c.asked(); asked != nil || command[0] == "hpc3-run" || err == nil {
			return asked
		}
		t.Errorf("%v: %v\n%s", command, err, out)
		return nil
	}
	for _, tt := range tests {
		if got := run(tt.command, home); !slices.Equal(got, tt.want) {
			t.Errorf("%s asked %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := run([]string{"hpc3", "pull", "-q", image}, t.TempDir()); !slices.Equal(got, cold) {
		t.Errorf("a cold pull asked %q, want %q", got, cold)
	}
}
