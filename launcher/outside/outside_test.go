package outside_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hpc3-project/hpc3/launcher/outside"
)

// soon fails a test whose call takes longer than any that does not wait.
func soon(t *testing.T, within time.Duration, call func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); call() }()
	select {
	case <-done:
	case <-time.After(within):
		t.Fatalf("no return within %v", within)
	}
}

// kinds makes one of each thing that a name may lead to.
func kinds(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	socket, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	for _, err := range []error{
		os.WriteFile(filepath.Join(dir, "file"), []byte("text"), 0o600),
		os.Symlink("file", filepath.Join(dir, "link")),
		os.Symlink(os.DevNull, filepath.Join(dir, "null")),
		syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600),
		os.Symlink("fifo", filepath.Join(dir, "to-fifo")),
		os.Mkdir(filepath.Join(dir, "dir"), 0o700),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestRead(t *testing.T) {
	dir := kinds(t)
	for _, tt := range []struct {
		name, want, err string
	}{
		{"file", "text", ""},
		{"link", "text", ""},
		{"null", "", ""},
		{"fifo", "", "it is a named pipe, not a regular file"},
		{"to-fifo", "", "it is a named pipe"},
		{"dir", "", "it is a directory"},
		{"socket", "", "it is a socket"},
		{"/dev/zero", "", "it is a device"},
		{"/dev/tty", "", "it is a device"},
		{"none", "", "no such file"},
		{"/proc/self/fd/999", "", "no such file"},
	} {
		t.Run(filepath.Base(tt.name), func(t *testing.T) {
			name := tt.name
			if !filepath.IsAbs(name) {
				name = filepath.Join(dir, name)
			}
			soon(t, 5*time.Second, func() {
				raw, err := outside.Read(name, 4)
				if string(raw) != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
					t.Errorf("Read(%q) = %q, %v; want %q, %q", name, raw, err, tt.want, tt.err)
				}
				var at *fs.PathError
				if err != nil && (!errors.As(err, &at) || at.Path != name) {
					t.Errorf("Read(%q): %v does not hold the name", name, err)
				}
			})
		})
	}
	if _, err := outside.Read(filepath.Join(dir, "file"), 3); err == nil || !strings.Contains(err.Error(), "more than 3 bytes") {
		t.Errorf("a limit of 3 bytes: %v", err)
	}
	if f, err := outside.Open(filepath.Join(dir, "file")); err != nil || f.Name() != filepath.Join(dir, "file") {
		t.Errorf("Open: %v, %v", f, err)
	}
}

// A pipe is read as it comes: by whoever opens it late, writes slowly, or has ended already.
func TestStream(t *testing.T) {
	dir := kinds(t)
	fifo := filepath.Join(dir, "fifo")
	late := make(chan error, 1)
	go func() {
		time.Sleep(100 * time.Millisecond)
		w, err := os.OpenFile(fifo, os.O_WRONLY, 0)
		if err == nil {
			time.Sleep(100 * time.Millisecond)
			_, err = io.WriteString(w, "one ")
			time.Sleep(50 * time.Millisecond)
			_, err2 := io.WriteString(w, "two")
			err = errors.Join(err, err2, w.Close())
		}
		late <- err
	}()
	if got, err := stream(t.Context(), fifo); got != "one two" || err != nil {
		t.Errorf("a writer that comes late: %q, %v", got, err)
	}
	if err := <-late; err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.WriteString(w, "gone"); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	if got, err := stream(t.Context(), "/proc/self/fd/"+fd(r)); got != "gone" || err != nil {
		t.Errorf("a writer that has ended: %q, %v", got, err)
	}
	if got, err := stream(t.Context(), filepath.Join(dir, "file")); got != "text" || err != nil {
		t.Errorf("a file: %q, %v", got, err)
	}
	if _, err := stream(t.Context(), "/dev/zero"); !errors.As(err, &outside.KindError{}) {
		t.Errorf("a device: %v", err)
	}
	soon(t, 20*time.Second, func() {
		if got, err := stream(t.Context(), fifo); !errors.Is(err, outside.ErrNoWriter) {
			t.Errorf("a pipe that nobody writes into: %q, %v", got, err)
		}
	})
}

// Waiting for a writer that is there and says nothing ends with the context.
func TestStreamEndsWithContext(t *testing.T) {
	fifo := filepath.Join(kinds(t), "fifo")
	w, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	soon(t, 5*time.Second, func() {
		if got, err := stream(ctx, fifo); !errors.Is(err, context.Canceled) {
			t.Errorf("Read() = %q, %v; want the end of the context", got, err)
		}
	})
}

func stream(ctx context.Context, name string) (string, error) {
	r, err := outside.Stream(ctx, name)
	if err != nil {
		return "", err
	}
	defer r.Close()
	raw, err := io.ReadAll(r)
	return string(raw), err
}

func fd(f *os.File) string {
	raw, err := f.SyscallConn()
	if err != nil {
		return ""
	}
	var s string
	_ = raw.Control(func(fd uintptr) { s = strconv.Itoa(int(fd)) }) // it is open
	return s
}
