package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

const (
	testDigest  = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
	otherDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	content     = "a file that is made once"
)

// The test binary is also the processes that race: HPC3_STORE_TEST=DIR makes it call CreateSIF
// once. It says "waiting" and "writing" on stdout; a writer goes on when its stdin ends, after a
// line in the log beside the store.
func TestMain(m *testing.M) {
	if dir := os.Getenv("HPC3_STORE_TEST"); dir != "" {
		os.Exit(child(dir))
	}
	if dir := os.Getenv("HPC3_ROOM_TEST"); dir != "" {
		room, _ := RoomAt(dir)
		fmt.Print(room.Bytes, " ", room.Quota)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(dir string) int {
	s, err := Open(dir)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	s.OnWait = func(string) { fmt.Println("waiting") }
	path, err := s.CreateSIF(context.Background(), testDigest, "amd64", func(f *os.File) error {
		log, err := os.OpenFile(dir+".log", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		defer log.Close()
		if _, err := io.WriteString(f, content[:7]); err != nil {
			return err
		}
		fmt.Println("writing")
		_, _ = io.Copy(io.Discard, os.Stdin)
		_, err = io.WriteString(f, content[7:])
		fmt.Fprintln(log, "made")
		return err
	})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(path)
	return 0
}

type process struct {
	*exec.Cmd
	out   *bufio.Scanner
	stdin io.Closer
}

func start(t *testing.T, dir string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "HPC3_STORE_TEST="+dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return &process{cmd, bufio.NewScanner(stdout), stdin}
}

// line returns the next line of the process, "" at its end.
func (p *process) line() string {
	if !p.out.Scan() {
		return ""
	}
	return p.out.Text()
}

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatalf("Open(%q): %v", dir, err)
	}
	return s
}

func create(s *Store, text string) (string, error) {
	return s.CreateSIF(context.Background(), testDigest, "amd64", func(f *os.File) error {
		_, err := io.WriteString(f, text)
		return err
	})
}

// mustCreate makes the SIF of testDigest and checks what lies at the path.
func mustCreate(t *testing.T, s *Store) string {
	t.Helper()
	path, err := create(s, content)
	if err != nil {
		t.Fatalf("CreateSIF: %v", err)
	}
	if raw, err := os.ReadFile(path); err != nil || string(raw) != content {
		t.Fatalf("the SIF holds %q, %v; want %q", raw, err, content)
	}
	return path
}

// names lists a room of the store.
func names(t *testing.T, s *Store, room string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.Dir(), room))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func wantClean(t *testing.T, s *Store) {
	t.Helper()
	for _, room := range []string{dirTmp, dirLocks} {
		if left := names(t, s, room); len(left) > 0 {
			t.Errorf("left in %s: %q", room, left)
		}
	}
}

// wantFault checks class, hint and a part of the message.
func wantFault(t *testing.T, err error, part string) {
	t.Helper()
	class, hints, _ := fault.Of(err, fault.Engine)
	if err == nil || class != fault.Cache || len(hints) == 0 || !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error is [%s] %v, hints %q; want [cache] …%s… with a hint", class, err, hints, part)
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

// mountTmpfs mounts a file system of so many bytes until the test ends.
func mountTmpfs(t *testing.T, options string) string {
	t.Helper()
	needRoot(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("needs the right to mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmounting: %v", err)
		}
	})
	return dir
}
