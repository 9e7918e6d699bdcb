package trust

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/hpc3-project/hpc3/tests/internal/images"
	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// making are the system calls that make a file, or change which one a name stands for. A "?" is for
// those that only some architectures have.
const making = "?creat,?open,openat,openat2,?mkdir,mkdirat,?symlink,symlinkat,?link,linkat,?rename,?renameat,renameat2,?mknod,mknodat,truncate,?chmod,fchmodat,?chown,?lchown,fchownat,?unlink,unlinkat,?rmdir"

var (
	tracedCall = regexp.MustCompile(`^(\w+)\((.*)\) += (\S+)`)
	tracedPath = regexp.MustCompile(`(?:(AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"`)
	newMounts  = regexp.MustCompile(`^(?:unshare|clone3?)\(.*CLONE_NEWNS.*\) += (\d+)`)
	newProcess = regexp.MustCompile(`^(?:clone3?|v?fork)\(.*\) += (\d+)`)
)

// openDir is a temporary directory that other users can enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hpc3-open-") // the name of a test may have what a mount's options cannot
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// nobody is the uid of an ordinary user that every node knows.
const nobody = 65534

// giveTo has a user own a directory and all that is in it.
func giveTo(t *testing.T, dir string, uid int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, uid, uid))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// fakeApptainer is a directory with an Apptainer that starts, and runs nothing.
func fakeApptainer(t *testing.T) string {
	t.Helper()
	dir := openDir(t)
	if err := os.WriteFile(filepath.Join(dir, "apptainer"), []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// asUser has a command run as an ordinary user, with nothing but this environment.
func asUser(cmd *exec.Cmd, uid uint32, env ...string) *exec.Cmd {
	cmd.Env = env
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	return cmd
}

// traced runs a command, or tries to run one that the image lacks, and returns what it and its
// children made outside of mount namespaces of their own, a line each.
func traced(t *testing.T, cmd *exec.Cmd) []string {
	t.Helper()
	strace, err := exec.LookPath("strace")
	lab.Needs(t, "native", err == nil, "strace is not installed")
	dir := openDir(t)
	if err := os.Chmod(dir, 0o777); err != nil { // strace is the command's user
		t.Fatal(err)
	}
	cmd.Args = append([]string{strace, "-ff", "-y", "-qq", "-s", "4096", "-o", dir + "/t", "-e", "trace=" + making + ",?clone,?clone3,?fork,?vfork,unshare", "--", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = strace
	if out, err := cmd.CombinedOutput(); err != nil && !strings.Contains(string(out), "no such command in the image") {
		t.Errorf("%v: %v\n%s", cmd.Args, err, out)
	}
	files, err := filepath.Glob(dir + "/t.*")
	if err != nil || len(files) == 0 {
		t.Fatalf("strace wrote nothing: %v", err)
	}
	lines := map[string][]string{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines[strings.TrimPrefix(filepath.Ext(file), ".")] = strings.Split(string(raw), "\n")
	}
	return outside(lines)
}

// outside leaves out what processes did that have, or whose parents have, mounts of their own.
func outside(lines map[string][]string) []string {
	private := map[string]bool{}
	var made []string
	for changed := true; changed; {
		changed, made = false, nil
		for pid, calls := range lines {
			hidden := private[pid]
			for _, call := range calls {
				if m := newMounts.FindStringSubmatch(call); m != nil {
					hidden = hidden || strings.HasPrefix(call, "unshare")
					if child := m[1]; child != "0" && !private[child] {
						private[child], changed = true, true
					}
				}
				if m := newProcess.FindStringSubmatch(call); m != nil && hidden && !private[m[1]] {
					private[m[1]], changed = true, true
				}
				if !hidden && makes(call) {
					made = append(made, call)
				}
			}
		}
	}
	return made
}

func makes(call string) bool {
	m := tracedCall.FindStringSubmatch(call)
	switch {
	case m == nil || m[1] == "unshare" || strings.HasPrefix(m[1], "clone") || strings.HasSuffix(m[1], "fork"):
		return false
	case strings.HasPrefix(m[1], "open"):
		return strings.Contains(m[2], "O_CREAT") || strings.Contains(m[2], "O_TRUNC")
	}
	return true
}

// loose returns the calls that name a file by more than a name in a directory below dir that is
// open, but for those that make dir itself, and those on a path that is allowed.
func loose(calls []string, dir string, allowed func(path string) bool) (found []string) {
	for _, call := range calls {
		for _, m := range tracedPath.FindAllStringSubmatch(call, -1) {
			base, open, name := m[1], m[2], m[3]
			switch {
			case base != "" && base != "AT_FDCWD" && !strings.Contains(name, "/") && (open == dir || strings.HasPrefix(open, dir+"/")):
			case strings.HasPrefix(call, "mkdir") && (name == dir || strings.HasPrefix(dir, name+"/")):
			case allowed(name):
			default:
				found = append(found, call)
			}
		}
	}
	return found
}

// TestCreations walks all that is made while images are fetched, converted, looked at and run:
// everything goes through directories that are open, whose owner was checked, so that no other user
// can lead a write elsewhere by a link.
func TestCreations(t *testing.T) {
	lab.Needs(t, "native", os.Getuid() == 0, "tracing another user needs root")
	work := openDir(t)
	if err := images.WriteLayouts(work); err != nil {
		t.Fatal(err)
	}
	fake := fakeApptainer(t)
	giveTo(t, work, nobody)
	saved := filepath.Join(work, "saved.sif")
	image := "oci:" + filepath.Join(work, "layout")
	for _, args := range [][]string{
		{"hpc3", "pull", image},
		{"hpc3", "pull", "--all-variants", image},
		{"hpc3", "pull", "-o", saved, image},
		{"hpc3", "explain", image},
		{"hpc3", "doctor"},
		{"hpc3", "cache", "verify", "--repair"},
		{"hpc3-run", "--engine", "native", "--container-entrypoint", "none", image, "/nothing"},
		{"hpc3-run", "--engine", "native", "--container-writable", "--container-entrypoint", "none", image, "/nothing"},
		{"hpc3-run", "--engine", "apptainer", image, "/nothing"},
		{"hpc3", "cache", "gc", "--max-size", "1"},
	} {
		t.Run(strings.ReplaceAll(strings.Join(args, " "), work, ""), func(t *testing.T) {
			uid := uint32(nobody)
			if strings.Contains(t.Name(), "native") {
				uid = 0 // whom /dev/fuse is open to
			}
			cache := filepath.Join(work, "cache-"+strconv.Itoa(int(uid)))
			cmd := exec.Command(filepath.Join(lab.Programs(), args[0]), args[1:]...)
			calls := traced(t, asUser(cmd, uid, "PATH="+fake+":/usr/bin:/bin", "HOME="+work, "HPC3_CACHEDIR="+cache, "HPC3_CONFIG=/dev/null"))
			bad := loose(calls, cache, func(path string) bool {
				return path == saved || filepath.Dir(path) == work && strings.HasPrefix(filepath.Base(path), ".hpc3-") && args[2] == "-o"
			})
			for _, call := range bad {
				t.Errorf("made by a path, not in a directory that was checked: %s", call)
			}
			if args[1] == "pull" && len(calls) == 0 {
				t.Error("the trace shows nothing that was made")
			}
		})
	}
	if found, err := filepath.Glob(filepath.Join(work, "cache-65534", "answers", "engine-*")); err != nil || len(found) != 1 {
		t.Errorf("the answers %q are kept, %v; want that on Apptainer", found, err)
	}
}

// TestNothingIsWrittenThroughLinks has a TMPDIR that belongs to another user, who put links where
// hpc3 writes.
func TestNothingIsWrittenThroughLinks(t *testing.T) {
	lab.Needs(t, "native", os.Getuid() == 0, "two users need root")
	work := openDir(t)
	if err := images.WriteLayouts(work); err != nil {
		t.Fatal(err)
	}
	tmp, victim := filepath.Join(work, "tmp"), filepath.Join(work, "victim")
	for dir, uid := range map[string]int{tmp: 4243, victim: nobody} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(tmp, "hpc3-65534")
	if err := os.Symlink(victim, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(link, 4243, 4243); err != nil {
		t.Fatal(err)
	}
	fake := fakeApptainer(t)
	for _, args := range [][]string{
		{"hpc3-run", "--engine", "apptainer", "oci:layout", "true"},
		{"hpc3-run", "oci:layout", "true"},
		{"hpc3", "pull", "oci:layout"},
		{"hpc3", "probe"},
		{"hpc3", "doctor"},
	} {
		cmd := exec.Command(filepath.Join(lab.Programs(), args[0]), args[1:]...)
		cmd.Dir = work
		asUser(cmd, nobody, "PATH="+fake+":/usr/bin:/bin", "HOME=/nonexistent", "TMPDIR="+tmp, "HPC3_CONFIG=/dev/null")
		out, err := cmd.CombinedOutput()
		if (err == nil) != (args[1] == "probe") {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
		if args[1] != "probe" && !strings.Contains(string(out), "it is a symbolic link of another user (uid 4243)") {
			t.Errorf("%v does not say why:\n%s", args, out)
		}
		left, err := os.ReadDir(victim)
		if err != nil || len(left) > 0 {
			t.Errorf("%v wrote %v through the link (%v)", args, left, err)
		}
	}
}
