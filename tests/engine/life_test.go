package engine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/hpc3-project/hpc3/tests/internal/images"
	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// TestTransports runs the same image from every place that an image can be in.
func TestTransports(t *testing.T) {
	lab.Needs(t, "apptainer", os.Getuid() == 0, "the lab needs root")
	lab.Needs(t, "apptainer", !testing.Short(), "the lab is not built by a short run")
	l := lab.New(t)
	source := lab.Script(t, "login-image")
	lab.CopyTo(t, source, filepath.Join(l.Work, "layout"))
	if out, err := exec.Command("tar", "-C", source, "-cf", filepath.Join(l.Work, "layout.tar"), ".").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	saveDocker(t, source, filepath.Join(l.Work, "docker.tar"))
	p := lab.Persons()[0]
	pull := l.Command(p, "native", "hpc3", "pull", "-q", "oci:/lab/layout", "-o", "login.sif")
	if out, err := pull.CombinedOutput(); err != nil {
		t.Fatalf("hpc3 pull -o: %v\n%s", err, out)
	}
	for _, image := range []string{"oci:/lab/layout", "oci-archive:/lab/layout.tar", "docker-archive:/lab/docker.tar", "docker-archive:/lab/docker.tar:1", "sif:login.sif", "./login.sif", l.Image, "docker://" + l.Image} {
		for _, engine := range p.Engines {
			t.Run(image+" through "+engine, func(t *testing.T) {
				for range 2 { // the second from the cache
					stdout, stderr, status := l.Run(p, engine, image, "hello")
					if stdout != "hello from /opt/app\n" || status != 0 {
						t.Errorf("hpc3-run %s hello = %q, status %d; stderr:\n%s", image, stdout, status, stderr)
					}
				}
			})
		}
	}
}

// saveDocker writes the first image of a layout as docker save does.
func saveDocker(t *testing.T, from, file string) {
	t.Helper()
	tag, err := name.NewTag("example.org/login:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(file, tag, images.First(t, from)); err != nil {
		t.Fatal(err)
	}
}

// TestLife is about what hpc3-run is while the command runs, and what is left of it.
func TestLife(t *testing.T) {
	lab.Needs(t, "native", os.Getuid() == 0, "the lab needs root")
	lab.Needs(t, "native", !testing.Short(), "the lab is not built by a short run")
	l := lab.New(t)
	for _, p := range lab.Persons() {
		t.Run(p.Name, func(t *testing.T) {
			if _, stderr, status := l.Run(p, "native", l.Image, "true"); status != 0 {
				t.Fatalf("hpc3-run true: status %d\n%s", status, stderr)
			}
			t.Run("the command has the pid of hpc3-run", func(t *testing.T) {
				out, err := l.Command(p, "native", "sh", "-c", `echo $$; exec hpc3-run -q "$0" sh -c 'echo $$'`, l.Image).Output()
				if lines := strings.Fields(string(out)); err != nil || len(lines) != 2 || lines[0] != lines[1] {
					t.Errorf("the pids of hpc3-run and its command are %q, %v", lines, err)
				}
			})
			t.Run("it has no child that it did not make", func(t *testing.T) {
				stdout, stderr, _ := l.Run(p, "native", l.Image, "sh", "-c", "cat /proc/$$/task/$$/children")
				if len(strings.Fields(stdout)) != 1 { // cat itself
					t.Errorf("the command has the children %q; stderr:\n%s", stdout, stderr)
				}
			})
			t.Run("a pipe ends with it", func(t *testing.T) {
				out, err := l.Command(p, "native", "sh", "-c", `hpc3-run -q "$0" echo done | cat`, l.Image).Output()
				if err != nil || string(out) != "done\n" {
					t.Errorf("got %q, %v", out, err)
				}
			})
			t.Run("descriptors are the caller's", func(t *testing.T) {
				const list = `exec 7</etc/hostname; exec "$@" sh -c 'ls /proc/$$/fd'`
				want, err := l.Command(p, "native", "sh", "-c", list, "sh", "env").Output()
				if err != nil || !strings.Contains(string(want), "7\n") {
					t.Fatalf("without hpc3-run: %q, %v", want, err)
				}
				got, err := l.Command(p, "native", "sh", "-c", list, "sh", "hpc3-run", "-q", l.Image).Output()
				if err != nil || string(got) != string(want) {
					t.Errorf("the command has the descriptors %q, %v; without hpc3-run it has %q", got, err, want)
				}
			})
			t.Run("the lowest limits that it takes", func(t *testing.T) {
				// hpc3-run says itself what it needs.
				cmd := l.Command(p, "native", "bash", "-c", `need() { (ulimit "$1" "$2" && exec hpc3-run 2>&1) | sed 's/.*needs \([0-9]*\).*/\1/'; }
					memory=$(need -v 90000) files=$(need -n 5)
					ulimit -v $memory; ulimit -n $files; hpc3-run -q "$0" echo started; HPC3_CACHEDIR=$(mktemp -d) hpc3-run -q "$0" echo converted`, l.Image)
				if out, err := cmd.CombinedOutput(); err != nil || string(out) != "started\nconverted\n" {
					t.Errorf("got %q, %v", out, err)
				}
			})
			t.Run("bytes that are no text", func(t *testing.T) {
				stdout, _, _ := l.Run(p, "native", l.Image, "printf", "%s", "\xff\xfe \x01")
				if stdout != "\xff\xfe \x01" {
					t.Errorf("the command printed %q", stdout)
				}
			})
			for _, victim := range []string{"sleep 1234", "hpc3:serve"} {
				t.Run("kill -9 of "+victim+" leaves nothing", func(t *testing.T) { kill(t, l, p, victim) })
			}
			lab.WaitFor(t, "the last file server to end", func() bool { return len(servers(l, p)) == 0 })
		})
	}
}

// kill starts a command, kills a process of it and waits until nothing of either is left.
func kill(t *testing.T, l *lab.Lab, p lab.Person, victim string) {
	seconds := ownSeconds(1234)
	commands := func() []int { return lab.Processes("sleep\x00" + seconds) }
	started := filepath.Join(l.Work, l.Home(p), "started")
	_ = os.Remove(started) // of the case before
	cmd := l.Command(p, "native", "hpc3-run", "-q", l.Image, "sh", "-c", "touch started; exec sleep "+seconds)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lab.WaitFor(t, "the command to start", func() bool { _, err := os.Stat(started); return err == nil && len(commands()) > 0 })
	victims := servers(l, p)
	if victim != "hpc3:serve" {
		victims = commands()
	}
	for _, pid := range victims {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	for _, pid := range commands() { // where the server was killed the command goes on, without files
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
	}
	_ = cmd.Wait() // it was killed
	lab.WaitFor(t, "every process to end", func() bool { return len(commands()) == 0 && len(servers(l, p)) == 0 })
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || bytes.Contains(mounts, []byte("fuse.hpc3")) {
		t.Errorf("a mount is left (%v):\n%s", err, mounts)
	}
}

// ownSeconds is a time for sleep(1) by which the processes of this run of the tests are told from
// others.
func ownSeconds(whole int) string { return fmt.Sprintf("%d.%d", whole, os.Getpid()) }

// TestKilledApptainerLeavesNothing kills what hpc3-run has become through Apptainer, which has a
// file server for the image.
func TestKilledApptainerLeavesNothing(t *testing.T) {
	lab.Needs(t, "apptainer", os.Getuid() == 0, "the lab needs root")
	lab.Needs(t, "apptainer", !testing.Short(), "the lab is not built by a short run")
	l := lab.New(t)
	p := lab.Persons()[0]
	seconds := ownSeconds(4321)
	cmd := l.Command(p, "apptainer", "hpc3-run", "-q", l.Image, "sleep", seconds)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var left []string
	lab.WaitFor(t, "the command to start", func() bool {
		commands := lab.Processes("sleep\x00" + seconds)
		if len(commands) != 1 {
			return false
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", commands[0]))
		if err != nil {
			return false
		}
		parent := strings.Fields(string(stat))[3]
		lists, _ := filepath.Glob("/proc/" + parent + "/task/*/children") // the pattern is fine
		left = []string{parent}
		for _, list := range lists {
			children, err := os.ReadFile(list)
			if err != nil {
				return false
			}
			left = append(left, strings.Fields(string(children))...)
		}
		return slices.ContainsFunc(left, isFileServer)
	})
	first, err := strconv.Atoi(left[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // it was killed
	lab.WaitFor(t, "every process to end", func() bool {
		return !slices.ContainsFunc(left, func(pid string) bool {
			words, err := os.ReadFile("/proc/" + pid + "/cmdline")
			return err == nil && len(words) > 0 // a zombie has none
		})
	})
}

// isFileServer tells whether a process serves an image to Apptainer.
func isFileServer(pid string) bool {
	name, err := os.ReadFile("/proc/" + pid + "/comm")
	return err == nil && string(name) == "squashfuse_ll\n"
}

// servers returns the file servers of a person, told by the SIF that they hold: other tests may run
// some at the same time.
func servers(l *lab.Lab, p lab.Person) []int {
	return slices.DeleteFunc(lab.Processes("hpc3:serve"), func(pid int) bool {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid)) // the pattern is fine
		return !slices.ContainsFunc(files, func(file string) bool {
			info, err := os.Stat(file)
			return err == nil && slices.ContainsFunc(l.SIFs(p), func(sif string) bool {
				own, err := os.Stat(sif)
				return err == nil && os.SameFile(info, own)
			})
		})
	})
}

// TestGCSparesWhatRuns clears a cache to nothing while a command runs out of it. What has just
// ended goes at once.
func TestGCSparesWhatRuns(t *testing.T) {
	lab.Needs(t, "apptainer", os.Getuid() == 0, "the lab needs root")
	lab.Needs(t, "apptainer", !testing.Short(), "the lab is not built by a short run")
	l := lab.New(t)
	p := lab.Persons()[0]
	for _, engine := range p.Engines {
		t.Run(engine, func(t *testing.T) {
			started := filepath.Join(l.Work, l.Home(p), "started")
			_ = os.Remove(started) // of the engine before
			cmd := l.Command(p, engine, "hpc3-run", "-q", l.Image, "sh", "-c", "touch started; read line; ls /usr/share/zoneinfo /usr/lib >/dev/null && cat /etc/os-release")
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			var out, errs bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &errs
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lab.WaitFor(t, "the command to start", func() bool { _, err := os.Stat(started); return err == nil })
			sifs := l.SIFs(p)
			if len(sifs) != 1 {
				t.Fatalf("the cache holds %q", sifs)
			}
			// gc asks the processes of its own node, so it enters the lab's root next to the
			// command, whose processes it can see there.
			gc := func(words ...string) string {
				t.Helper()
				said, _ := l.Command(p, engine, append([]string{"hpc3", "cache"}, words...)...).CombinedOutput() // rm says no where it keeps something
				return string(said)
			}
			for _, words := range [][]string{{"gc", "--max-size", "0", "--max-age", "0"}, {"rm", "--all"}} {
				said := gc(words...)
				if _, err := os.Stat(sifs[0]); err != nil || !strings.Contains(said, "kept: ") || !strings.Contains(said, "it is in use on this node") {
					t.Errorf("%v; %v said %s", err, words, said)
				}
			}
			if f, err := os.Open(sifs[0]); err != nil || !errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK) {
				t.Errorf("nobody has locked the SIF of a running command, which others may not see: %v", err)
			}
			if _, err := stdin.Write([]byte("go on\n")); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), "bookworm") {
				t.Errorf("the command ended with %v, %q; stderr %s", err, out.String(), errs.String())
			}
			lab.WaitFor(t, "the last process to let go of the SIF", func() bool { gc("rm", "--all"); _, err := os.Stat(sifs[0]); return err != nil })
		})
	}
}
