// Package lab has what the tests of several folders share: the programs as make builds them, the
// real parts that the scripts of tests/lab make, and a lab in which an image is run.
package lab

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Lab is where programs really run: a Debian root that holds Apptainer, entered by a private mount
// namespace, the image of tests/lab/login-image in Debian's registry, and a user that that image
// does not know.
type Lab struct {
	Root  string // the Debian root
	Image string // in a registry
	Work  string // /lab in the root

	t *testing.T
}

// Person is the user that starts the command. An engine that cannot serve them is not tried.
type Person struct {
	Name    string
	UID     int
	Engines []string
}

// Persons are the users that most tests of an engine run for.
func Persons() []Person {
	return []Person{
		{"a user whom only the node knows", 4242, []string{"native", "apptainer"}},
		{"a user whom nobody knows", 54321, []string{"native"}},
		{"root", 0, []string{"native", "apptainer"}},
	}
}

// New makes a lab with an image in a registry of its own.
func New(t *testing.T) *Lab {
	t.Helper()
	l := In(t, Script(t, "sid-root"), "")
	l.Image = Serve(t, Script(t, "login-image"), filepath.Join(l.Work, "registry"))
	return l
}

// In makes a lab in a root, with an image that is there.
func In(t *testing.T, root, image string) *Lab {
	t.Helper()
	l := &Lab{Root: root, Image: image, Work: t.TempDir(), t: t}
	if err := os.Chmod(l.Work, 0o755); err != nil {
		t.Fatal(err)
	}
	return l
}

// Needs skips a test, with a reason, if a part of the lab is missing; if HPC3_REQUIRE names the
// part it fails.
func Needs(t *testing.T, part string, have bool, why string) {
	t.Helper()
	if have {
		return
	}
	if slices.Contains(strings.Split(os.Getenv("HPC3_REQUIRE"), ","), part) {
		t.Fatal(why)
	}
	t.Skip(why)
}

// Script runs a script of tests/lab and returns the last line it prints, which is a path.
func Script(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command("../lab/"+name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tests/lab/%s: %v\n%s%s", name, err, out, stderr.Bytes())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

// Command is a command in the lab, as a person with a home and a cache of their own. Its status
// tells a signal.
func (l *Lab) Command(p Person, engine string, args ...string) *exec.Cmd {
	home := "/lab/" + l.Home(p)
	enter := []string{
		l.Root, "--user", fmt.Sprint(p.UID), "--bind", Programs() + ":/opt/hpc3/bin", "--bind",
		l.Work + ":/lab", "--",
		"env", "-i", "PATH=/opt/hpc3/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=" + home,
		"TERM=xterm",
		"LANG=C.UTF-8", "HPC3_ENGINE=" + engine,
		"sh", "-c", `cd "$HOME" && "$@"; exit $?`, "sh",
	} // a shell in between turns a signal into a status
	return exec.Command("../lab/enter", append(enter, args...)...)
}

// Run runs hpc3-run and returns what it wrote and its status.
func (l *Lab) Run(p Person, engine string, args ...string) (stdout, stderr string, status int) {
	cmd := l.Command(p, engine, append([]string{"hpc3-run", "-q"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Stdin = strings.NewReader("standard input\n")
	_ = cmd.Run() // the status is looked at by the caller
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// Home makes a person's home directory, and returns its name in Work.
func (l *Lab) Home(p Person) string {
	dir := "home-" + fmt.Sprint(p.UID)
	path := filepath.Join(l.Work, dir)
	if err := os.MkdirAll(path, 0o700); err != nil {
		l.t.Fatal(err)
	}
	if err := os.Chown(path, p.UID, p.UID); err != nil {
		l.t.Fatal(err)
	}
	return dir
}

// SIFs returns the SIFs in a person's cache.
func (l *Lab) SIFs(p Person) []string {
	found, err := filepath.Glob(filepath.Join(l.Work, l.Home(p), ".cache/hpc3/sif/*/*.sif"))
	if err != nil {
		l.t.Fatal(err)
	}
	return found
}

// Stages are the beginnings of what -v tells of an ordinary start: the road, in six lines.
func Stages() []string {
	return []string{"node: ", "index: ", "choice: ", "image: ", "engine: ", "container: "}
}
