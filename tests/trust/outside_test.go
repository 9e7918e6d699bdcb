package trust

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/hpc3-project/hpc3/tests/internal/images"
	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// door is a way by which a name from outside reaches hpc3-run or hpc3.
type door struct {
	name    string
	program string
	args    []string // FILE stands for what the name leads to
	env     []string
	stream  bool // a pipe is fine there
	fine    bool // what the name leads to is passed over
}

func doors() []door {
	return []door{
		{name: "HPC3_CONFIG", program: "hpc3-run", args: []string{"x.sif", "true"}, env: []string{"HPC3_CONFIG=FILE"}},
		{name: "user file", program: "hpc3-run", args: []string{"x.sif", "true"}, env: []string{"XDG_CONFIG_HOME=DIR/config"}},
		{name: "sif:", program: "hpc3-run", args: []string{"sif:FILE", "true"}},
		{name: "docker-archive:", program: "hpc3-run", args: []string{"docker-archive:FILE", "true"}},
		{name: "oci-archive:", program: "hpc3-run", args: []string{"oci-archive:FILE", "true"}},
		{name: "oci:", program: "hpc3-run", args: []string{"oci:DIR", "true"}},
		{name: "HPC3_CACHEDIR", program: "hpc3-run", args: []string{"oci:DIR", "true"}, env: []string{"HPC3_CACHEDIR=FILE"}},
		{name: "--nodes-file", program: "hpc3-run", args: []string{"--nodes-file", "FILE", "oci:DIR", "true"}, stream: true},
		{name: "--container-env-file", program: "hpc3-run", args: []string{"--container-env-file", "FILE", "x.sif", "true"}, stream: true},
		{name: "--authfile", program: "hpc3-run", args: []string{"--authfile", "FILE", "REGISTRY/private/app:1", "true"}},
		{name: "oci.conf", program: "hpc3-run", args: []string{"oci", "--env-file=FILE", "x.sif", "--", "true"}},
		{name: "--node", program: "hpc3", args: []string{"explain", "--node", "FILE", "oci:DIR"}, stream: true},
		{name: "--index", program: "hpc3", args: []string{"explain", "--index", "FILE"}, stream: true},
		{name: "--root", program: "hpc3", args: []string{"probe", "--root", "FILE"}},
		{name: "cpuinfo", program: "hpc3", args: []string{"probe", "--root", "DIR"}},
		{name: "SLURM_CONF", program: "hpc3", args: []string{"probe"}, env: []string{"SLURM_CONF=FILE"}, fine: true},
	}
}

// command is a call of a door that leads to file; dir is where such files stand that are found by a
// directory.
func (d door) command(file, dir, registry string) *exec.Cmd {
	r := strings.NewReplacer("FILE", file, "DIR", dir, "REGISTRY", registry)
	var args []string
	for _, a := range d.args {
		args = append(args, r.Replace(a))
	}
	cmd := exec.Command(filepath.Join(lab.Programs(), d.program), args...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + filepath.Join(dir, "home"), "HPC3_CONFIG=", "HPC3_ENGINE=native"}
	for _, e := range d.env {
		cmd.Env = append(cmd.Env, r.Replace(e))
	}
	cmd.Dir = dir
	return cmd
}

var saysWhat = regexp.MustCompile(`it is (a named pipe|a pipe, and nobody writes into it|a device|neither a file nor a directory)|not a directory|path escapes from parent`)

// A name that leads to a FIFO without a writer, to a device or to a directory is refused at once,
// by every door.
func TestNamesFromOutsideDoNotBlock(t *testing.T) {
	registry := images.StartRegistry(t)
	for kind, makeIt := range map[string]func(string) error{
		"FIFO":   func(name string) error { return syscall.Mkfifo(name, 0o600) },
		"device": func(name string) error { return os.Symlink("/dev/zero", name) },
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "named")
		for _, sub := range []string{"home", "config/hpc3", "proc"} {
			if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{file, dir + "/config/hpc3/hpc3.toml", dir + "/index.json", dir + "/proc/cpuinfo"} {
			if err := makeIt(name); err != nil {
				t.Fatal(err)
			}
		}
		for _, d := range doors() {
			t.Run(kind+" "+d.name, func(t *testing.T) {
				t.Parallel()
				cmd := d.command(file, dir, registry.Host)
				out, status := ended(t, cmd, 20*time.Second)
				switch {
				case d.fine && status == 0:
				case status != map[string]int{"hpc3-run": 125, "hpc3": status}[d.program] || status == 0 || !strings.Contains(out, "error["):
					t.Errorf("%q: status %d\n%s", cmd.Args, status, out)
				case !saysWhat.MatchString(out):
					t.Errorf("%q does not say what is there:\n%s", cmd.Args, out)
				case strings.Contains(out, "goroutine"):
					t.Errorf("%q:\n%s", cmd.Args, out)
				}
			})
		}
	}
}

// ended returns what a command says and its status; it fails the test if the command does not end.
func ended(t *testing.T, cmd *exec.Cmd, within time.Duration) (out string, status int) {
	t.Helper()
	timer := time.AfterFunc(within, func() {
		t.Errorf("%q does not end within %v", cmd.Args, within)
		_ = cmd.Process.Kill()
	})
	raw, err := cmd.CombinedOutput()
	timer.Stop()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(raw), cmd.ProcessState.ExitCode()
}

// A pipe with a writer is as good as a file if a stream is enough.
func TestPipesAreStreams(t *testing.T) {
	node := `{"os":"linux","arch":"amd64","cpu":{"target":"zen3"}}`
	cmd := exec.Command("sh", "-c", `echo '`+node+`' | hpc3 explain --json --index index.json --node /dev/stdin`)
	index := `{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":2,` +
		`"digest":"sha256:` + strings.Repeat("0", 64) + `","platform":{"os":"linux","architecture":"amd64","features":["zen3"]}}]}`
	cmd.Dir, cmd.Env = t.TempDir(), []string{"PATH=" + lab.Programs() + ":/usr/bin:/bin", "HOME=" + t.TempDir(), "HPC3_CONFIG="}
	if err := os.WriteFile(filepath.Join(cmd.Dir, "index.json"), []byte(index), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, status := ended(t, cmd, 20*time.Second); status != 0 || !strings.Contains(out, "linux/amd64:zen3") {
		t.Errorf("status %d\n%s", status, out)
	}
}

// SIGTERM ends the programs within a second, even while they wait for a pipe or for a file system
// that does not answer.
func TestSIGTERMEndsWaits(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	writer, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = writer.Close() }) // when all have ended that wait for it
	for _, d := range doors() {
		if d.stream {
			t.Run("pipe "+d.name, func(t *testing.T) {
				t.Parallel()
				termEnds(t, d, fifo, dir)
			})
		}
	}
	lab.Needs(t, "native", os.Getuid() == 0, "to mount a file system that does not answer needs root")
	dead := filepath.Join(dir, "dead")
	if err := mountDead(t, dead); err != nil {
		lab.Needs(t, "native", false, fmt.Sprintf("mounting a file system that does not answer: %v", err))
	}
	for i, d := range doors() {
		if !d.fine && d.name != "--authfile" {
			t.Run("file system "+d.name, func(t *testing.T) {
				t.Parallel()
				// Two lookups of one name wait for one another, which no signal ends.
				termEnds(t, d, fmt.Sprintf("%s/named-%d", dead, i), dead)
			})
		}
	}
}

// termEnds sends SIGTERM to a call that waits.
func termEnds(t *testing.T, d door, file, dir string) {
	t.Helper()
	cmd := d.command(file, dir, "127.0.0.1:9")
	cmd.Dir = "/"
	for i, e := range cmd.Env {
		if strings.HasPrefix(e, "HOME=") {
			cmd.Env[i] = "HOME=/nonexistent"
		}
	}
	out := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() { defer close(gone); _ = cmd.Wait() }() // its status is looked at below
	select {
	case <-gone:
		t.Fatalf("%q does not wait: %v\n%s", cmd.Args, cmd.ProcessState, out)
	case <-time.After(time.Second):
	}
	sent := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-gone:
	case <-time.After(time.Minute):
		_ = cmd.Process.Kill()
		t.Fatalf("%q still waits a minute after SIGTERM", cmd.Args)
	}
	if took := time.Since(sent); took > 30*time.Second { // a second, were the machine not busy with the other tests
		t.Errorf("%q ends %v after SIGTERM", cmd.Args, took)
	}
	want := map[string]int{"hpc3-run": 128 + int(syscall.SIGTERM), "hpc3": 3}[d.program]
	if status := cmd.ProcessState.ExitCode(); status != want || strings.Count(out.String(), "error[") != 1 {
		t.Errorf("%q: status %d, want %d, and one error\n%s", cmd.Args, status, want, out)
	}
}

// mountDead mounts a file system whose server reads no request, as that of a network which is down.
func mountDead(t *testing.T, dir string) error {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	server, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	raw, err := server.SyscallConn()
	if err != nil {
		return err
	}
	var mounted error
	err = raw.Control(func(fd uintptr) {
		mounted = syscall.Mount("dead", dir, "fuse", syscall.MS_NOSUID|syscall.MS_NODEV, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd))
	})
	if err = errors.Join(err, mounted); err != nil {
		return errors.Join(err, server.Close())
	}
	t.Cleanup(func() {
		if err := errors.Join(syscall.Unmount(dir, syscall.MNT_DETACH), server.Close()); err != nil {
			t.Error(err)
		}
	})
	return nil
}

// An image may have a FIFO where its user database should be, which the native engine reads.
func TestFIFOInImage(t *testing.T) {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	lab.Needs(t, "native", err == nil, "/dev/fuse cannot be opened")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"etc/passwd", "etc/group"} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := errors.Join(w.WriteHeader(&tar.Header{Name: file, Typeflag: tar.TypeFifo, Mode: 0o644}), w.Close()); err != nil {
			t.Fatal(err)
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
		if err != nil {
			t.Fatal(err)
		}
		img, err := images.Small(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}, "")
		if err == nil {
			img, err = mutate.AppendLayers(img, layer)
		}
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "layout")
		if _, err := layout.Write(dir, mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: img})); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(filepath.Join(lab.Programs(), "hpc3-run"), "-q", "oci:"+dir, "true")
		cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + t.TempDir(), "HPC3_CONFIG=", "HPC3_ENGINE=native"}
		if out, status := ended(t, cmd, time.Minute); status != 125 || !strings.Contains(out, "the image's /"+file+": it is a named pipe") {
			t.Errorf("%s: status %d\n%s", file, status, out)
		}
	}
}
