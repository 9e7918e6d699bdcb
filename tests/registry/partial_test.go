package registry

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hpc3-project/hpc3/tests/internal/images"
	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// halting serves an image whose layer comes in two halves.
type halting struct {
	image string
	inner http.Handler
	layer string // its digest
	size  int64
	half  int64

	mu     sync.Mutex
	mode   string
	reach  chan struct{} // closed when the first half was sent
	wait   chan struct{} // the second half is sent when it is closed
	ranges []string      // of the requests for the layer; "" for all
	sent   int64         // bytes of the layer
}

func newHalting(t *testing.T) *halting {
	t.Helper()
	h := &halting{inner: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	content := make([]byte, 4<<20) // which does not compress
	if _, err := rand.Read(content); err != nil {
		t.Fatal(err)
	}
	img, err := images.Small(v1.Platform{OS: "linux", Architecture: "amd64"}, string(content))
	if err == nil {
		img, err = mutate.Canonical(img)
	}
	if err != nil {
		t.Fatal(err)
	}
	h.image = strings.TrimPrefix(server.URL, "http://") + "/app:1"
	ref, err := name.ParseReference(h.image)
	if err == nil {
		err = remote.Write(ref, img)
	}
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	last := manifest.Layers[len(manifest.Layers)-1]
	h.layer, h.size, h.half = last.Digest.String(), last.Size, last.Size/2
	return h
}

// now changes what is done with requests for the layer, and forgets the earlier ones.
func (h *halting) now(mode string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mode, h.reach, h.wait, h.ranges, h.sent = mode, make(chan struct{}), make(chan struct{}), nil, 0
}

func (h *halting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || h.layer == "" || !strings.HasSuffix(r.URL.Path, h.layer) {
		h.inner.ServeHTTP(w, r)
		return
	}
	answer := httptest.NewRecorder()
	whole := r.Clone(r.Context())
	whole.Header.Del("Range")
	h.inner.ServeHTTP(answer, whole)
	h.mu.Lock()
	mode, reach, wait, first := h.mode, h.reach, h.wait, len(h.ranges) == 0
	h.ranges = append(h.ranges, r.Header.Get("Range"))
	h.mu.Unlock()
	switch mode {
	case "cuts":
		if !first {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Length", answer.Header().Get("Content-Length"))
		h.send(w, answer.Body.Bytes()[:h.half])
		panic(http.ErrAbortHandler)
	case "waits":
		w.Header().Set("Content-Length", answer.Header().Get("Content-Length"))
		h.send(w, answer.Body.Bytes()[:h.half])
		if first {
			close(reach)
		}
		select {
		case <-wait:
			h.send(w, answer.Body.Bytes()[h.half:])
		case <-r.Context().Done():
		}
	case "waits with ranges":
		http.ServeContent(&waiter{ResponseWriter: w, wait: wait, gone: r.Context().Done()}, r, "", time.Time{}, bytes.NewReader(answer.Body.Bytes()))
	case "has lost it":
		w.WriteHeader(http.StatusNotFound)
	case "knows no ranges":
		h.send(w, answer.Body.Bytes())
	case "refuses ranges":
		h.inner.ServeHTTP(w, r) // it knows those with an end only
	default:
		c := &counter{ResponseWriter: w, h: h}
		http.ServeContent(c, r, "", time.Time{}, bytes.NewReader(answer.Body.Bytes()))
	}
}

func (h *halting) send(w http.ResponseWriter, b []byte) {
	n, _ := w.Write(b) // the client may be gone
	w.(http.Flusher).Flush()
	h.mu.Lock()
	h.sent += int64(n)
	h.mu.Unlock()
}

// waiter sends no body before it may.
type waiter struct {
	http.ResponseWriter
	wait, gone <-chan struct{}
}

func (w *waiter) Write(b []byte) (int, error) {
	w.ResponseWriter.(http.Flusher).Flush()
	select {
	case <-w.wait:
	case <-w.gone:
	}
	return w.ResponseWriter.Write(b)
}

type counter struct {
	http.ResponseWriter
	h *halting
}

func (c *counter) Write(b []byte) (int, error) {
	c.h.mu.Lock()
	c.h.sent += int64(len(b))
	c.h.mu.Unlock()
	return c.ResponseWriter.Write(b)
}

func (h *halting) asked() (ranges []string, sent int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ranges, h.sent
}

// pulls is a home into which images are pulled.
type pulls struct{ home string }

func (p pulls) cmd(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(lab.Programs(), "hpc3"), args...)
	cmd.Env = []string{"HOME=" + p.home, "PATH=" + os.Getenv("PATH"), "HPC3_CONFIG=/dev/null", "TERM=xterm"}
	return cmd
}

func (p pulls) run(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	cmd := p.cmd(args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		t.Errorf("hpc3 %q: %v\n%s%s", args, err, out.String(), said.String())
	}
	return out.String(), said.String()
}

// partials returns the files of partial layers.
func (p pulls) partials(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(p.home, ".cache/hpc3/partial/*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// interrupted begins a pull and ends it when half of the layer is in the cache.
func (p pulls) interrupted(t *testing.T, h *halting, end syscall.Signal) {
	t.Helper()
	h.now("waits")
	cmd := p.cmd("pull", h.image)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-h.reach
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		files := p.partials(t)
		if len(files) == 1 {
			if info, err := os.Stat(files[0]); err == nil && info.Size() == h.half {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("half of the layer does not get into the cache: %q", files)
		}
	}
	if err := cmd.Process.Signal(end); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the pull was not interrupted")
	}
}

// An interrupted pull goes on where it was, however it ended and whatever the registry makes of
// that; the image is the same, byte for byte.
func TestPullGoesOn(t *testing.T) {
	h := newHalting(t)
	h.now("")
	undisturbed := pulls{t.TempDir()}
	path, _ := undisturbed.run(t, "pull", "-q", h.image)
	want, err := os.ReadFile(strings.TrimSpace(path))
	if err != nil {
		t.Fatal(err)
	}
	if left := undisturbed.partials(t); len(left) > 0 {
		t.Errorf("%q is left of a pull that came to its end", left)
	}
	for _, tt := range []struct {
		name   string
		end    syscall.Signal // 0: the registry hangs up
		mode   string         // of the registry then
		damage bool
		asked  int  // requests for the layer
		half   bool // only one half comes
	}{
		{"Ctrl-C", syscall.SIGINT, "", false, 1, true},
		{"the time limit of a job", syscall.SIGTERM, "", false, 1, true},
		{"killed", syscall.SIGKILL, "", false, 1, true},
		{"the connection is lost", 0, "", false, 1, true},
		{"no ranges", syscall.SIGINT, "knows no ranges", false, 1, false},
		{"416", syscall.SIGINT, "refuses ranges", false, 2, false},
		{"the beginning is damaged", syscall.SIGINT, "", true, 2, false},
		{"the beginning is damaged, and no ranges", syscall.SIGKILL, "knows no ranges", true, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := pulls{t.TempDir()}
			if tt.end != 0 {
				p.interrupted(t, h, tt.end)
			} else {
				h.now("cuts")
				if out, err := p.cmd("pull", h.image).CombinedOutput(); err == nil || !strings.Contains(string(out), "error[network]") {
					t.Fatalf("hpc3 pull = %v\n%s", err, out)
				}
			}
			files := p.partials(t)
			if info, err := os.Stat(files[0]); len(files) != 1 || err != nil || info.Size() != h.half {
				t.Fatalf("kept are %q, want one of %d bytes: %v", files, h.half, err)
			}
			if tt.damage {
				if err := os.WriteFile(files[0], bytes.Repeat([]byte("x"), int(h.half)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			h.now(tt.mode)
			path, said := p.run(t, "pull", h.image)
			if got, err := os.ReadFile(strings.TrimSpace(path)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("the image differs: %v\n%s", err, said)
			}
			ranges, sent := h.asked()
			if len(ranges) != tt.asked || tt.half && (!strings.HasPrefix(ranges[0], "bytes=") || sent != h.size-h.half) {
				t.Errorf("asked for %q, and got %d bytes of %d", ranges, sent, h.size)
			}
			if again := strings.Contains(said, "the conversion begins anew"); again != (tt.damage && tt.mode == "") {
				t.Errorf("said %q", said)
			}
			if left := p.partials(t); len(left) > 0 {
				t.Errorf("%q is left", left)
			}
		})
	}
}

// The part that has arrived outlives runs that get nothing more.
func TestPullGoesOnLater(t *testing.T) {
	h := newHalting(t)
	p := pulls{t.TempDir()}
	p.interrupted(t, h, syscall.SIGINT)
	h.now("has lost it")
	if out, err := p.cmd("pull", h.image).CombinedOutput(); err == nil || !strings.Contains(string(out), "error[registry]") || strings.Contains(string(out), "begins anew") {
		t.Errorf("hpc3 pull = %v\n%s", err, out)
	}
	h.now("")
	p.run(t, "pull", h.image)
	if ranges, sent := h.asked(); len(ranges) != 1 || ranges[0] == "" || sent != h.size-h.half {
		t.Errorf("asked for %q, and got %d bytes of %d", ranges, sent, h.size)
	}
}

// The progress line says where the fetch continues.
func TestProgressGoesOn(t *testing.T) {
	h := newHalting(t)
	p := pulls{t.TempDir()}
	p.interrupted(t, h, syscall.SIGINT)
	h.now("waits with ranges")
	cmd := p.cmd("pull", h.image)
	f, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got bytes.Buffer
	released := false
	line := regexp.MustCompile(`app:1: 2\.1 of 4\.2 MB, going on at \d+ %`)
	for b := make([]byte, 4096); ; {
		n, err := f.Read(b)
		got.Write(b[:n])
		if !released && line.Match(got.Bytes()) {
			released = true
			close(h.wait)
		}
		if err != nil { // EIO: the other side is closed
			break
		}
	}
	if err := cmd.Wait(); err != nil || !released {
		t.Errorf("hpc3 pull = %v, the line was seen: %v\n%.2000q", err, released, got.String())
	}
}

// A process that fetches a layer while another does has its own file; of what both leave, one
// remains.
func TestTwoFetchOneLayer(t *testing.T) {
	h := newHalting(t)
	p := pulls{t.TempDir()}
	h.now("waits")
	var cmds []*exec.Cmd
	for _, file := range []string{"a.sif", "b.sif"} {
		cmd := p.cmd("pull", "-o", filepath.Join(p.home, file), h.image)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		cmds = append(cmds, cmd)
	}
	for deadline := time.Now().Add(time.Minute); len(p.partials(t)) < 2; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("there is no file for each: %q", p.partials(t))
		}
	}
	close(h.wait)
	for _, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	if left := p.partials(t); len(left) > 0 {
		t.Errorf("%q is left", left)
	}
	p.run(t, "cache", "verify")
}

// Partial layers are no damage; they are listed, and go by age, by size, and when the cache needs
// the room.
func TestPartialsInTheCache(t *testing.T) {
	h := newHalting(t)
	p := pulls{t.TempDir()}
	p.interrupted(t, h, syscall.SIGINT)
	var listed struct{ PartialLayers, PartialBytes int64 }
	out, _ := p.run(t, "cache", "list", "--json")
	if err := json.Unmarshal([]byte(out), &listed); err != nil || listed.PartialLayers != 1 || listed.PartialBytes != h.half {
		t.Errorf("hpc3 cache list --json = %s, %v", out, err)
	}
	if out, _ := p.run(t, "cache", "list"); !strings.Contains(out, "of 1 layers a part has come, 2.1 MB") {
		t.Errorf("hpc3 cache list = %s", out)
	}
	if out, _ := p.run(t, "cache", "verify"); !strings.Contains(out, " 0 broken") {
		t.Errorf("hpc3 cache verify = %s", out)
	}
	if out, _ := p.run(t, "cache", "gc"); strings.Contains(out, "removed") || len(p.partials(t)) != 1 {
		t.Errorf("hpc3 cache gc = %s", out)
	}
	old := time.Now().Add(-8 * 24 * time.Hour)
	if err := os.Chtimes(p.partials(t)[0], old, old); err != nil {
		t.Fatal(err)
	}
	if out, _ := p.run(t, "cache", "gc"); !strings.Contains(out, "nobody resumed it for 8 days") || len(p.partials(t)) != 0 {
		t.Errorf("hpc3 cache gc = %s", out)
	}
}

// In a full cache nothing of a layer stands in the way of the image, and what was interrupted
// before goes on when there is room again.
func TestPartialOnFullFileSystem(t *testing.T) {
	lab.Needs(t, "native", os.Getuid() == 0, "mounting needs root")
	h := newHalting(t)
	p := pulls{t.TempDir()}
	p.interrupted(t, h, syscall.SIGINT)
	disk := filepath.Join(p.home, ".cache")
	aside := filepath.Join(p.home, "aside")
	if err := os.Rename(disk, aside); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(disk, 0o755), syscall.Mount("hpc3-test", disk, "tmpfs", 0, "size=8m,mode=0700")); err != nil {
		lab.Needs(t, "native", false, "no file system can be mounted here: "+err.Error())
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if out, err := exec.Command("cp", "-a", aside+"/hpc3", disk).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	filler := filepath.Join(disk, "filler")
	if err := os.WriteFile(filler, make([]byte, 5<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	h.now("")
	out, err := p.cmd("pull", "-v", h.image).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "error[cache]") || strings.Count(string(out), "there was no room for the image in ") != 1 {
		t.Errorf("hpc3 pull into a full cache = %v\n%s", err, out)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	p.run(t, "pull", h.image)
}

// A cache of the site without room is told of once, and what came for it is not fetched again for
// the user's.
func TestSiteCacheWithoutRoom(t *testing.T) {
	lab.Needs(t, "native", os.Getuid() == 0, "mounting needs root")
	h := newHalting(t)
	p := pulls{t.TempDir()}
	disk := filepath.Join(p.home, "site")
	if err := errors.Join(os.Mkdir(disk, 0o755), syscall.Mount("hpc3-test", disk, "tmpfs", 0, "size=2m,mode=0755")); err != nil {
		lab.Needs(t, "native", false, "no file system can be mounted here: "+err.Error())
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	config := filepath.Join(p.home, "site.toml")
	if err := os.WriteFile(config, []byte("[[cache]]\ndir = \""+disk+"\"\nowners = [\"root\"]\nwrite = true\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	h.now("")
	cmd := p.cmd("pull", h.image)
	cmd.Env = append(cmd.Env, "HPC3_CONFIG="+config, "HPC3_LAYER_CACHE=4GB")
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil || !strings.HasPrefix(out.String(), filepath.Join(p.home, ".cache")) {
		t.Errorf("hpc3 pull = %v, %s%s", err, out.String(), said.String())
	}
	if line := "the image is not put into " + disk; strings.Count(said.String(), line) != 1 || !strings.Contains(said.String(), "no space left on device") {
		t.Errorf("said %q, want once %q and why", said.String(), line)
	}
	if ranges, _ := h.asked(); slices.Contains(ranges[1:], "") {
		t.Errorf("the layer was fetched again: asked for %q", ranges)
	}
}

// A real registry gives the rest of a layer.
func TestRealRegistryGoesOn(t *testing.T) {
	lab.Needs(t, "registry", os.Getuid() == 0, "the lab needs root")
	lab.Needs(t, "registry", !testing.Short(), "the lab is not built by a short run")
	image := lab.Serve(t, lab.Script(t, "login-image"), filepath.Join(t.TempDir(), "registry"))
	p := pulls{t.TempDir()}
	cmd := p.cmd("pull", image)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	began := func() bool {
		for _, file := range p.partials(t) {
			if info, err := os.Stat(file); err == nil && info.Size() > 1<<20 {
				return true
			}
		}
		return false
	}
	for deadline := time.Now().Add(time.Minute); !began(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no layer gets into the cache")
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Skip("the image was there before the pull could be killed")
	}
	if _, said := p.run(t, "pull", "-v", image); !strings.Contains(said, "going on with layer sha256:") {
		t.Errorf("it does not go on:\n%s", said)
	}
	p.run(t, "cache", "verify")
}
