package slurm

import (
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// display is the port of an X server for one program: it answers who shows its cookie, as the
// protocol has it.
func display(t *testing.T, cookie string) (number int) {
	t.Helper()
	const first = 6000 // of the ports of displays
	port := freePorts(t, 1)
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed
			}
			hello := make([]byte, 12+20+16) // byte order, version, lengths; MIT-MAGIC-COOKIE-1 and its padding; the cookie
			answer := "\x00"
			if _, err := io.ReadFull(conn, hello); err == nil && hex.EncodeToString(hello[32:]) == cookie {
				answer = "\x01"
			}
			_, _ = io.WriteString(conn, answer)
			conn.Close()
		}
	}()
	return port - first
}

// xclient does what a program does to open a display, with the last cookie of its file.
const xclient = `d=${DISPLAY#*:}; exec 3<>/dev/tcp/localhost/$((6000 + ${d%.*})) || exit 1
{ printf 'l\0\13\0\0\0\22\0\20\0\0\0MIT-MAGIC-COOKIE-1\0\0'; tail -c 16 "$XAUTHORITY"; } >&3
echo "open: $(head -c 1 <&3 | od -An -tx1)"`

// TestSlurmX11 has a program of the image open the display that srun forwards.
func TestSlurmX11(t *testing.T) {
	lab.Needs(t, "slurm", os.Getuid() == 0, "the lab needs root")
	lab.Needs(t, "slurm", !testing.Short(), "the lab is not built by a short run")
	xauth, err := exec.LookPath("xauth")
	lab.Needs(t, "slurm", err == nil, "xauth is not installed")
	t.Parallel()
	const cookie = "000102030405060708090a0b0c0d0e0f"
	for suite := range suites {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, suite, "", map[string]string{"slurm.conf": "PrologFlags=X11\nProctrackType=proctrack/pgid\n"})
			c.installXauth(t, xauth)
			number := display(t, cookie)
			see := fmt.Sprintf("xauth -q add localhost:%d . %s; export DISPLAY=localhost:%d; ", number, cookie, number)
			engines := []string{"native"}
			if suite == "sid" {
				engines = append(engines, "apptainer")
			}
			for _, c.engine = range engines {
				c.check(t, slurmRow{text: see + `srun --x11 --container=$IMAGE bash -c '` + strings.ReplaceAll(xclient, "'", `'"'"'`) + `'`, stdout: "open:  01"})
				c.check(t, slurmRow{text: see + `srun --x11 --container=$IMAGE bash -c 'echo "$XAUTHORITY"; [ -O "$XAUTHORITY" ] && echo mine'`, stdout: "/run/slurm/tmp/n1/.*\nmine"})
			}
			c.idle(t)
		})
	}
}

// installXauth brings this machine's xauth into the cluster, where Slurm runs it.
func (c *cluster) installXauth(t *testing.T, xauth string) {
	t.Helper()
	dir := filepath.Join(c.work, "xauth")
	const pack = `mkdir "$1"; cp "$0" "$1/xauth"; ldd "$0" | grep -o '/[^ ]*/lib\(X\|xcb\|bsd\|md\)[^ ]*' | xargs -I% cp -L % "$1"; chmod -R a+rX "$1"`
	if out, err := exec.Command("sh", "-ec", pack, xauth, dir).CombinedOutput(); err != nil {
		t.Fatalf("packing xauth: %v\n%s", err, out)
	}
	if out := c.root(`printf '#!/bin/sh\nLD_LIBRARY_PATH=/lab/xauth exec /lab/xauth/xauth "$@"\n' >/usr/bin/xauth; chmod 0755 /usr/bin/xauth`); out != "" {
		t.Fatal(out)
	}
}
