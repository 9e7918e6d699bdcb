package lab

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"regexp"
	"testing"
	"time"
)

// SyslogAt listens where a log daemon would, at a path of its own.
func SyslogAt(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err == nil {
		t.Cleanup(func() { _ = conn.Close() }) // it is only read
		err = os.Chmod(path, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// SyslogRecords returns what was logged until now; what a process sent before it ended is there.
func SyslogRecords(t *testing.T, conn *net.UnixConn) (found []map[string]any) {
	t.Helper()
	line := regexp.MustCompile(
		`^<14>[A-Z][a-z]{2} [ 123]\d \d\d:\d\d:\d\d hpc3-run\[\d+\]: (.*)\n$`)
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

// Fields returns some fields of a record, in JSON.
func Fields(record map[string]any, names ...string) string {
	some := map[string]any{}
	for _, name := range names {
		some[name] = record[name]
	}
	raw, _ := json.Marshal(some) // it came from JSON
	return string(raw)
}
