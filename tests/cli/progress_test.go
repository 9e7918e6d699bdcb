package cli

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/hpc3-project/hpc3/tests/internal/images"
	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// slowly serves what r does, but only half of a layer until release is closed.
func slowly(t *testing.T, r http.Handler) (host string, release chan struct{}) {
	t.Helper()
	release = make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		answer := httptest.NewRecorder()
		r.ServeHTTP(answer, req)
		for k, v := range answer.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(answer.Code)
		body := answer.Body.Bytes()
		if bytes.HasPrefix(body, []byte{0x1f, 0x8b}) {
			_, _ = w.Write(body[:len(body)/2]) // the client may be gone
			w.(http.Flusher).Flush()
			select {
			case <-release:
			case <-req.Context().Done():
			}
			body = body[len(body)/2:]
		}
		_, _ = w.Write(body) // the client may be gone
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://"), release
}

// The line that is rewritten in place is drawn while a layer comes, and nothing of it is left when
// the command starts or the tool is done.
func TestProgressOnATerminal(t *testing.T) {
	registry := images.StartRegistry(t)
	tests := []struct {
		name    string
		env     string
		drawn   bool
		command []string
	}{
		{"hpc3-run", "TERM=xterm", true, []string{"hpc3-run", "IMAGE", "true"}},
		{"hpc3 pull", "TERM=xterm", true, []string{"hpc3", "pull", "IMAGE"}},
		{"quiet", "TERM=xterm", false, []string{"hpc3", "pull", "-q", "IMAGE"}},
		{"a dumb terminal", "TERM=dumb", false, []string{"hpc3", "pull", "IMAGE"}},
		{"CI", "CI=true", false, []string{"hpc3", "pull", "IMAGE"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			host, release := slowly(t, registry.Inner)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			args := append([]string{}, tt.command...)
			for i := range args {
				args[i] = strings.ReplaceAll(args[i], "IMAGE", host+"/good/app:1")
			}
			dir := t.TempDir()
			cmd := exec.CommandContext(ctx, filepath.Join(lab.Programs(), args[0]), args[1:]...)
			cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "HPC3_CONFIG=/dev/null", "HPC3_ENGINE=native", "TERM=xterm", tt.env}
			got := onTerminal(t, cmd, tt.drawn, release)
			if drawn := strings.Contains(got, "\x1b"); drawn != tt.drawn {
				t.Errorf("escape codes: %v, want %v:\n%q", drawn, tt.drawn, got)
			}
			for line := range strings.SplitSeq(strings.TrimSpace(shown(got)), "\n") {
				if line != "" && !strings.HasPrefix(line, "hpc3") && !strings.HasPrefix(line, dir) {
					t.Errorf("%q is left on the screen:\n%q", line, got)
				}
			}
		})
	}
}

// onTerminal runs a command with standard error on a terminal, and returns what it wrote. Release
// is closed when the progress line was seen, or at once if none is expected.
func onTerminal(t *testing.T, cmd *exec.Cmd, expect bool, release chan struct{}) string {
	t.Helper()
	line := regexp.MustCompile(`app:1: \d+ of \d+ B`)
	f, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got bytes.Buffer
	waiting := expect
	if !expect {
		close(release)
	}
	for b := make([]byte, 4096); ; {
		n, err := f.Read(b)
		got.Write(b[:n])
		if waiting && line.Match(got.Bytes()) {
			close(release)
			waiting = false
		}
		if err != nil { // EIO: the other side is closed
			break
		}
	}
	_ = cmd.Wait() // the image has no program to run
	if waiting {
		t.Errorf("there was no progress line:\n%q", got.String())
		close(release)
	}
	return got.String()
}

// shown returns what a terminal shows after it was sent s, as far as erasing lines goes.
func shown(s string) string {
	var lines []string
	for line := range strings.SplitSeq(strings.ReplaceAll(s, "\r\n", "\n"), "\n") {
		if at := strings.LastIndex(line, "\r\x1b[K"); at >= 0 {
			line = line[at+len("\r\x1b[K"):]
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// Standard error that is no terminal gets no escape codes.
func TestProgressInAFile(t *testing.T) {
	host, release := slowly(t, images.StartRegistry(t).Inner)
	close(release)
	dir := t.TempDir()
	cmd := exec.Command(filepath.Join(lab.Programs(), "hpc3"), "pull", host+"/good/app:1")
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CACHE_HOME=", "HPC3_CACHEDIR=", "HPC3_CONFIG=/dev/null", "TERM=xterm", "CI=")
	out, err := cmd.CombinedOutput()
	if err != nil || bytes.ContainsAny(out, "\x1b\r") || bytes.Count(out, []byte("\n")) != 2 {
		t.Errorf("hpc3 pull = %v, %q; want what it does and where the SIF is", err, out)
	}
}
