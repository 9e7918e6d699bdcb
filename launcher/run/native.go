package run

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/outside"
)

// selfExe is how the program executes itself: the file may have been replaced since it was started.
const selfExe = "/proc/self/exe"

func (p *Plan) execNative(ctx context.Context, img image, words []string, server *Server) error {
	if entryResult == entryNotRun {
		return noEntry()
	}
	if err := checkNamespaces(); err != nil {
		return err
	}
	reader, err := p.reader()
	if err != nil {
		return err
	}
	st := p.stage(ctx, img, words)
	if err := p.checkImage(img); err != nil {
		return err
	}
	if st.FileSize, err = withoutFileLimit(); err != nil {
		return fault.New(fault.Engine, "lifting the limit of file sizes: %w", err)
	}
	st.Squashfuse, st.Fallback = reader.squashfuse, p.SquashFS != option.SquashfuseLL
	raw, err := st.pack()
	if err != nil {
		return fault.New(fault.Exec, "handing over the plan: %w", err).Hint("look at the image's configuration: hpc3 explain; and at the command")
	}
	sif, err := outside.Open(p.SIF)
	if err != nil {
		return fault.New(fault.Engine, "opening the image: %w", err)
	}
	p.note("engine: native, hpc3's own")
	listener, err := p.share(&st, sif, raw)
	if err != nil {
		return err
	}
	mount, err := p.mountByKernel(reader, sif)
	if err != nil {
		return err
	}
	if mount < 0 {
		if err := checkFUSE(); err != nil {
			return err
		}
	}
	plan, err := writeMemory(raw)
	if err != nil {
		return fault.New(fault.Engine, "handing over the plan: %w", err).Hint("if the job limits the size of files, start without: ulimit -f unlimited")
	}
	if server, err = p.serve(server, sif, listener, reader, mount); err != nil {
		return fault.New(fault.Engine, "starting the file server: %w", err)
	}
	ns, a, err := server.makeContainer(ctx, plan, mount)
	for _, text := range a.notes {
		p.note(text)
	}
	if err == nil {
		p.tellContainer("new, read by "+reader.name(mount >= 0), len(st.Mounts))
		err = st.join(ns, raw, !canMount())
	}
	if errors.As(err, new(*fault.Error)) {
		return err
	}
	return fault.New(fault.Engine, "making the container: %w", err).Hint("where a process of it ended, a limit may be too low, of this shell or of its cgroup: see ulimit -a")
}

// stageEnv is the environment of this program's later stages: one processor is enough to make some fifty system calls, and fewer threads
// start faster.
func stageEnv() []string { return []string{"GOMAXPROCS=1", "GOGC=off"} }

// share enters the container that another task of the step has made, or returns the socket at which this one lets the others in; -1 for
// a container of its own.
func (p *Plan) share(st *stage, sif *os.File, raw []byte) (listener int, err error) {
	name := ""
	if !p.Alone {
		name = st.shareName(group(p.getenv), sif)
	}
	if name == "" {
		return -1, nil
	}
	user := !canMount()
	listener, ns, err := meet(name)
	if err == nil && ns != nil {
		p.tellContainer("joining the container of this step", len(st.Mounts))
		err = st.join(ns, raw, user)
		closeAll([]int{ns.user, ns.mount})
	}
	var stop *fault.Error
	if errors.As(err, &stop) {
		return -1, err
	}
	if err != nil {
		p.note("a container of its own for this task: " + err.Error())
		return -1, nil
	}
	return listener, nil
}

func noEntry() error {
	return fault.New(fault.Engine, "this program was built without its entry point").Hint("build it with make build; or use --engine apptainer")
}

func checkFUSE() error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR|syscall.O_CLOEXEC, 0)
	if err == nil {
		return f.Close()
	}
	e := fault.New(fault.Engine, "opening /dev/fuse, which hpc3's own engine needs: %w", fault.Reason(err))
	if errors.Is(err, unix.EMFILE) {
		return e.Hint("close some of the descriptors that hpc3-run is started with, or raise their limit: ulimit -n")
	}
	if errors.Is(err, fs.ErrPermission) {
		return e.Hint("as root: chmod 0666 /dev/fuse, as the package fuse3 does at boot; or install Apptainer")
	}
	return e.Hint("as root: modprobe fuse; or install Apptainer")
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

// stage settles what the maker, or a joining task, does.
func (p *Plan) stage(ctx context.Context, img image, words []string) stage {
	uid, gid := os.Getuid(), os.Getgid()
	home := homeIn(p.Home)
	ctx, cancel := context.WithTimeout(ctx, getentLimit) // for all that is asked
	defer cancel()
	who, ok := findAccount(ctx, uid)
	if !ok {
		who = synthetic(uid, gid)
		p.note("this node does not know user " + strconv.Itoa(uid) + "; in the container the name is " + who.name)
	}
	groups, err := os.Getgroups()
	if err != nil {
		groups = nil // names are a convenience
	}
	callers := p.callers(img)
	env := p.environment(callers, who.name, home, img)
	p.tellEnvironment(callers, env)
	found := p.devices(img)
	for _, e := range found.Env {
		env.complete(e)
	}
	st := stage{
		Words: words, Env: env.list(), Mounts: p.binds(img, found),
		Passwd: who.line(home, img.shell()), Accounts: p.accounts(ctx), Groups: groupLines(ctx, append(groups, gid)),
		Writable: p.Writable, KeepPrivs: p.KeepPrivs, Parent: p.Parent, UID: uid, GID: gid, Ignored: entryIgnored, Blocked: entryBlocked, Prefix: p.ErrorPrefix, SIF: p.SIF,
	}
	p.tellMounts(st.Mounts)
	if p.Workdir != "" {
		st.Workdirs, st.Strict = []string{p.Workdir}, true
		return st
	}
	st.Workdirs = p.workdirs()
	return st
}

// accounts are the lines of those whom programs of the node know by name, and the image need not.
func (p *Plan) accounts(ctx context.Context) []string {
	if p.Client == nil || p.ClientUser == "" {
		return nil
	}
	if line := findName(ctx, p.ClientUser); line != "" {
		return []string{line}
	}
	return nil
}

// serve has the file server serve the SIF, and let other tasks in at the listening socket, if there is one. It returns the server. Where the kernel reads the image, the server only does the latter, and says that the SIF is in use, until the mount is gone.
func (p *Plan) serve(server *Server, sif *os.File, listener int, r reader, mount int) (*Server, error) {
	if server == nil {
		var err error
		if server, err = StartServer(p.getenv); err != nil {
			return nil, err
		}
	}
	defer sif.Close()
	if p.Cached {
		// The lock is of the open file, which the server gets. Where there are no locks, the server's word must do.
		_ = unix.Flock(int(sif.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	}
	what := service{
		file: p.SIF, offset: p.PartitionOffset, sums: p.Sums, aside: p.Aside, prefix: p.ErrorPrefix, stderr: idOf("/proc/self/fd/2"), cached: p.Cached, kernel: mount >= 0,
	}
	if !what.kernel {
		what.squashfuse = r.squashfuse
	}
	if err := server.tell(what, sif, listener); err != nil {
		return nil, err
	}
	if listener >= 0 {
		_ = unix.Close(listener) // it is open
	}
	if what.kernel {
		return server, sendWatch(server.sock, mount)
	}
	return server, nil
}

func sendWatch(sock, mount int) error {
	watch, err := watchMount(mount)
	if err != nil {
		return err
	}
	return errors.Join(send(sock, watch, -1, -1), unix.Close(watch))
}
