package registry

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// netns is a network of its own. Sockets that are made and programs that are started by do are in
// it.
type netns struct{ calls chan func() }

// newNetns makes one, with commands of ip(8).
func newNetns(t *testing.T, commands ...string) netns {
	t.Helper()
	n := netns{make(chan func())}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		made <- unix.Unshare(unix.CLONE_NEWNET)
		for f := range n.calls {
			f()
		}
	}()
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(n.calls) })
	for _, c := range commands {
		n.do(func() {
			if out, err := exec.Command("ip", strings.Fields(c)...).CombinedOutput(); err != nil {
				t.Errorf("ip %s: %v\n%s", c, err, out)
			}
		})
	}
	return n
}

func (n netns) do(f func()) {
	done := make(chan struct{})
	n.calls <- func() { defer close(done); f() }
	<-done
}

// answers serves TCP connections at an address of the network.
func (n netns) answers(t *testing.T, addr string, answer func(net.Conn)) {
	t.Helper()
	n.do(func() {
		listener, err := net.Listen("tcp", addr)
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { listener.Close() })
		go func() {
			for {
				c, err := listener.Accept()
				if err != nil {
					return
				}
				go answer(c)
			}
		}()
	})
}

// names answers questions for names with a code of RFC 1035, section 4.1.1, and no addresses; with
// -1 it answers nothing.
func (n netns) names(t *testing.T, addr string, code int) {
	t.Helper()
	n.do(func() {
		c, err := net.ListenPacket("udp", addr)
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { c.Close() })
		go func() {
			for b := make([]byte, 1500); ; {
				size, from, err := c.ReadFrom(b)
				if err != nil {
					return
				}
				if code < 0 || size < 12 {
					continue
				}
				b[2], b[3] = b[2]|0x80, 0x80|byte(code) // an answer, by recursion
				b[11] = 0                               // without the additional record of the question
				end := 12
				for end < size && b[end] != 0 {
					end += int(b[end]) + 1
				}
				_, _ = c.WriteTo(b[:min(size, end+5)], from) // whoever asked may be gone
			}
		}()
	})
}

// run runs a program in the network, with a file in place of /etc/resolv.conf.
func (n netns) run(t *testing.T, resolv string, env []string, command ...string) (stderr string, status int) {
	t.Helper()
	home := t.TempDir()
	file := filepath.Join(home, "resolv.conf")
	if err := os.WriteFile(file, []byte(resolv+"\noptions timeout:1 attempts:1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", append([]string{"-m", "sh", "-c", `mount --bind "$0" /etc/resolv.conf && exec "$@"`, file}, command...)...)
	cmd.Env = append([]string{"HOME=" + home, "PATH=" + lab.Programs() + ":" + os.Getenv("PATH"), "HPC3_CONFIG=/dev/null", "HPC3_ENGINE=native"}, env...)
	var said strings.Builder
	cmd.Stderr = &said
	n.do(func() { _ = cmd.Run() }) // the status tells
	return said.String(), cmd.ProcessState.ExitCode()
}

// What keeps a node from its registry is named as what it is, by each program, and is of class
// network; it is one line, and there is a hint.
func TestNetworkFaults(t *testing.T) {
	lab.Needs(t, "netns", os.Geteuid() == 0, "networks of their own need root")
	up := []string{"link set lo up", "addr add 10.9.8.1/24 dev lo"}
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	certificate := &tls.Config{Certificates: secure.TLS.Certificates}
	closed := func(c net.Conn) { c.Close() }
	reset := func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1)) // what is left unread makes it a reset
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	says := func(text string) func(net.Conn) {
		return func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096)) // all of the question
			_, _ = io.WriteString(c, text)
			c.Close()
		}
	}
	const proxy = "http://me:s3cret@10.9.8.1:3128"
	for _, tt := range []struct {
		name   string
		ip     []string
		resolv string
		dns    int // see names; 1 << 8 for no server
		serves func(net.Conn)
		at     string // where it serves
		env    string
		image  string
		text   string // of the error
	}{
		{"no route", []string{"link set lo up"}, "", 0, nil, "", "", "10.1.2.3:5000/app:1", "this node has no route to 10.1.2.3:5000"},
		{"no network at all", nil, "", 0, nil, "", "", "10.1.2.3:5000/app:1", "this node has no route to 10.1.2.3:5000"},
		{"loopback is down", nil, "", 0, nil, "", "", "127.0.0.1:5000/app:1", "127.0.0.1:5000 is not reached: the loopback interface of this node is down"},
		{"loopback is down, by name", nil, "", 0, nil, "", "", "localhost:5000/app:1", "localhost:5000 (127.0.0.1:5000) is not reached: the loopback interface"},
		{"the node has no IPv6", up, "", 0, nil, "", "", "[fd00::1]:5000/app:1", "this node has no route to [fd00::1]:5000, an IPv6 address"},
		{"the node has IPv6 only", []string{"link set lo up", "addr add fd00::2/128 dev lo"}, "", 0, nil, "", "", "10.1.2.3:5000/app:1", "this node has no route to 10.1.2.3:5000"},
		{"IPv6 refuses", []string{"link set lo up", "addr add fd00::2/128 dev lo"}, "", 0, nil, "", "", "[fd00::2]:5000/app:1", "[fd00::2]:5000: connection refused"},
		{"a host that is not there", []string{"link set lo up", "link add d0 type veth peer d1", "addr add 10.9.8.1/24 dev d0", "link set d0 up", "link set d1 up"}, "", 0, nil, "", "", "10.9.8.77:5000/app:1", "10.9.8.77:5000: connect: no route to host"},
		{"refused", up, "", 0, nil, "", "", "10.9.8.1:5000/app:1", "10.9.8.1:5000: connection refused"},
		{"reset", up, "", 0, reset, "10.9.8.1:5000", "", "10.9.8.1:5000/app:1", "10.9.8.1:5000 closed the connection"},
		{"hangs up", up, "", 0, closed, "10.9.8.1:5000", "", "10.9.8.1:5000/app:1", "10.9.8.1:5000 closed the connection"},
		{"no TLS", up, "", 0, says("HTTP/1.0 400 Bad Request\r\n\r\n"), "10.9.8.1:5000", "", "10.9.8.1:5000/app:1", "10.9.8.1:5000 speaks no TLS"},
		{"TLS that breaks", up, "", 0, says("\x15\x03\x03\x00\x02\x02\x28"), "10.9.8.1:5000", "", "10.9.8.1:5000/app:1", "no encrypted connection to 10.9.8.1:5000 could be made: tls: handshake failure"},
		{"another certificate", up, "", 0, func(c net.Conn) { _ = tls.Server(c, certificate).Handshake(); c.Close() }, "10.9.8.1:5000", "", "10.9.8.1:5000/app:1", "x509: "},
		{"no name server", up, "", 1 << 8, nil, "", "", "registry.example.org/app:1", "registry.example.org could not be looked up: the name service ("},
		{"no network to the name server", nil, "nameserver 10.9.8.1", 1 << 8, nil, "", "", "registry.example.org/app:1", "could not be looked up: the name service (10.9.8.1:53) does not answer"},
		{"a name server that says nothing", up, "nameserver 10.9.8.1", -1, nil, "", "", "registry.example.org/app:1", "the name service (10.9.8.1:53) does not answer"},
		{"SERVFAIL", up, "nameserver 10.9.8.1", 2, nil, "", "", "registry.example.org/app:1", "the name service (10.9.8.1:53) says: server misbehaving"},
		{"REFUSED", up, "nameserver 10.9.8.1", 5, nil, "", "", "registry.example.org/app:1", "the name service (10.9.8.1:53) says: server misbehaving"},
		{"no such name", up, "nameserver 10.9.8.1", 3, nil, "", "", "registry.example.org/app:1", "no host is called registry.example.org"},
		{"a name without addresses", up, "nameserver 10.9.8.1", 0, nil, "", "", "registry.example.org/app:1", "no host is called registry.example.org"},
		{"a dead proxy", up, "", 0, nil, "", "HTTPS_PROXY=" + proxy, "10.9.8.2:5000/app:1", "the proxy http://10.9.8.1:3128 (HTTPS_PROXY) cannot be used: connect: connection refused"},
		{"no route to a proxy", []string{"link set lo up"}, "", 0, nil, "", "ALL_PROXY=socks5://me:s3cret@10.9.8.1:1080", "10.9.8.2:5000/app:1", "the proxy socks5://10.9.8.1:1080 (ALL_PROXY) cannot be used: connect: network is unreachable"},
		{"a proxy without a name", up, "nameserver 10.9.8.1", 3, nil, "", "HTTPS_PROXY=http://me:s3cret@proxy.example.org:3128", "10.9.8.2:5000/app:1", "the proxy http://proxy.example.org:3128 (HTTPS_PROXY) is not found: no host has this name"},
		{"a proxy, and no name service", up, "nameserver 10.9.8.1", 2, nil, "", "HTTPS_PROXY=http://me:s3cret@proxy.example.org:3128", "10.9.8.2:5000/app:1", "could not be looked up: the name service (10.9.8.1:53) says"},
		{"a proxy that refuses", up, "", 0, says("HTTP/1.1 403 Forbidden\r\n\r\n"), "10.9.8.1:3128", "https_proxy=" + proxy, "10.9.8.2:5000/app:1", "the proxy http://10.9.8.1:3128 (https_proxy) refuses access to 10.9.8.2:5000 (status 403)"},
		{"a proxy that does not reach it", up, "", 0, says("HTTP/1.1 502 Bad Gateway\r\n\r\n"), "10.9.8.1:3128", "https_proxy=" + proxy, "10.9.8.2:5000/app:1", "does not reach 10.9.8.2:5000 (status 502)"},
		{"NO_PROXY", up, "", 0, nil, "", "NO_PROXY=10.9.8.0/24 HTTPS_PROXY=" + proxy, "10.9.8.1:5000/app:1", "reading 10.9.8.1:5000/app:1: 10.9.8.1:5000: connection refused"},
		{"a malformed proxy", up, "", 0, nil, "", "HTTPS_PROXY=http://me:s3cret", "10.9.8.2:5000/app:1", "HTTPS_PROXY names no proxy that can be used"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newNetns(t, tt.ip...)
			if tt.resolv != "" && tt.dns != 1<<8 {
				n.names(t, "10.9.8.1:53", tt.dns)
			}
			if tt.serves != nil {
				n.answers(t, tt.at, tt.serves)
			}
			for _, program := range []struct {
				status  int
				command []string
			}{
				{125, []string{"hpc3-run", tt.image, "true"}}, {3, []string{"hpc3", "pull", tt.image}}, {3, []string{"hpc3", "explain", tt.image}},
			} {
				said, status := n.run(t, tt.resolv, strings.Fields(tt.env), program.command...)
				lines := strings.Split(strings.TrimSpace(said), "\n")
				start := fmt.Sprintf("%s: error[network]: ", program.command[0])
				if status != program.status || !strings.HasPrefix(lines[0], start) || !strings.Contains(lines[0], tt.text) || len(lines) < 2 {
					t.Errorf("%q: status %d, want %d and %q:\n%s", program.command, status, program.status, start+"…"+tt.text, said)
				}
				for _, hint := range lines[1:] {
					if !strings.HasPrefix(hint, program.command[0]+": hint: ") {
						t.Errorf("%q says %q beside", program.command, hint)
					}
				}
				if strings.Contains(said, "s3cret") {
					t.Errorf("%q tells the password:\n%s", program.command, said)
				}
			}
		})
	}
}
