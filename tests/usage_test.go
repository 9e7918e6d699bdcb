package tests

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// syslogAt listens where a log daemon would, at a path of its own.
func syslogAt(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err == nil {
		t.Cleanup(func() { conn.Close() })
		err = os.Chmod(path, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// records returns what was logged until now; what a process sent before it ended is there.
func records(t *testing.T, conn *net.UnixConn) (found []map[string]any) {
	t.Helper()
	line := regexp.MustCompile(`^<14>[A-Z][a-z]{2} [ 123]\d \d\d:\d\d:\d\d hpc3-run\[\d+\]: (.*)\n$`)
	datagram := make([]byte, 64<<10)
	for {
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(datagram)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		var record map[string]any
		if m := line.FindSubmatch(datagram[:n]); m == nil || json.Unmarshal(m[1], &record) != nil {
			t.Errorf("the log got %q", datagram[:n])
			continue
		}
		found = append(found, record)
	}
}

// fields returns some fields of a record, in JSON.
func fields(record map[string]any, names ...string) string {
	some := map[string]any{}
	for _, name := range names {
		some[name] = record[name]
	}
	raw, _ := json.Marshal(some) // it came from JSON
	return string(raw)
}

// TestUsage reads what a site is told of each start, at the place of its log daemon.
func TestUsage(t *testing.T) {
	needs(t, "apptainer", os.Getuid() == 0, "the lab needs root")
	needs(t, "apptainer", !testing.Short(), "the lab is not built by a short run")
	l := newLab(t)
	p := persons[0]
	log := syslogAt(t, filepath.Join(l.work, "log"))
	if err := os.WriteFile(filepath.Join(l.work, "site.toml"), []byte("usage = \"syslog\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	start := func(engine, daemon, call string) (stdout, stderr string, status int) {
		t.Helper()
		cmd := l.command(p, engine, "env", "HPC3_CONFIG=/lab/site.toml", "IMAGE="+l.image, "sh", "-c", call)
		if daemon != "" {
			cmd.Args = slices.Insert(cmd.Args, 2, "--bind", filepath.Join(l.work, daemon)+":/dev/log")
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
	for _, engine := range p.engines {
		t.Run(engine, func(t *testing.T) {
			stdout, stderr, status := start(engine, "log", `hpc3-run -q $IMAGE sh -c 'echo $HPC3_IMAGE_DIGEST $HPC3_INDEX_DIGEST'`)
			digests := strings.Fields(stdout)
			if status != 0 || len(digests) != 2 {
				t.Fatalf("hpc3-run printed %q, status %d\n%s", stdout, status, stderr)
			}
			want := map[string]any{
				"schemaVersion": 1.0, "image": l.image, "manifest": digests[0], "index": digests[1], "variant": "linux/amd64", "engine": engine,
				"node": host, "uid": float64(p.uid),
			}
			got := records(t, log)
			if len(got) != 1 || fields(got[0], slices.Collect(maps.Keys(want))...) != fields(want, slices.Collect(maps.Keys(want))...) || len(got[0]) != len(want) {
				t.Errorf("the site was told %v, want %v once", got, want)
			}
			if _, _, status := start(engine, "log", `hpc3-run -q $IMAGE false`); status != 1 || len(records(t, log)) != 1 {
				t.Errorf("a command that fails is a start as well, and ended with %d", status)
			}
			if _, _, status := start(engine, "log", `hpc3-run -q --dry-run $IMAGE; hpc3-run -q --platform linux/s390x $IMAGE true`); status != 125 || len(records(t, log)) != 0 {
				t.Errorf("where nothing was started the site was told of it, status %d", status)
			}
			stdout, stderr, status = start(engine, "", `hpc3-run -v $IMAGE echo fine`)
			if stdout != "fine\n" || status != 0 || !strings.Contains(stderr, "usage: dial unixgram /dev/log: connect: no such file or directory") {
				t.Errorf("without a log daemon: %q, status %d\n%s", stdout, status, stderr)
			}
		})
	}
	t.Run("a daemon that takes streams", func(t *testing.T) {
		listener, err := net.Listen("unix", filepath.Join(l.work, "stream"))
		if err == nil {
			defer listener.Close()
			err = os.Chmod(filepath.Join(l.work, "stream"), 0o666)
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
		to := &syscall.SockaddrUnix{Name: filepath.Join(l.work, "log")}
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

// usage reads what the site is told of a step, and that its tasks on a node are told of once.
func (c *cluster) usage(t *testing.T) {
	log := syslogAt(t, filepath.Join(c.work, "syslog"))
	if said := c.root("ln -s /lab/syslog /dev/log"); said != "" {
		t.Fatal(said)
	}
	got := c.run(t, `export HPC3_CONFIG=/lab/usage.toml; salloc -Q -N2 -n5 -w n1,n2 sh -c 'srun true; srun --container=$IMAGE sh -c "echo \$SLURM_JOB_ID \$HPC3_IMAGE_REF"' | sort -u`)
	job, image, _ := strings.Cut(strings.TrimSpace(got.stdout), " ")
	want := `{"engine":"native","image":"` + image + `","job":"` + job + `","schemaVersion":1,"step":"1","uid":4242,"variant":"linux/amd64"}`
	told := records(t, log)
	if got.status != 0 || len(told) != 2 {
		t.Errorf("of two nodes the site was told %v; status %d\n%s", told, got.status, got.stderr)
	}
	for _, record := range told {
		if some := fields(record, "engine", "image", "job", "schemaVersion", "step", "uid", "variant"); some != want {
			t.Errorf("the site was told %s, want %s", some, want)
		}
	}
}
