package cli

import (
	"archive/tar"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/hpc3-project/hpc3/tests/internal/images"
	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

var update = flag.Bool("update", false, "write testdata anew, to be read before it is committed")

// TestMessages runs the transcripts in testdata/messages, one for each class of errors and some by
// subject, and holds what a terminal of 80 columns shows against what stands there. A transcript
// begins in a directory of its own. Its lines are
//
//	$ COMMAND       what a user types; what it prints follows, and its status in brackets
//	+ COMMAND       what is prepared, without a word
//	# TEXT          a comment; "# no hint: WHY" stands above a message that needs none
//	? native, root  what follows needs /dev/fuse, or root, or that
//	                other architectures are not emulated (plain)
//
// With -update the answers are written again: go test ./tests/cli -run TestMessages -update
func TestMessages(t *testing.T) {
	registry := images.StartRegistry(t)
	if err := images.PushTools(registry.Host); err != nil {
		t.Fatal(err)
	}
	secure := httptest.NewUnstartedServer(registry.Inner)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // what a client says of its certificate
	secure.StartTLS()
	t.Cleanup(secure.Close)
	files, err := filepath.Glob("testdata/messages/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			m := newMessages(t, map[string]string{"REGISTRY": registry.Host, "SECURE": strings.TrimPrefix(secure.URL, "https://")})
			was := lab.Read(t, file)
			now := m.play(t, was)
			if *update {
				if err := os.WriteFile(file, []byte(now), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(was, now); diff != "" {
				t.Errorf("%s (-golden +got); see -update:\n%s", file, diff)
			}
		})
	}
}

// What is printed as a table fits a terminal of 80 columns, and none of it is lost there: the words
// are those that a file gets, and a file gets a line a row.
func TestTablesFitTheTerminal(t *testing.T) {
	registry := images.StartRegistry(t)
	if err := images.PushTools(registry.Host); err != nil {
		t.Fatal(err)
	}
	m := newMessages(t, map[string]string{"REGISTRY": registry.Host})
	m.stable = strings.NewReplacer()
	m.run(t, `for p in zen3 zen4 haswell; do hpc3 pull --platform linux/amd64:$p $REGISTRY/good/app:1; done; hpc3 pull oci:shell`)
	for _, command := range []string{
		"hpc3 doctor", "hpc3 probe", "hpc3 cache list", "hpc3 explain oci:layout", "hpc3 explain oci:describes", "hpc3 explain $REGISTRY/good/gromacs:2021.5",
		"hpc3 explain --node $NODES/dgx-h100-535.json --index $NODES/index.json", "hpc3 explain --nodes-file $NODES/zen4.json --index $NODES/index.json",
		"hpc3-run --dry-run $REGISTRY/good/app:1 gmx mdrun -s 'a long name of a file' -deffnm another-long-name-of-a-file",
		"hpc3-run --dry-run --time $REGISTRY/good/app:1", "hpc3 cache gc --dry-run",
		"hpc3 module --dry-run $REGISTRY/good/tools:1.0", "hpc3 module --dry-run --all $REGISTRY/good/tools:mpi",
	} {
		shows, _ := m.run(t, command)
		file, _ := m.run(t, "("+command+") 2>&1 | cat")
		if shows == "" {
			t.Errorf("%s prints nothing", command)
		}
		for line := range strings.Lines(shows) {
			line = strings.TrimRight(line, "\n")
			if n := len([]rune(line)); n > 80 && !regexp.MustCompile(`\S{50}`).MatchString(line) { // a path is not broken
				t.Errorf("%s: this line has %d columns:\n%s", command, n, line)
			}
		}
		if strings.Count(file, "\n") > strings.Count(shows, "\n") {
			t.Errorf("%s prints more lines into a file than on a terminal:\n%s\n%s", command, file, shows)
		}
	}
}

// messages is a directory in which commands are typed.
type messages struct {
	dir    string
	env    []string
	stable *strings.Replacer
}

func newMessages(t *testing.T, variables map[string]string) *messages {
	t.Helper()
	dir := t.TempDir()
	home := filepath.Join(dir, "home")
	err := errors.Join(os.Mkdir(home, 0o755), os.WriteFile(filepath.Join(dir, "site.toml"), nil, 0o644), images.WriteLayouts(dir), writeOdd(dir))
	if err != nil {
		t.Fatal(err)
	}
	m := &messages{dir: dir, env: []string{
		"HOME=" + home, "PATH=" + lab.Programs() + ":/usr/sbin:/usr/bin:/sbin:/bin", "HPC3_CONFIG=" + filepath.Join(dir, "site.toml"), "HPC3_ENGINE=native",
		"TERM=xterm", "LANG=C.UTF-8", "TMPDIR=" + os.TempDir(),
	}}
	nodes, err := filepath.Abs("../nodes")
	if err != nil {
		t.Fatal(err)
	}
	m.env = append(m.env, "NODES="+nodes)
	words := []string{home, "/home/ada", dir, "/scratch", nodes, "/nodes"}
	for name, value := range variables {
		m.env = append(m.env, name+"="+value)
		words = append(words, value, strings.ToLower(name)+".site:5000")
	}
	m.stable = strings.NewReplacer(words...)
	return m
}

// play runs the commands of a transcript, and returns it with what they answer now.
func (m *messages) play(t *testing.T, script string) string {
	t.Helper()
	var now strings.Builder
	lines := strings.SplitAfter(script, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		what, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch what {
		case "?":
			if why := lacking(rest); why != "" {
				t.Log("the rest is left out: " + why)
				return now.String() + strings.Join(lines[i:], "")
			}
			now.WriteString(line)
		case "+":
			if shown, status := m.run(t, rest); status != 0 {
				t.Fatalf("%s: status %d\n%s", rest, status, shown)
			}
			now.WriteString(line)
		case "$":
			shown, status := m.run(t, rest)
			fmt.Fprintf(&now, "%s%s[%d]\n", line, shown, status)
			i += answered(lines[i+1:])
		default: // a comment, or nothing
			now.WriteString(line)
		}
	}
	return now.String()
}

// answered returns how many lines an answer has, which ends with its status.
func answered(lines []string) int {
	for i, line := range lines {
		if len(line) > 2 && strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]\n") && strings.Trim(line, "[]0123456789\n") == "" {
			return i + 1
		}
		if strings.HasPrefix(line, "$ ") || strings.HasPrefix(line, "+ ") {
			break // the next command, before this one was ever run
		}
	}
	return 0
}

func lacking(parts string) string {
	emulators, _ := filepath.Glob("/proc/sys/fs/binfmt_misc/qemu-*") // the pattern is fine
	for part := range strings.SplitSeq(parts, ", ") {
		f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
		if err == nil {
			f.Close()
		}
		switch {
		case slices.Contains(strings.Split(os.Getenv("HPC3_REQUIRE"), ","), part):
		case part == "native" && err != nil:
			return err.Error()
		case part == "root" && os.Getuid() != 0:
			return "this is not root"
		case part == "plain" && len(emulators) > 0:
			return "this machine emulates others"
		}
	}
	return ""
}

// run types a command on a terminal, and returns what stands there in the end and the status.
func (m *messages) run(t *testing.T, command string) (shows string, status int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
	cmd.Dir, cmd.Env = m.dir, m.env
	f, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got bytes.Buffer
	_, _ = got.ReadFrom(f) // EIO: the other side is closed
	_ = cmd.Wait()         // its status is returned
	text := m.stable.Replace(shown(got.String()))
	for _, v := range varying {
		text = v.what.ReplaceAllString(text, v.stable)
	}
	return text, cmd.ProcessState.ExitCode()
}

// varying is what differs between runs and machines, besides names.
var varying = []struct {
	what   *regexp.Regexp
	stable string
}{
	{regexp.MustCompile(`sha256:[0-9a-f]{64}`), "sha256:" + strings.Repeat("0123456789abcdef", 4)},
	{regexp.MustCompile(`this node \([a-z0-9_]+\)`), "this node (zen4)"},
	{regexp.MustCompile(`(fetching and converting \S+) \(.*\)`), "$1 (linux/amd64/v4)"},
	{regexp.MustCompile(`warning: [0-9.]+ MB are`), "warning: 2.0 MB are"},
	{regexp.MustCompile(`starting needs \d+`), "starting needs 100"},
}

// writeOdd writes "shell", a layout with a shell and a program that cannot be executed, and
// "chart", one that holds no image.
func writeOdd(dir string) error {
	busybox, err := os.ReadFile("/usr/bin/busybox")
	if err != nil {
		return err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range []struct {
		name, text string
		mode       int64
	}{{"bin/sh", string(busybox), 0o755}, {"opt/notes.txt", "text\n", 0o644}, {"opt/tool", "#!/usr/bin/python9\n", 0o755}} {
		_ = w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.text)), ModTime: time.Unix(1700000000, 0)}) // to memory
		_, _ = w.Write([]byte(f.text))
	}
	_ = w.Close()
	platform := v1.Platform{OS: "linux", Architecture: "amd64"}
	img, err := images.Small(platform, "text\n")
	if err != nil {
		return err
	}
	shell, err := mutate.AppendLayers(img, static.NewLayer(b.Bytes(), types.OCIUncompressedLayer))
	if err != nil {
		return err
	}
	chart := mutate.ConfigMediaType(img, "application/vnd.cncf.helm.config.v1+json")
	for name, img := range map[string]v1.Image{"shell": shell, "chart": chart} {
		index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &platform}})
		if _, err := layout.Write(filepath.Join(dir, name), index); err != nil {
			return err
		}
	}
	return nil
}

// Each class has a transcript in which it is met several times and nothing is left without advice,
// and stands in README and manual, and in the page that says what to do.
func TestEveryClassHasItsMessages(t *testing.T) {
	classes := regexp.MustCompile(`Class = "([a-z]+)"`).FindAllStringSubmatch(lab.Read(t, "../../launcher/fault/fault.go"), -1)
	if len(classes) < 13 {
		t.Fatalf("there are only the classes %v", classes)
	}
	for _, document := range []string{"../../README.md", "../../etc/man/hpc3-run.1"} {
		_, list, _ := strings.Cut(strings.Join(strings.Fields(lab.Read(t, document)), " "), "CLASS is one of ")
		list, _, _ = strings.Cut(list, ".")
		for _, class := range classes {
			if !slices.Contains(strings.Split(list, ", "), class[1]) {
				t.Errorf("%s does not list the class %s", document, class[1])
			}
		}
	}
	page := strings.ReplaceAll(lab.Read(t, "../../etc/man/hpc3-troubleshooting.7"), `\-`, "-")
	for _, class := range classes {
		if !strings.Contains(page, "\n.B error["+class[1]+"]\n") {
			t.Errorf("hpc3-troubleshooting.7 does not say what to do about %s", class[1])
		}
		file := "testdata/messages/" + class[1] + ".txt"
		text := lab.Read(t, file)
		if n := strings.Count(text, ": error["+class[1]+"]: "); n < 3 {
			t.Errorf("%s shows the class %d times", file, n)
		}
		for _, answer := range regexp.MustCompile(`(?m)^\[\d+\]$`).Split(text, -1) {
			if excused := strings.Contains(answer, "# no hint: "); strings.Contains(answer, ": error[") && strings.Contains(answer, ": hint: ") == excused {
				t.Errorf("%s: a hint where none is needed, or none where it is:\n%s", file, answer)
			}
		}
	}
}
