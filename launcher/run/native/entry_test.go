package native

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/run/message"
	"golang.org/x/sys/unix"
)

// emulators are the architectures that have an entry, each with the name of its emulator.
var emulators = map[string]string{"amd64": "x86_64", "arm64": "aarch64", "ppc64le": "ppc64le", "riscv64": "riscv64"}

// A test that runs as a program of its own, with an entry, finds these variables.
const (
	programVariable  = "HPC3_TEST_PROGRAM"
	emulatorVariable = "HPC3_TEST_EMULATOR" // "" for none
)

// reportStage names a stage that prints where its calls stopped.
const reportStage = stagePrefix + "report"

func TestMain(m *testing.M) {
	if status, handled := Reenter(os.Args); handled {
		os.Exit(status)
	}
	if os.Args[0] == reportStage {
		fmt.Printf("%d %d\n", entryAt.args[5], entryResult)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// An architecture whose entry is not tested has none, and build-programs refuses it.
func TestEveryEntryIsTested(t *testing.T) {
	files, err := filepath.Glob("entry_*.s")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for arch := range emulators {
		want = append(want, "entry_"+arch+".s")
	}
	want = append(want, "entry_stub.s")
	slices.Sort(want)
	if !slices.Equal(files, want) {
		t.Errorf("there are %q, and tested are %q", files, want)
	}
}

// Before Go's runtime starts there is no heap.
func TestNothingBeforeTheStartIsOnTheHeap(t *testing.T) {
	out, err := exec.Command("go", "build", "-gcflags=-m", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !bytes.Contains(out, []byte("calls.go")) {
		t.Errorf("the compiler tells nothing: %s", out)
	}
	for line := range strings.Lines(string(out)) {
		file, what, _ := strings.Cut(line, ":")
		if name := filepath.Base(file); name != "entry.go" && name != "limits.go" {
			continue
		}
		if strings.Contains(what, "escapes to heap") || strings.Contains(what, "moved to heap") {
			t.Error(line)
		}
	}
}

// The entry of each architecture starts a program, and plays calls.
func TestEveryEntryPlaysCalls(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the tests for each architecture")
	}
	required := strings.Split(os.Getenv("HPC3_REQUIRE"), ",")
	for arch, emulator := range emulators {
		t.Run(arch, func(t *testing.T) {
			t.Parallel()
			qemu, err := exec.LookPath("qemu-" + emulator + "-static")
			if err != nil && slices.Contains(required, "qemu") {
				t.Fatal(err)
			} else if err != nil {
				t.Skip(err)
			}
			testEntry(t, arch, qemu)
		})
	}
}

func testEntry(t *testing.T, arch, emulator string) {
	program := filepath.Join(t.TempDir(), "native.test")
	flags := "-s -w -E github.com/hpc3-project/hpc3/launcher/run/native.entry"
	build := exec.Command("go", "test", "-c", "-trimpath", "-ldflags", flags, "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+arch)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	words := []string{program, "-test.v", "-test.run", "^TestPlayed"}
	if emulator != "" {
		words = slices.Insert(words, 0, emulator)
	}
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = append(os.Environ(), programVariable+"="+program, emulatorVariable+"="+emulator)
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestPlayedJoinFails")) {
		t.Errorf("%v\n%s", err, out)
	}
}

// played starts this program with a recording. Its standard output and error are returned.
func played(t *testing.T, name string, r *recording, files ...*os.File) (said string, status int) {
	t.Helper()
	program, ok := os.LookupEnv(programVariable)
	if !ok {
		t.Skip("TestEveryEntryPlaysCalls runs it")
	}
	list, err := message.Memory(r.file())
	if err != nil {
		t.Fatal(err)
	}
	words := []string{program, "3"}
	if emulator := os.Getenv(emulatorVariable); emulator != "" {
		words = []string{emulator, "-0", name, program, "3"}
	}
	cmd := exec.Command(words[0], words[1:]...)
	if len(words) == 2 {
		cmd.Args[0] = name
	}
	cmd.ExtraFiles = append([]*os.File{os.NewFile(uintptr(list), "calls")}, files...)
	out, err := cmd.CombinedOutput()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// numbered gives each call its index, which reportStage prints.
func numbered(r *recording) *recording {
	for i := range r.calls {
		r.calls[i].args[5] = uintptr(i)
	}
	return r
}

func TestPlayedCalls(t *testing.T) {
	parent := uint64(os.Getpid())
	for _, tt := range []struct {
		name   string
		record func(r *recording)
		want   string
		status int
	}{
		{"one fails in the middle", func(r *recording) {
			r.must(toPrepare, unix.SYS_GETPID)
			r.may(unix.SYS_CLOSE, ^uintptr(0))
			r.must(toPrepare, unix.SYS_CHDIR, r.text("/no/such directory"))
			r.must(toPrepare, unix.SYS_EXIT_GROUP, 1)
		}, "2 -2\n", 0},
		{"one has another result", func(r *recording) {
			same := r.must(toPrepare, unix.SYS_GETPPID)
			same.want, same.span = parent, 0
			other := r.must(toPrepare, unix.SYS_GETPPID)
			other.want, other.span = parent+1, 0
		}, fmt.Sprintf("1 %d\n", parent), 0},
		{"the number of a signal is wrong", func(r *recording) {
			r.must(toPrepare, unix.SYS_RT_SIGACTION, 99, r.numbers(1, 0, 0, 0), 0, 8)
		}, "0 -22\n", 0},
		{"jumps", func(r *recording) {
			r.must(toPrepare, unix.SYS_GETPID).good = 2
			r.must(toPrepare, unix.SYS_EXIT_GROUP, 1)
			r.must(toPrepare, unix.SYS_CLOSE, ^uintptr(0)).bad = 2
			r.must(toPrepare, unix.SYS_EXIT_GROUP, 2)
			r.must(toPrepare, unix.SYS_CLOSE, ^uintptr(0))
		}, "4 -9\n", 0},
		{"the end", func(r *recording) { r.must(toPrepare, unix.SYS_EXIT_GROUP, 42) }, "", 42},
		{"a child", func(r *recording) {
			r.must(toPrepare, unix.SYS_CLONE, uintptr(unix.SIGCHLD)).zero = stop
			r.must(toPrepare, unix.SYS_WAIT4, ^uintptr(0))
			r.must(toPrepare, unix.SYS_EXIT_GROUP, 5)
		}, "0 0\n", 5},
		{"no child", func(r *recording) {
			c := r.must(toPrepare, unix.SYS_CLONE, unix.CLONE_SIGHAND) // not without CLONE_VM
			c.zero, c.bad = stop, 2
			r.must(toPrepare, unix.SYS_EXIT_GROUP, 1)
			r.must(toPrepare, unix.SYS_EXIT_GROUP, 6)
		}, "", 6},
		{"a command", func(r *recording) {
			words := []string{"sh", "-c", `echo "$0 $1"; exit 7`, "a b", "c"}
			r.must(toExecute, unix.SYS_EXECVE, r.text("/bin/sh"), r.vector(words), r.vector(nil))
		}, "a b c\n", 7},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRecording(nil)
			tt.record(r)
			said, status := played(t, reportStage, numbered(r))
			if said != tt.want || status != tt.status {
				t.Errorf("it says %q and ends with %d; want %q and %d", said, status, tt.want, tt.status)
			}
		})
	}
}

// The file server and the maker start as nobody's children, the latter in namespaces of its own.
func TestPlayedServerCalls(t *testing.T) {
	for _, user := range []bool{true, false} {
		said, status := played(t, reportStage, numbered(serverCalls(user)))
		lines := strings.Split(strings.TrimSpace(said), "\n")
		slices.Sort(lines)
		maker := "4 0"
		switch {
		case user && os.Getenv(emulatorVariable) != "":
			maker = "4 -22" // a process with threads makes no user namespace, and qemu has two
		case os.Getuid() != 0 && !user:
			maker = "4 -1"
		}
		if want := []string{"1 0", maker}; !slices.Equal(lines, want) || status != 0 {
			t.Errorf("user namespace %v: they say %q, want %q; status %d", user, lines, want, status)
		}
	}
}

func TestPlayedSetns(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("entering a mount namespace needs root")
	}
	for _, tt := range []struct {
		kind  string
		flags uintptr
		want  string
	}{
		{"mnt", unix.CLONE_NEWNS, "1 -9\n"},     // entered; the next call fails
		{"user", unix.CLONE_NEWUSER, "0 -22\n"}, // nobody enters their own again
	} {
		ns, err := os.Open("/proc/self/ns/" + tt.kind)
		if err != nil {
			t.Fatal(err)
		}
		defer ns.Close()
		if os.Getenv(emulatorVariable) != "" {
			tt.want = "0 -22\n" // a process with threads enters neither, and qemu has two
		}
		r := newRecording(nil)
		r.must(toEnter, unix.SYS_SETNS, 4, tt.flags)
		r.must(toPrepare, unix.SYS_CLOSE, ^uintptr(0))
		if said, status := played(t, reportStage, numbered(r), ns); said != tt.want || status != 0 {
			t.Errorf("%s: it says %q and ends with %d, want %q", tt.kind, said, status, tt.want)
		}
	}
}

// Where the calls of a join stop, Go says what failed.
func TestPlayedJoinFails(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), mode)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	plain, garbage := file("bin/plain", "#!/bin/sh\n", 0o644), file("bin/garbage", "\x7fELF garbage", 0o755)
	loaderless := file("bin/loaderless", "#!/no/such/interpreter\n", 0o755)
	file("dirs/found/x", "", 0o644)
	file("bin/found", "#!/bin/sh\necho found in \"$PWD\"\n", 0o755)
	path := []string{"PATH=/no/such:" + dir + "/dirs::" + dir + "/bin"}
	become := func(st Stage) func(*recording) { return func(r *recording) { r.become(&st, unix.RLIM_INFINITY) } }
	const engine, execute, restoring = "hpc3-run: error[engine]: ", "hpc3-run: error[exec]: running ", "restoring signals and limits: "
	for _, tt := range []struct {
		name   string
		st     Stage
		record func(r *recording) // nil: as a join does, behind its entering
		said   string
		status int
	}{
		{
			"entering",
			Stage{},
			func(r *recording) { r.must(toEnter, unix.SYS_SETNS, ^uintptr(0), unix.CLONE_NEWNS) },
			engine + "entering the container of this step: bad file descriptor\nhpc3-run: hint: give each task a container of its own: --no-container-share\n", 125,
		},
		{
			"a tool's entering",
			Stage{Tool: true},
			func(r *recording) { r.must(toEnter, unix.SYS_SETNS, ^uintptr(0), unix.CLONE_NEWNS) },
			engine + "entering the container: bad file descriptor\n", 3,
		},
		{
			"the working directory",
			Stage{Workdirs: []string{"/no/such"}, Strict: true},
			nil,
			"hpc3-run: error[mount]: changing to the working directory /no/such: no such file or directory\nhpc3-run: hint: it must exist in the image or be bound with -B\n", 125,
		},
		{
			"privileges",
			Stage{},
			func(r *recording) { r.must(toDropPrivileges, unix.SYS_CAPSET, 0, 0) },
			engine + "giving up privileges: bad address\n", 125,
		},
		{"signals", Stage{Ignored: 1 << 9}, nil, engine + restoring + "invalid argument\n", 125},
		{
			"limits",
			Stage{FileSize: 2},
			func(r *recording) { r.become(&Stage{FileSize: 2, KeepPrivs: true, Words: []string{"x"}}, 1) },
			engine + restoring + "invalid argument\n", 125,
		},
		{"the parent", Stage{Parent: 1}, nil, engine + restoring + "process 1, which started this, has ended\n", 125},
		{
			"no command",
			Stage{Words: []string{"nothing"}},
			nil,
			execute + "\"nothing\": no such command in the image\nhpc3-run: hint: give its path, or see what is there: hpc3-run IMAGE ls /usr/bin\n", 127,
		},
		{
			"no word",
			Stage{Words: []string{""}},
			nil,
			execute + "\"\": no such command in the image\nhpc3-run: hint: give its path, or see what is there: hpc3-run IMAGE ls /usr/bin\n", 127,
		},
		{
			"a tool's command",
			Stage{Words: []string{"nothing"}, Tool: true},
			nil,
			execute + "\"nothing\": no such command in the image\nhpc3-run: hint: give its path, or see what is there: hpc3-run exec ... ls /usr/bin\n", 1,
		},
		{
			"no path",
			Stage{Words: []string{"/no/such"}},
			nil,
			execute + "\"/no/such\": no such command in the image\nhpc3-run: hint: give its path, or see what is there: hpc3-run IMAGE ls /usr/bin\n", 127,
		},
		{"not executable", Stage{Words: []string{"plain"}}, nil, execute + "\"plain\": permission denied\nhpc3-run: hint: look at its mode\n", 126},
		{"a path, not executable", Stage{Words: []string{plain}}, nil, execute + "\"" + plain + "\": permission denied\nhpc3-run: hint: look at its mode\n", 126},
		{
			"another architecture",
			Stage{Words: []string{garbage}},
			nil,
			execute + "\"" + garbage + "\": exec format error\nhpc3-run: hint: it is for another architecture, or a script without a first line #!\n", 126,
		},
		{
			"no interpreter",
			Stage{Words: []string{"loaderless"}},
			nil,
			execute + "\"loaderless\": no such file or directory\nhpc3-run: hint: the interpreter or loader that it names is not in the image\n", 126,
		},
		{
			"too much",
			Stage{Words: []string{loaderless, strings.Repeat("x", 1<<18)}},
			nil,
			execute + "\"" + loaderless + "\": argument list too long\nhpc3-run: hint: the kernel bounds arguments and environment together: make one of them shorter\n", 126,
		},
		{"none: a directory of that name is passed by", Stage{Words: []string{"found"}, Workdirs: []string{"/no/such", "/"}}, nil, "found in /\n", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			st := tt.st
			st.Prefix, st.Env = "hpc3-run", path
			if len(st.Words) == 0 {
				st.Words = []string{"/bin/true"}
			}
			plan, err := st.Pack()
			if err != nil {
				t.Fatal(err)
			}
			r := newRecording(plan)
			if tt.record == nil {
				tt.record = become(st)
			}
			tt.record(r)
			if said, status := played(t, nameJoin, r); said != tt.said || status != tt.status {
				t.Errorf("it says %q and ends with %d; want %q and %d", said, status, tt.said, tt.status)
			}
		})
	}
}
