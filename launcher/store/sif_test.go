package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

func TestCreateSIF(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "with blanks\nand a line", "hpc3"))
	if path, ok, err := s.SIF(testDigest, "amd64"); ok || err != nil {
		t.Fatalf("SIF of an empty store = %q, %v, %v", path, ok, err)
	}
	path := mustCreate(t, s)
	if got, ok, err := s.SIF(testDigest, "amd64"); got != path || !ok || err != nil {
		t.Errorf("SIF = %q, %v, %v; want %q", got, ok, err, path)
	}
	for _, other := range []struct{ digest, arch string }{{testDigest, "arm64"}, {otherDigest, "amd64"}} {
		if got, ok, err := s.SIF(other.digest, other.arch); ok || err != nil {
			t.Errorf("SIF(%v) = %q, %v, %v; want none", other, got, ok, err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o400 || !strings.HasSuffix(path, ".sif") {
		t.Errorf("%q has mode %v, %v", path, info.Mode(), err)
	}
	again, err := s.CreateSIF(t.Context(), testDigest, "amd64", func(*os.File) error { return errors.New("called") })
	if again != path || err != nil {
		t.Errorf("second CreateSIF = %q, %v; want %q and no call", again, err, path)
	}
	wantClean(t, s)
}

func TestCreateSIFFails(t *testing.T) {
	broken := fault.New(fault.Convert, "layer 2: broken")
	ctx, cancel := context.WithCancel(context.Background())
	tests := []struct {
		name  string
		write func(*os.File) error
		want  error
	}{
		{"its class is kept", func(*os.File) error { return broken }, broken},
		{"cancelled while writing", func(f *os.File) error { cancel(); return os.WriteFile(f.Name(), []byte("x"), 0o600) }, context.Canceled},
		{"cancelled before", nil, context.Canceled},
	}
	s := open(t, t.TempDir())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if path, err := s.CreateSIF(ctx, testDigest, "amd64", tt.write); !errors.Is(err, tt.want) || path != "" {
				t.Errorf("CreateSIF = %q, %v; want %v", path, err, tt.want)
			}
			wantClean(t, s)
		})
	}
	_, err := create(s, "")
	wantFault(t, err, "nothing was written")
	func() {
		defer func() { _ = recover() }()
		_, _ = s.CreateSIF(context.Background(), testDigest, "amd64", func(*os.File) error { panic("in the converter") })
	}()
	wantClean(t, s)
	if _, ok, err := s.SIF(testDigest, "amd64"); ok || err != nil {
		t.Errorf("SIF after failures = %v, %v", ok, err)
	}
	mustCreate(t, s)
}

func TestBadNames(t *testing.T) {
	s := open(t, t.TempDir())
	for _, digest := range []string{"", "sha256:", "sha256:../../x", "md5:44136fa355b3678a1146ad16f7e8649e", strings.ToUpper(testDigest), testDigest[:70], testDigest + "0", "sha512:" + testDigest[7:]} {
		_, _, err := s.SIF(digest, "amd64")
		if class, _, _ := fault.Of(err, fault.Engine); class != fault.Cache {
			t.Errorf("SIF(%q): %v", digest, err)
		}
	}
	for _, arch := range []string{"", "..", "a/b", "amd64 ", "AMD64", strings.Repeat("a", 33)} {
		if _, _, err := s.SIF(testDigest, arch); err == nil {
			t.Errorf("SIF with arch %q is accepted", arch)
		}
	}
}

// What is broken counts as absent, and the next CreateSIF replaces it.
func TestBrokenSIF(t *testing.T) {
	tests := []struct {
		name   string
		damage func(path string) error
	}{
		{"cut short", func(path string) error { return os.Truncate(path, 5) }},
		{"zero length", func(path string) error { return os.Truncate(path, 0) }},
		{"longer", func(path string) error { return os.Truncate(path, 100) }},
		{"writable by others", func(path string) error { return os.Chmod(path, 0o666) }},
		{"renamed", func(path string) error { return os.Rename(path, filepath.Join(filepath.Dir(path), "x.sif")) }},
		{"a symbolic link", func(path string) error { return errors.Join(os.Remove(path), os.Symlink("/etc/passwd", path)) }},
		{"a directory", func(path string) error { return errors.Join(os.Remove(path), os.MkdirAll(path+"/x", 0o700)) }},
		{"a FIFO", func(path string) error { return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)) }},
		{"of another user", func(path string) error {
			if os.Geteuid() != 0 {
				return os.Remove(path)
			}
			return os.Chown(path, 12345, 12345)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, t.TempDir())
			path := mustCreate(t, s)
			if err := os.Chmod(path, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := tt.damage(path); err != nil {
				t.Fatal(err)
			}
			if got, ok, err := s.SIF(testDigest, "amd64"); ok || err != nil {
				t.Errorf("SIF = %q, %v, %v; want none", got, ok, err)
			}
			if again := mustCreate(t, s); again != path {
				t.Errorf("rebuilt at %q, want %q", again, path)
			}
			if left := names(t, s, filepath.Join(dirSIF, filepath.Base(filepath.Dir(path)))); len(left) != 1 {
				t.Errorf("beside the SIF: %q", left)
			}
		})
	}
}

// One process makes the SIF, the others get it.
func TestRace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hpc3")
	owner := start(t, dir)
	if got := owner.line(); got != "writing" {
		t.Fatalf("the first process says %q", got)
	}
	var waiters []*process
	for range 12 {
		waiters = append(waiters, start(t, dir))
	}
	for _, w := range waiters {
		if got := w.line(); got != "waiting" {
			t.Errorf("a waiter says %q", got)
		}
	}
	_ = owner.stdin.Close()
	want := owner.line()
	for _, w := range waiters {
		if got := w.line(); got != want {
			t.Errorf("a waiter got %q, the first process %q", got, want)
		}
	}
	wantMade(t, dir)
}

// The owner is killed again and again: each time another takes over, and in the end there is one
// whole file.
func TestOwnerKilled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hpc3")
	all := make(chan *process)
	var waiting []*process
	const processes = 8
	for range processes {
		waiting = append(waiting, start(t, dir))
	}
	for _, p := range waiting {
		go func() {
			for p.out.Scan() {
				if p.out.Text() == "writing" {
					all <- p
					return
				}
			}
		}()
	}
	for range processes - 1 {
		p := <-all
		if _, ok, err := open(t, dir).SIF(testDigest, "amd64"); ok || err != nil {
			t.Errorf("a SIF is visible while it is written: %v, %v", ok, err)
		}
		if err := p.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = p.Wait()
	}
	last := <-all
	_ = last.stdin.Close()
	if got := last.line(); !strings.HasSuffix(got, ".sif") {
		t.Errorf("the last process says %q", got)
	}
	wantMade(t, dir)
}

func wantMade(t *testing.T, dir string) {
	t.Helper()
	log, err := os.ReadFile(dir + ".log")
	if err != nil || string(log) != "made\n" {
		t.Errorf("log of conversions: %q, %v; want one", log, err)
	}
	s := open(t, dir)
	mustCreate(t, s)
	wantClean(t, s)
}

func TestWaitIsCancelled(t *testing.T) {
	dir := t.TempDir()
	s, other := open(t, dir), open(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	var waited []string
	other.OnWait = func(path string) { waited = append(waited, path); cancel() }
	_, err := s.CreateSIF(t.Context(), testDigest, "amd64", func(f *os.File) error {
		_, err := other.CreateSIF(ctx, testDigest, "amd64", func(*os.File) error { return errors.New("called") })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the waiter got %v", err)
		}
		_, err = f.WriteString(content)
		return err
	})
	if err != nil || len(waited) != 1 || !strings.HasPrefix(waited[0], dir) {
		t.Errorf("CreateSIF: %v; waited for %q", err, waited)
	}
	wantClean(t, s)
}

func TestSweep(t *testing.T) {
	s := open(t, t.TempDir())
	other, err := key(otherDigest, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ready(dirTmp, dirLocks); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * foreignAge)
	for _, f := range []struct {
		name string
		when time.Time
	}{
		{other + "." + s.boot + ".dead", time.Now()},
		{other + ".anotherboot.young", time.Now()},
		{other + ".anotherboot.old", old},
		{small + "." + s.boot + ".young", time.Now()},
		{"old", old},
	} {
		path := filepath.Join(s.Dir(), dirTmp, f.name)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, f.when, f.when)); err != nil {
			t.Fatal(err)
		}
	}
	mustCreate(t, s)
	want := other + ".anotherboot.young " + small + "." + s.boot + ".young"
	if got := strings.Join(names(t, s, dirTmp), " "); got != want {
		t.Errorf("left after sweeping: %q, want %q", got, want)
	}
}

// A live writer of another SIF is left alone.
func TestSweepSparesTheLiving(t *testing.T) {
	s := open(t, t.TempDir())
	path, err := s.CreateSIF(t.Context(), otherDigest, "amd64", func(f *os.File) error {
		mustCreate(t, s)
		_, err := f.WriteString("other")
		return err
	})
	if err != nil {
		t.Errorf("CreateSIF = %q, %v", path, err)
	}
}

// Without locks two may write at once, and both get a whole file.
func TestWithoutLocks(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, dir), open(t, dir)
	for _, s := range []*Store{a, b} {
		s.flock = func(*os.File) error { return syscall.ENOLCK }
	}
	var second string
	first, err := a.CreateSIF(t.Context(), testDigest, "amd64", func(f *os.File) error {
		second = mustCreate(t, b)
		_, err := f.WriteString(content)
		return err
	})
	if err != nil || first != second {
		t.Errorf("CreateSIF = %q, %v, the other %q", first, err, second)
	}
	mustCreate(t, a)
	wantClean(t, a)
}

// A waiter gets the error of the process that could not make the SIF, if the waiter would run into
// the same failure. A process that asks later tries for itself.
func TestWaitersGetTheFailure(t *testing.T) {
	for class, shared := range map[fault.Class]bool{fault.Network: true, fault.Convert: true, fault.Registry: false, fault.Engine: false} {
		t.Run(string(class), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "hpc3")
			const waiters = 8
			var waiting sync.WaitGroup
			waiting.Add(waiters)
			begun, fail := make(chan struct{}), make(chan struct{})
			var tries atomic.Int32
			create := func(s *Store) error {
				_, err := s.CreateSIF(t.Context(), testDigest, "amd64", func(*os.File) error {
					if tries.Add(1) == 1 {
						close(begun)
						<-fail
					}
					return fault.New(class, "the cable is out").Hint("plug it in").Exit(77)
				})
				return err
			}
			errs := make(chan error, waiters+1)
			go func() { errs <- create(open(t, dir)) }()
			<-begun
			for range waiters {
				s := open(t, dir)
				s.OnWait = func(string) { waiting.Done() }
				go func() { errs <- create(s) }()
			}
			waiting.Wait()
			close(fail)
			for range waiters + 1 {
				err := <-errs
				gotClass, hints, status := fault.Of(err, "")
				if err == nil || err.Error() != "the cable is out" || gotClass != class || len(hints) != 1 || status != 77 {
					t.Errorf("the error is [%s] %v, hints %q, status %d", gotClass, err, hints, status)
				}
			}
			want := int32(1)
			if !shared {
				want += waiters
			}
			if n := tries.Load(); n != want {
				t.Errorf("it was tried %d times, want %d", n, want)
			}
			if err := create(open(t, dir)); err == nil || tries.Load() != want+1 {
				t.Errorf("who comes later gets %v, after %d tries", err, tries.Load())
			}
			mustCreate(t, open(t, dir))
			if left := names(t, open(t, dir), dirNotices); len(left) > 0 {
				t.Errorf("words are left after a success: %q", left)
			}
		})
	}
}

func TestFirst(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hpc3")
	for i, words := range []string{"a", "a", "b", "a"} {
		first, err := open(t, dir).First(words)
		if want := i == 0 || i == 2; err != nil || first != want {
			t.Errorf("First(%q), call %d = %v, %v, want %v", words, i, first, err, want)
		}
	}
	s := open(t, dir)
	old := names(t, s, dirNotices)[0]
	past := time.Now().Add(-noticeAge - time.Hour)
	if err := os.Chtimes(filepath.Join(dir, dirNotices, old), past, past); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Collect(t.Context(), Collection{MaxAge: -1, MaxSize: -1, MaxLayers: -1}); err != nil {
		t.Fatal(err)
	}
	if left := names(t, s, dirNotices); len(left) != 1 || left[0] == old {
		t.Errorf("left are the words %q, want all but %s", left, old)
	}
}

// A SIF that was set aside counts as absent, and goes when the image is made anew; so does one of
// another's cache that is marked.
func TestDamagedSIF(t *testing.T) {
	s := open(t, t.TempDir())
	write := func(f *os.File) error { _, err := f.WriteString("image"); return err }
	file, err := s.CreateSIF(t.Context(), testDigest, "amd64", write)
	if err != nil {
		t.Fatal(err)
	}
	other := open(t, t.TempDir())
	if mark := other.DamageMark(file); mark == "" || other.Damaged(file) {
		t.Errorf("the mark %q is there before it is made", mark)
	} else if err := errors.Join(os.MkdirAll(filepath.Dir(mark), 0o700), os.WriteFile(mark, nil, 0o600)); err != nil || !other.Damaged(file) {
		t.Errorf("the mark %q is not heeded (%v)", mark, err)
	}
	aside := Aside(file)
	if err := os.Rename(file, aside); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := s.SIF(testDigest, "amd64"); ok || err != nil {
		t.Errorf("what was set aside is found: %v", err)
	}
	if again, err := s.CreateSIF(t.Context(), testDigest, "amd64", write); err != nil || again != file {
		t.Errorf("made anew: %q, %v", again, err)
	}
	if _, err := os.Stat(aside); err == nil {
		t.Error("what was set aside stays when the image is made anew")
	}
	if other.Damaged(file) {
		t.Error("the mark counts for the new file")
	}
}
