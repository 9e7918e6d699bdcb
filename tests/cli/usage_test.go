package cli

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// TestUsage reads what a site is told of each start, at the place of its log daemon.
func TestUsage(t *testing.T) {
	lab.Needs(t, "apptainer", os.Getuid() == 0, "the lab needs root")
	lab.Needs(t, "apptainer", !testing.Short(), "the lab is not built by a short run")
	l := lab.New(t)
	p := lab.Persons()[0]
	log := lab.SyslogAt(t, filepath.Join(l.Work, "log"))
	if err := os.WriteFile(filepath.Join(l.Work, "site.toml"), []byte("usage = \"syslog\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	start := func(engine, daemon, call string) (stdout, stderr string, status int) {
		t.Helper()
		cmd := l.Command(p, engine, "env", "HPC3_CONFIG=/lab/site.toml", "IMAGE="+l.Image, "sh", "-c", call)
		if daemon != "" {
			cmd.Args = slices.Insert(cmd.Args, 2, "--bind", filepath.Join(l.Work, daemon)+":/dev/log")
		}
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		_ = cmd.Run() // the status is looked at by the caller
		return out.String(), errs.String(), cmd.ProcessState.ExitCode()
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, engine := range p.Engines {
		t.Run(engine, func(t *testing.T) {
			stdout, stderr, status := start(engine, "log", `hpc3-run -q $IMAGE sh -c 'echo $HPC3_IMAGE_DIGEST $HPC3_INDEX_DIGEST'`)
			digests := strings.Fields(stdout)
			if status != 0 || len(digests) != 2 {
				t.Fatalf("hpc3-run printed %q, status %d\n%s", stdout, status, stderr)
			}
			want := map[string]any{
				"schemaVersion": 1.0, "image": l.Image, "manifest": digests[0], "index": digests[1], "variant": "linux/amd64", "engine": engine,
				"node": host, "uid": float64(p.UID),
			}
			got := lab.SyslogRecords(t, log)
			if len(got) != 1 || lab.Fields(got[0], slices.Collect(maps.Keys(want))...) != lab.Fields(want, slices.Collect(maps.Keys(want))...) || len(got[0]) != len(want) {
				t.Errorf("the site was told %v, want %v once", got, want)
			}
			if _, _, status := start(engine, "log", `hpc3-run -q $IMAGE false`); status != 1 || len(lab.SyslogRecords(t, log)) != 1 {
				t.Errorf("a command that fails is a start as well, and ended with %d", status)
			}
			if _, _, status := start(engine, "log", `hpc3-run -q --dry-run $IMAGE; hpc3-run -q --platform linux/s390x $IMAGE true`); status != 125 || len(lab.SyslogRecords(t, log)) != 0 {
				t.Errorf("where nothing was started the site was told of it, status %d", status)
			}
			stdout, stderr, status = start(engine, "", `hpc3-run -v $IMAGE echo fine`)
			if stdout != "fine\n" || status != 0 || !strings.Contains(stderr, "usage: dial unixgram /dev/log: connect: no such file or directory") {
				t.Errorf("without a log daemon: %q, status %d\n%s", stdout, status, stderr)
			}
		})
	}
	t.Run("a daemon that takes streams", func(t *testing.T) {
		listener, err := net.Listen("unix", filepath.Join(l.Work, "stream"))
		if err == nil {
			defer listener.Close()
			err = os.Chmod(filepath.Join(l.Work, "stream"), 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
		stdout, stderr, _ := start("native", "stream", `hpc3-run -v $IMAGE echo fine`)
		if stdout != "fine\n" || strings.Contains(stderr, "usage: ") {
			t.Fatalf("got %q\n%s", stdout, stderr)
		}
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if got, err := io.ReadAll(conn); err != nil || !bytes.Contains(got, []byte(`"schemaVersion":1`)) || !bytes.HasSuffix(got, []byte("}\n")) {
			t.Errorf("the daemon got %q, %v", got, err)
		}
	})
	t.Run("a daemon that does not read", func(t *testing.T) {
		sock, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(sock)
		to := &syscall.SockaddrUnix{Name: filepath.Join(l.Work, "log")}
		for err == nil {
			err = syscall.Sendto(sock, []byte("more"), 0, to)
		}
		if !errors.Is(err, syscall.EAGAIN) {
			t.Fatal(err)
		}
		stdout, stderr, status := start("native", "log", `hpc3-run -v $IMAGE echo fine`)
		if stdout != "fine\n" || status != 0 || !strings.Contains(stderr, "usage: write unixgram") {
			t.Errorf("got %q, status %d\n%s", stdout, status, stderr)
		}
	})
}
