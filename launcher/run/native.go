package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

// stage is what the enter stage needs to know, handed over in a file in memory.
type stage struct {
	Words    []string // what is executed
	Env      []string
	Shell    bool // Words[0] is a path of the image, not looked for in PATH
	Mounts   []bindMount
	Workdirs []string // tried in this order
	Strict   bool     // the first of Workdirs was asked for by name
	Passwd   string   // line for the caller
	Groups   map[int]string
	Writable bool
	UID, GID int
	Prefix   string
	SIF      string
}

// bindMount is one bind, in the order they are made.
type bindMount struct {
	Source   string
	Target   string
	Options  []string
	Optional bool // nothing is said where the source is not there
	Visible  bool // only where the target is not the same directory already
}

// selfExe is how the program executes itself: the file may have been replaced since it was started.
const selfExe = "/proc/self/exe"

func (p *Plan) execNative(img image, words []string) error {
	if err := checkFUSE(); err != nil {
		return err
	}
	st := p.stage(img, words)
	plan, err := planFile(st)
	if err != nil {
		return fault.New(fault.Engine, "handing over the plan: %w", err)
	}
	sock, err := p.startServer()
	if err != nil {
		return fault.New(fault.Engine, "starting the file server: %w", err)
	}
	name := nameEnterUser
	if canMount() {
		name = nameEnterMount
	}
	// One processor is enough to make some twenty system calls, and fewer threads start faster.
	env := []string{"GOMAXPROCS=1", "GOGC=off"}
	for _, fd := range []int{plan, sock} {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			return fault.New(fault.Engine, "handing over the plan: %w", err)
		}
	}
	err = syscall.Exec(selfExe, []string{name, strconv.Itoa(plan), strconv.Itoa(sock)}, env)
	return fault.New(fault.Engine, "executing %s again: %w", selfExe, err)
}

func checkFUSE() error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR|syscall.O_CLOEXEC, 0)
	if err == nil {
		return f.Close()
	}
	e := fault.New(fault.Engine, "opening /dev/fuse, which hpc3's own engine needs: %w", bareError(err))
	if errors.Is(err, fs.ErrPermission) {
		return e.Hint("as root: chmod 0666 /dev/fuse, as the package fuse3 does at boot; or install Apptainer")
	}
	return e.Hint("as root: modprobe fuse; or install Apptainer")
}

func bareError(err error) error {
	var perr *fs.PathError
	if errors.As(err, &perr) {
		return perr.Err
	}
	return err
}

// canMount tells whether this process may make mounts without a user namespace of its own: root with its capabilities.
func canMount() bool {
	if os.Geteuid() != 0 {
		return false
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&head, &data[0]) == nil && data[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
}

// stage settles what the enter stage does.
func (p *Plan) stage(img image, words []string) stage {
	uid, gid := os.Getuid(), os.Getgid()
	home := homeIn(p.Home)
	shell := "/bin/sh"
	if img.bash != "" {
		shell = img.bash
	}
	who, ok := findAccount(uid)
	if !ok {
		who = synthetic(uid, gid, home, shell)
		p.note("this node does not know user " + strconv.Itoa(uid) + "; in the container the name is " + who.name)
	}
	groups, err := os.Getgroups()
	if err != nil {
		groups = nil // names are a convenience
	}
	st := stage{
		Words: words, Env: p.environment(who.name, home, shell), Mounts: p.binds(home),
		Passwd: who.line, Groups: groupLines(append(groups, gid)), Writable: p.Writable, UID: uid, GID: gid, Prefix: p.ErrorPrefix, SIF: p.SIF,
	}
	if p.Workdir != "" {
		st.Workdirs, st.Strict = []string{p.Workdir}, true
		return st
	}
	for _, dir := range []string{p.Cwd, p.Config.WorkingDir, home, "/"} {
		if dir != "" {
			st.Workdirs = append(st.Workdirs, dir)
		}
	}
	return st
}

// binds returns the binds of the house, then the user's, so that those win.
func (p *Plan) binds(home string) []bindMount {
	binds := []bindMount{
		{Source: "/dev", Target: "/dev", Options: []string{"rbind"}},
		{Source: "/proc", Target: "/proc", Options: []string{"rbind"}},
		{Source: "/sys", Target: "/sys", Options: []string{"rbind"}, Optional: true},
		{Source: "/tmp", Target: "/tmp", Optional: true},
		{Source: "/var/tmp", Target: "/var/tmp", Optional: true},
		{Source: "/etc/resolv.conf", Target: "/etc/resolv.conf", Optional: true},
		{Source: "/etc/hosts", Target: "/etc/hosts", Optional: true},
		{Source: "/etc/localtime", Target: "/etc/localtime", Optional: true},
	}
	if p.MountHome && home != "/" {
		if info, err := os.Stat(home); err == nil && info.IsDir() {
			binds = append(binds, bindMount{Source: home, Target: home})
		} else {
			p.note("there is no home directory " + home + " to bind")
		}
	}
	for _, dir := range []string{p.Cwd, lookup(p.HostEnv, "TMPDIR")} {
		if ownDirectory(dir) && (p.MountHome || !within(dir, home)) {
			binds = append(binds, bindMount{Source: dir, Target: dir, Optional: true, Visible: true})
		}
	}
	for _, m := range p.Mounts {
		binds = append(binds, bindMount{Source: m.Source, Target: m.Target, Options: m.Options})
	}
	return binds
}

// ownDirectory tells whether a directory of the node may appear in the container at its own path: one of the system would hide
// the image's.
func ownDirectory(dir string) bool {
	if !filepath.IsAbs(dir) || dir == "/" {
		return false
	}
	for _, system := range []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/boot", "/var", "/dev", "/proc", "/sys", "/opt", "/run"} {
		if dir == system || within(dir, system) && system != "/var" && system != "/opt" && system != "/run" {
			return false
		}
	}
	return true
}

func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// planFile writes the stage to a file in memory and returns its descriptor.
func planFile(st stage) (int, error) {
	raw, err := json.Marshal(st)
	if err != nil {
		return 0, err
	}
	fd, err := unix.MemfdCreate("hpc3-plan", unix.MFD_CLOEXEC)
	if err != nil {
		return 0, err
	}
	f := os.NewFile(uintptr(fd), "plan")
	if _, err := f.Write(raw); err != nil {
		return 0, err
	}
	own, err := unix.Dup(fd) // f closes fd when it is collected
	if err != nil {
		return 0, err
	}
	return own, f.Close()
}

// startServer starts the file server and returns our end of the socket to it.
func (p *Plan) startServer() (int, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	sif, err := os.Open(p.SIF)
	if err != nil {
		return 0, err
	}
	defer sif.Close()
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	theirs := os.NewFile(uintptr(pair[1]), "socket")
	defer theirs.Close()
	argv := []string{nameServe, strconv.FormatInt(p.PartitionOffset, 10)}
	server, err := os.StartProcess(selfExe, argv, &os.ProcAttr{
		Dir: "/", Files: []*os.File{null, null, null, theirs, sif}, Sys: &syscall.SysProcAttr{Setsid: true},
		// Go would keep the cgroup's files open to follow its limits; the server closes what it does not know.
		Env: []string{"GODEBUG=containermaxprocs=0,updatemaxprocs=0", "GOGC=50"},
	})
	if err != nil {
		return 0, err
	}
	state, err := server.Wait() // it has forked at its first instruction; the child is the server
	if err != nil {
		return 0, err
	}
	if !state.Success() {
		return 0, fmt.Errorf("it ended at once: %s", state)
	}
	return pair[0], nil
}
