package module

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMain plays hpc3-run where the test's program is called so, and writes a module if told.
func TestMain(m *testing.M) {
	if os.Getenv("HPC3_TEST_WRITES") != "" {
		os.Exit(writeInto(os.Args[1]))
	}
	if filepath.Base(os.Args[0]) == "hpc3-run" {
		os.Exit(playLauncher(os.Args[3:]))
	}
	os.Exit(m.Run())
}

// playLauncher does what its first argument says: it ends with a status or by a signal, tells its
// process or what it reads, or tells how it was called: its words and its variables, byte for byte.
func playLauncher(args []string) int {
	if len(args) == 2 {
		n, _ := strconv.Atoi(args[1])
		switch args[0] {
		case "exit":
			return n
		case "signal":
			_ = syscall.Exec("/bin/sh", []string{"sh", "-c", fmt.Sprintf("kill -%d $$", n)}, nil)
		}
	}
	if len(args) == 1 && args[0] == "pid" {
		fmt.Print(os.Getpid())
		return 0
	}
	if len(args) == 1 && args[0] == "cat" {
		if _, err := io.Copy(os.Stdout, os.Stdin); err != nil {
			fmt.Print(err)
		}
		return 0
	}
	words, _ := os.ReadFile("/proc/self/cmdline")
	env, _ := os.ReadFile("/proc/self/environ")
	_, _ = os.Stdout.Write(slices.Concat(words, []byte("\x00==\x00"), env))
	return 0
}

// called is how hpc3-run was called.
type call struct{ args, env []string }

// parse reads what playLauncher prints.
func parse(t *testing.T, out []byte) call {
	t.Helper()
	words, env, ok := bytes.Cut(out, []byte("\x00\x00==\x00"))
	if !ok {
		t.Fatalf("hpc3-run was not called: %.300q", out)
	}
	return call{strings.Split(string(words), "\x00")[1:], strings.Split(strings.TrimSuffix(string(env), "\x00"), "\x00")}
}

// shells are those that may be /bin/sh. The kernel starts the first, which is this system's.
func shells(t *testing.T) map[string][]string {
	all := map[string][]string{"kernel": nil}
	for name, words := range map[string][]string{"dash": {"dash"}, "bash": {"bash", "--posix"}, "busybox": {"busybox", "sh"}} {
		path, err := exec.LookPath(words[0])
		if err != nil {
			t.Logf("there is no %s", name)
			continue
		}
		all[name] = append([]string{path}, words[1:]...)
	}
	return all
}

// shimTree is a tree with one module, whose hpc3-run is this test.
type shimTree struct {
	Module
	tree     Tree
	gmx      string // the shim
	launcher string
}

const image = "docker.io/qnib/gromacs:2021.5"

func newShims(t *testing.T, change func(*Module)) shimTree {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	launcher := filepath.Join(dir, "bin", "hpc3-run")
	for _, err := range []error{os.Mkdir(filepath.Join(dir, "bin"), 0o755), os.Symlink(self, launcher)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	tree, err := Open(filepath.Join(dir, "a tree's"))
	if err != nil {
		t.Fatal(err)
	}
	m := Module{Name: "gromacs", Version: "2021.5", Image: image, Commands: []string{"gmx", "mdrun"}, Formats: []Format{Tcl}, Launcher: launcher}
	if change != nil {
		change(&m)
	}
	if _, err := tree.Write(m); err != nil {
		t.Fatal(err)
	}
	return shimTree{m, tree, filepath.Join(tree.Bin(m), "gmx"), launcher}
}

// run executes words, and returns what they print on both outputs and how they end.
func output(env []string, dir string, stdin io.Reader, words ...string) (stdout, stderr []byte, state *os.ProcessState) {
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdin = env, dir, stdin
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run()
	return out.Bytes(), errs.Bytes(), cmd.ProcessState
}

// TestShimArguments: words arrive as they are, behind the image and the command.
func TestShimArguments(t *testing.T) {
	s := newShims(t, nil)
	many := make([]string, 1000)
	for i := range many {
		many[i] = strings.Repeat("x", i%7)
	}
	var bytesOf [255]byte
	for i := range bytesOf {
		bytesOf[i] = byte(i + 1)
	}
	for shell, words := range shells(t) {
		for name, args := range map[string][]string{
			"none": {}, "empty": {""}, "several empty": {"", "", ""}, "blanks": {" a  b ", "\t"}, "lines": {"a\nb", "\n", "\n\n"},
			"quotes":  {"'", `"`, "`", `\`, `'"'"'`, "$(id)", "${HOME}", "$$", "*", "~", "[a-z]", "{a,b}"},
			"options": {"--version", "-c", "-", "--", "-e", "-n"}, "every byte": {string(bytesOf[:])}, "not UTF-8": {"\xff\xfe", "\x81\x88", "é"},
			"many": many, "long": {strings.Repeat("a b", 40000)},
		} {
			out, errs, state := output(nil, "/", nil, append(append(slices.Clone(words), s.gmx), args...)...)
			if state.ExitCode() != 0 || len(errs) > 0 {
				t.Errorf("%s: %s: %v, %s", shell, name, state, errs)
				continue
			}
			if diff := cmp.Diff(append([]string{image, "gmx"}, args...), parse(t, out).args); diff != "" {
				t.Errorf("%s: %s (-want +got):\n%.500s", shell, name, diff)
			}
		}
	}
}

// ofShell are variables that a shell sets for itself, whatever it executes.
var ofShell = []string{"IFS", "PWD", "SHLVL", "OPTIND", "PPID", "_"}

// TestShimEnvironment: no variable is changed, added or removed but HPC3_SHIM, whatever is set.
func TestShimEnvironment(t *testing.T) {
	s := newShims(t, nil)
	strict := filepath.Join(t.TempDir(), "strict")
	if err := os.WriteFile(strict, []byte("set -eu\nFROM_ENV=1\nexport FROM_ENV\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	plain := []string{
		"PATH=/usr/bin:/bin", "HOME=/h", "EMPTY=", "LINES_=a\nb", "BAD=\xff\x81\x88", "QUOTE='\"`$(id)\\", "i=1", "dir=/x", "file=y", "name=z",
		"command=x", "path=/p", "LD_LIBRARY_PATH=/lib:", "HPC3_ENGINE=native", "HPC3_CONTAINER_MOUNTS=/a:/b", "HPC3_SHIM_X=kept",
		"SLURM_PROCID=3", "OMP_NUM_THREADS=4", "LC_ALL=C.UTF-8", "1=one",
	}
	for shell, words := range shells(t) {
		for name, env := range map[string][]string{
			"plain": plain, "none": {}, "no PATH": {"A=b"}, "empty PATH": {"PATH=", "A=b"}, "odd IFS": append(plain, "IFS=/:gm"),
			"strict": append(plain, "ENV="+strict, "BASH_ENV="+strict), "strict options": {"SHELLOPTS=errexit:nounset", "PATH=/bin"},
			"no variable of a shell": {"a.b=1", "A-B=2", "BASH_FUNC_ml%%=() {  echo evil\n}"},
			"functions":              {"BASH_FUNC_printf%%=() {  echo evil\n}", "BASH_FUNC_command%%=() {  echo evil\n}"},
		} {
			out, errs, state := output(env, "/", nil, append(slices.Clone(words), s.gmx)...)
			if state.ExitCode() != 0 || len(errs) > 0 {
				t.Errorf("%s: %s: %v, %s", shell, name, state, errs)
				continue
			}
			want := append(slices.Clone(env), "HPC3_SHIM=gromacs/2021.5")
			got := parse(t, out).env
			if diff := cmp.Diff(of(shell, want), of(shell, got)); diff != "" {
				t.Errorf("%s: %s (-want +got):\n%s", shell, name, diff)
			}
		}
	}
}

// of returns variables without those that a shell sets, in order. Some shells pass only those that
// could be theirs.
func of(shell string, env []string) (all []string) {
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		theirs := slices.Contains(ofShell, name) || strings.HasPrefix(name, "SHELLOPTS")
		theirs = theirs || shell == "busybox" && e == "PATH=/sbin:/usr/sbin:/bin:/usr/bin"
		isName := strings.Trim(name, letters+digits+"_") == "" && strings.Trim(name[:1], digits) != ""
		if e != "" && !theirs && (isName || shell == "bash") {
			all = append(all, e)
		}
	}
	slices.Sort(all)
	return all
}

// TestShimCalls: the ways in which a command is called.
func TestShimCalls(t *testing.T) {
	s := newShims(t, nil)
	dir := t.TempDir()
	link, script, copied := filepath.Join(dir, "a link"), filepath.Join(dir, "script"), filepath.Join(dir, "copy")
	text, err := os.ReadFile(s.gmx)
	if err != nil {
		t.Fatal(err)
	}
	plainLink := filepath.Join(dir, "gmx-link") // a blank ends the name of an interpreter
	for _, err := range []error{
		os.Symlink(s.gmx, link), os.Symlink(s.gmx, plainLink), os.WriteFile(script, []byte("#!"+plainLink+" -x\n"), 0o755),
		os.WriteFile(copied, text, 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	bin := s.tree.Bin(s.Module)
	env := []string{"PATH=" + bin + ":/usr/bin:/bin"}
	for name, row := range map[string]struct{ words, want []string }{
		"by PATH":          {[]string{"/usr/bin/env", "gmx", "a"}, []string{"a"}},
		"by a symlink":     {[]string{link, "a"}, []string{"a"}},
		"a copy":           {[]string{copied, "a"}, []string{"a"}},
		"sh FILE":          {[]string{"sh", s.gmx, "a b"}, []string{"a b"}},
		"a relative path":  {[]string{"sh", "-c", "cd " + shWord(bin) + "; ./gmx a"}, []string{"a"}},
		"sh FILE, in dir":  {[]string{"sh", "-c", "cd " + shWord(bin) + "; sh gmx a"}, []string{"a"}},
		"sh -e -u":         {[]string{"sh", "-eu", s.gmx, "a"}, []string{"a"}},
		"a first line":     {[]string{script, "a", ""}, []string{"-x", script, "a", ""}},
		"xargs":            {[]string{"sh", "-c", "printf 'a b\\0c\\n\\0' | xargs -0 gmx"}, []string{"a b", "c\n"}},
		"bash -c":          {[]string{"bash", "-c", `gmx "$@"`, "-", "a", ""}, []string{"a", ""}},
		"another argv[0]":  {[]string{"bash", "-c", `exec -a mdrun gmx a`}, []string{"a"}},
		"timeout":          {[]string{"timeout", "60", "gmx", "a"}, []string{"a"}},
		"find":             {[]string{"find", "/", "-maxdepth", "0", "-exec", "gmx", "{}", "+"}, []string{"/"}},
		"a background job": {[]string{"sh", "-c", "gmx a & wait"}, []string{"a"}},
		"closed stdin":     {[]string{"sh", "-c", "gmx a <&-"}, []string{"a"}},
		"closed stderr":    {[]string{"sh", "-c", "gmx a 2>&-"}, []string{"a"}},
		"no privileges":    {[]string{"env", "-i", s.gmx, "a"}, []string{"a"}},
	} {
		out, errs, state := output(env, "/", nil, row.words...)
		if state.ExitCode() != 0 || len(errs) > 0 {
			t.Errorf("%s: %v, %s", name, state, errs)
			continue
		}
		if diff := cmp.Diff(append([]string{image, "gmx"}, row.want...), parse(t, out).args); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	in := strings.Repeat("\x00\xff line\n", 100000)
	if out, errs, _ := output(env, "/", strings.NewReader(in), "gmx", "cat"); string(out) != in && string(errs) != "" {
		t.Errorf("a pipe: %d bytes, %s", len(out), errs)
	}
}

// TestShimBecomesTheCommand: it is one process from the start to the end, so its status and signals
// are those of the command, and it starts no other.
func TestShimBecomesTheCommand(t *testing.T) {
	s := newShims(t, nil)
	for shell, words := range shells(t) {
		words := append(slices.Clone(words), s.gmx)
		for _, status := range []string{"0", "1", "42", "125", "126", "127", "255"} {
			if _, _, state := output(nil, "/", nil, append(words, "exit", status)...); strconv.Itoa(state.ExitCode()) != status {
				t.Errorf("%s: status %s: %v", shell, status, state)
			}
		}
		for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGINT, syscall.SIGUSR1, syscall.SIGPIPE} {
			_, _, state := output(nil, "/", nil, append(words, "signal", strconv.Itoa(int(signal)))...)
			if ws, ok := state.Sys().(syscall.WaitStatus); !ok || !ws.Signaled() || ws.Signal() != signal {
				t.Errorf("%s: signal %v: %v", shell, signal, state)
			}
		}
		cmd := exec.Command(words[0], append(words[1:], "pid")...)
		out, err := cmd.Output()
		if err != nil || string(out) != strconv.Itoa(cmd.Process.Pid) {
			t.Errorf("%s: the process is %s, %v, want %d", shell, out, err, cmd.Process.Pid)
		}
	}
}

// TestShimStartsNoProcess: a shim works where its user may start none.
func TestShimStartsNoProcess(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("limiting processes needs another user, so root")
	}
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skip("there is no setpriv")
	}
	s := newShims(t, func(m *Module) { m.Launcher = "/usr/bin/printf" })
	for dir := s.tree.Bin(s.Module); strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const limit = `ulimit -u 0; exec "$@"`
	for shell, words := range shells(t) {
		out, errs, state := output([]string{"PATH=/usr/bin:/bin"}, "/", nil, append(append(
			[]string{setpriv, "--reuid", "54321", "--regid", "54321", "--clear-groups", "bash", "-c", limit, "-"}, words...), s.gmx)...)
		if string(out) != image || state.ExitCode() != 0 {
			t.Errorf("%s: %v, %q, %s", shell, state, out, errs)
		}
	}
	refused := `ulimit -u 0; exec dash -c "/bin/true; true"` // bash tries for 15 seconds
	_, errs, _ := output(nil, "/", nil, setpriv, "--reuid", "54321", "--regid", "54321", "--clear-groups", "bash", "-c", refused)
	if !strings.Contains(string(errs), "fork") {
		t.Errorf("the limit of processes does not hold: %q", errs)
	}
}
