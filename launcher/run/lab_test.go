package run_test

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/run"
	"github.com/hpc3-project/hpc3/launcher/run/apptainer"
	"github.com/hpc3-project/hpc3/launcher/run/inside"
	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// lab is what the tests of the native engine need: a program that executes plans, test images, and
// a /dev/fuse for everyone.
type lab struct {
	dir     string // readable for everyone
	program string
	bash    string // images: with bash
	sh      string // with a plain shell only
	ash     string // with that of busybox
	bare    string // with a static program only
	whyNot  string // why the engine cannot be tested here
}

// who starts a command.
type who struct {
	name string
	uid  int
}

var (
	root    = who{"root", 0}
	unknown = who{"unknown", 54321} // neither the node nor an image knows this user
	callers = []who{unknown, root}
	theLab  *lab
)

// limit ends what hangs.
const limit = time.Minute

func TestMain(m *testing.M) {
	if status, handled := run.Reenter(os.Args); handled {
		os.Exit(status)
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "hpc3-run-test")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		theLab = newLab(dir)
		return m.Run()
	}())
}

func newLab(dir string) *lab {
	l := &lab{dir: dir, program: filepath.Join(dir, "planrun")}
	if os.Getuid() != 0 {
		l.whyNot = "the tests of the native engine need root, to become other users"
		return l
	}
	if err := l.build(); err != nil {
		l.whyNot = err.Error()
	}
	return l
}

func (l *lab) build() error {
	if err := os.Chmod(l.dir, 0o755); err != nil {
		return err
	}
	show := filepath.Join(l.dir, "show")
	for _, b := range [][]string{{l.program, "-E github.com/hpc3-project/hpc3/launcher/run/native.entry", "./testdata/planrun"}, {show, "", "./testdata/show"}} {
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w "+b[1], "-o", b[0], b[2])
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w: %s", b[2], err, out)
		}
	}
	fuse := filepath.Join(l.dir, "fuse")
	if err := syscall.Mknod(fuse, syscall.S_IFCHR|0o666, 10<<8|229); err != nil {
		return fmt.Errorf("making a device file for FUSE: %w", err)
	}
	if err := os.Chmod(fuse, 0o666); err != nil {
		return err
	}
	f, err := os.OpenFile(fuse, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("opening FUSE: %w", err)
	}
	f.Close()
	return l.images(show)
}

func (l *lab) images(show string) error {
	common := tree{"usr/bin/show": host(show), "etc/passwd": text("root:x:0:0:root:/root:/bin/bash\nubuntu:x:4242:4242::/home/ubuntu:/bin/bash"), "etc/group": text("root:x:0:\n")}
	tools := tree{
		"etc/profile":           text("PATH=/usr/local/bin:/usr/bin:/bin\nexport PATH PROFILE_RAN=yes\nfor f in /etc/profile.d/*.sh; do . $f; done\n"),
		"etc/profile.d/site.sh": text("export SITE_RAN=yes\n"), "opt/app/bin/app": program("#!/bin/sh\necho app here\n"),
		"opt/app/bin/plain": text("#!/bin/sh\n"), "usr/bin/plain2": text("#!/bin/sh\n"), "usr/bin/badscript": program("#!/no/such/interpreter\n"), "usr/bin/wrongarch": program("\x7fELF\x02\x01\x01\x00garbage"),
		"bin": link("usr/bin"), "lib": link("usr/lib"), "lib64": link("usr/lib64"), "sbin": link("usr/bin"), "var/run": link("/run"), "run/keep": text(""),
		"etc/resolv.conf": link("../run/systemd/resolve/stub-resolv.conf"), "etc/hosts": link("/tmp/no/hosts"), "escape": link("../../../../opt"), "toroot": link("/"), "loop": link("loop"), "secret": private("only root\n"), "dev/null": null(), "srv/null": null(),
		"srv/left/over": {mode: 0o644, gone: true},
	}
	for _, p := range []string{"cat", "ls", "env", "id", "whoami", "sleep", "stat", "touch", "mkdir", "rm", "mv", "ln", "readlink", "grep", "stty", "dd", "tr", "chmod", "unshare", "mount", "umount"} {
		tools["usr/bin/"+p] = host("")
	}
	tools["usr/bin/suid-id"] = file{from: "/usr/bin/id", mode: 0o6755, copied: true}
	if err := l.image(&l.bash, "bash.sqfs", common, tools, tree{"usr/bin/bash": host(""), "usr/bin/sh": host("/usr/bin/dash")}); err != nil {
		return err
	}
	if err := l.image(&l.sh, "sh.sqfs", common, tools, tree{"usr/bin/sh": host("/usr/bin/dash")}); err != nil {
		return err
	}
	if busybox, err := exec.LookPath("busybox"); err == nil {
		if err := l.image(&l.ash, "ash.sqfs", common, tools, tree{"usr/bin/sh": host(busybox)}); err != nil {
			return err
		}
	}
	return l.image(&l.bare, "bare.sqfs", common)
}

// tree is the content of an image by path.
type tree map[string]file

// file is a file, or with a target a symlink, of an image; from is a file of this machine, "" the
// one of the same path.
type file struct {
	content, from, target string
	mode                  uint32
	copied, device        bool
	gone                  bool // by attributes that an overlay has left in the image
	owner                 uint32
	xattr, twin           string // the value of user.hpc3, and a second name in the same directory
}

func text(s string) file    { return file{content: s, mode: 0o644} }
func private(s string) file { return file{content: s, mode: 0o600} }
func program(s string) file { return file{content: s, mode: 0o755} }
func link(to string) file   { return file{target: to, mode: 0o777} }
func null() file            { return file{mode: 0o666, device: true} } // as /dev/null
func host(path string) file { return file{from: path, mode: 0o755, copied: true} }

// offset is where the images' file systems begin, to test that it is heeded.
const offset = 8192

func (l *lab) image(path *string, name string, trees ...tree) error {
	all := tree{}
	for _, t := range trees {
		for p, f := range t {
			if f.copied && f.from == "" {
				f.from = "/" + p
			}
			all[p] = f
			if !f.copied {
				continue
			}
			libs, err := libraries(f.from)
			if err != nil {
				return err
			}
			for _, lib := range libs {
				if strings.HasPrefix(lib, "/lib") {
					lib = "/usr" + lib
				}
				all[strings.TrimPrefix(lib, "/")] = host(lib)
			}
		}
	}
	*path = filepath.Join(l.dir, name)
	return all.write(*path)
}

// libraries returns what a program is linked with, its loader included.
func libraries(program string) ([]string, error) {
	out, err := exec.Command("ldd", program).Output()
	if err != nil && len(out) == 0 {
		return nil, nil // static
	}
	var libs []string
	for word := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(word, "/") {
			libs = append(libs, word)
		}
	}
	return libs, nil
}

func (t tree) write(path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Seek(offset, 0); err != nil {
		return err
	}
	w, err := squashfs.NewWriter(f, squashfs.Options{})
	if err != nil {
		return err
	}
	defer w.Close()
	top := newDir()
	for p, entry := range t {
		dir := top
		parts := strings.Split(p, "/")
		for _, name := range parts[:len(parts)-1] {
			if dir.Entries[name] == nil {
				dir.Entries[name] = newDir()
			}
			dir = dir.Entries[name].(*squashfs.Dir)
		}
		if entry.gone {
			dir.Xattrs = []squashfs.Xattr{{Name: "user.overlay.opaque", Value: []byte("x")}}
		}
		node, err := entry.add(w)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		dir.Entries[parts[len(parts)-1]] = node
		if entry.twin != "" {
			dir.Entries[entry.twin] = node
		}
	}
	if _, err = w.Finish(top); err != nil {
		return err
	}
	if _, err := f.Write(w.Sums()); err != nil { // behind it
		return err
	}
	return f.Chmod(0o644)
}

func newDir() *squashfs.Dir {
	return &squashfs.Dir{Meta: squashfs.Meta{Mode: 0o755}, Entries: map[string]squashfs.Node{}}
}

func (f file) add(w *squashfs.Writer) (squashfs.Node, error) {
	m := squashfs.Meta{Mode: f.mode, UID: f.owner, GID: f.owner}
	if f.xattr != "" {
		m.Xattrs = []squashfs.Xattr{{Name: "user.hpc3", Value: []byte(f.xattr)}}
	}
	if f.gone {
		m.Xattrs = []squashfs.Xattr{{Name: "user.overlay.whiteout", Value: []byte("y")}}
	}
	if f.target != "" {
		return w.Symlink(m, f.target), nil
	}
	if f.device {
		return w.Special(m, squashfs.CharDevice, 1, 3), nil
	}
	raw := []byte(f.content)
	if f.copied {
		var err error
		if raw, err = os.ReadFile(f.from); err != nil {
			return nil, err
		}
	}
	return w.File(m, int64(len(raw)), bytes.NewReader(raw))
}

// need skips a test that cannot run here, or fails it where HPC3_REQUIRE says that it must.
func need(t *testing.T) *lab {
	t.Helper()
	if theLab.whyNot == "" {
		return theLab
	}
	if slices.Contains(strings.Split(os.Getenv("HPC3_REQUIRE"), ","), "native") {
		t.Fatal(theLab.whyNot)
	}
	t.Skip(theLab.whyNot)
	return nil
}

// flatPlan holds those fields of a plan that tests set.
type flatPlan struct {
	SIF                           string
	Cached, HasConfig             bool
	Sums                          inside.Checksums
	Aside                         inside.Aside
	Config                        oci.Config
	Engine                        option.Engine
	SquashFS                      option.SquashFS
	Apptainer                     string
	Entrypoint                    option.Entrypoint
	Dotfiles, CleanEnv, KeepPrivs bool
	Workdir                       string
	SetEnv                        []string
	Mounts                        []option.Mount
	MountHome, Writable, Alone    bool
	Places                        []string
	CUDACompat                    string
	Parent                        int
}

// parts are those of a run.Plan that planrun reads.
func (p flatPlan) parts() any {
	share := inside.ShareByEngine
	if p.Alone {
		share = inside.ShareNever
	}
	return struct {
		Image     inside.Image
		Command   inside.Command
		Place     inside.Place
		Engine    option.Engine
		SquashFS  option.SquashFS
		Apptainer apptainer.Program
	}{
		inside.Image{SIF: p.SIF, Cached: p.Cached, Offset: offset, Sums: p.Sums, Aside: p.Aside, Config: p.Config, HasConfig: p.HasConfig, CUDACompat: p.CUDACompat},
		inside.Command{Entrypoint: p.Entrypoint, Dotfiles: p.Dotfiles, CleanEnv: p.CleanEnv, KeepPrivs: p.KeepPrivs, Workdir: p.Workdir, SetEnv: p.SetEnv, Parent: p.Parent},
		inside.Place{Mounts: p.Mounts, MountHome: p.MountHome, Writable: p.Writable, Extra: p.Places, Share: share},
		p.Engine, p.SquashFS,
		apptainer.Program{Path: p.Apptainer},
	}
}

// start is how a test starts a command.
type start struct {
	who
	plan    flatPlan
	command []string
	env     []string // HOME and PATH if empty
	dir     string   // "/" if empty
	stdin   string
	before  string // shell commands, run as root in the mount namespace of the test
	limits  string // shell commands, run as the user
}

// cmd returns the command that starts it. Its pid is the pid of the command in the container.
func (l *lab) cmd(t *testing.T, s start) *exec.Cmd {
	t.Helper()
	if s.plan.SIF == "" {
		s.plan.SIF = l.bash
	}
	if s.plan.Engine == "" {
		s.plan.Engine = option.Native
	}
	if s.plan.Entrypoint == "" {
		s.plan.Entrypoint = option.Login
	}
	var raw bytes.Buffer
	if err := gob.NewEncoder(&raw).Encode(s.plan.parts()); err != nil {
		t.Fatal(err)
	}
	plan := filepath.Join(shared(t), "plan")
	if err := os.WriteFile(plan, raw.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	script := `mount --bind "$1" /dev/fuse; shift; ` + s.before + "\n" + `exec "$@"`
	words := []string{"--mount", "--propagation", "private", "--", "/bin/bash", "-e", "-c", script, "sh", filepath.Join(l.dir, "fuse")}
	if s.uid != 0 {
		id := fmt.Sprint(s.uid)
		words = append(words, "setpriv", "--reuid", id, "--regid", id, "--clear-groups", "--")
	}
	if s.limits != "" {
		words = append(words, "/bin/bash", "-c", s.limits+"\n"+`exec "$@"`, "sh")
	}
	words = append(append(words, l.program, plan), s.command...)
	cmd := exec.CommandContext(t.Context(), "unshare", words...)
	cmd.Env = s.env
	if s.env == nil {
		cmd.Env = []string{"HOME=/nonexistent", "PATH=/usr/bin:/bin"}
	}
	cmd.Dir = s.dir
	if s.dir == "" {
		cmd.Dir = "/"
	}
	cmd.Stdin = strings.NewReader(s.stdin)
	cmd.WaitDelay = limit
	return cmd
}

// shared makes a directory for a test that everyone can enter.
func shared(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(theLab.dir, "t")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// result is what a command left.
type result struct {
	status         int // 128+N for a signal
	stdout, stderr string
}

func (l *lab) run(t *testing.T, s start) result {
	t.Helper()
	cmd := l.cmd(t, s)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return result{statusOf(cmd.ProcessState), stdout.String(), stderr.String()}
}

func statusOf(p *os.ProcessState) int {
	if w, ok := p.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return p.ExitCode()
}

// config is of an image that hpc3 made.
func config(p flatPlan, env ...string) flatPlan {
	p.HasConfig, p.Config = true, oci.Config{Env: env}
	return p
}

// eventually polls for a condition, up to the limit.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.After(limit)
	for !holds() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("still not: %s", what)
		}
	}
}

// servers counts the processes of the lab's program.
func (l *lab) processes(t *testing.T) int {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, dir := range dirs {
		if exe, err := os.Readlink(dir + "/exe"); err == nil && strings.HasPrefix(exe, l.program) {
			n++
		}
	}
	return n
}
