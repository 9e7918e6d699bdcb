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
	"github.com/hpc3-project/hpc3/launcher/run/inside"
	"github.com/hpc3-project/hpc3/launcher/run/message"
	"github.com/hpc3-project/hpc3/launcher/run/serve"
)

// native is a start by hpc3's own engine.
type native struct {
	*inside.View
	SquashFS option.SquashFS // what is to read the image
	settled  func(option.Engine)
}

func (n *native) exec(ctx context.Context, img inside.Files, server *Server) error {
	n.Sharing = n.ShareNative(!canMount())
	words, err := n.Words(img)
	if damaged := n.CheckImage(img); damaged != nil {
		return damaged
	}
	if err != nil {
		return err
	}
	n.settled(option.Native)
	if entryResult == entryNotRun {
		return noEntry()
	}
	if err := checkNamespaces(); err != nil {
		return err
	}
	reader, err := n.reader()
	if err != nil {
		return err
	}
	st := n.stage(ctx, img, words)
	if err := n.CheckImage(img); err != nil {
		return err
	}
	if st.FileSize, err = withoutFileLimit(); err != nil {
		return fault.New(fault.Engine, "lifting the limit of file sizes: %w", err)
	}
	st.Squashfuse, st.Fallback = reader.squashfuse, n.SquashFS != option.SquashfuseLL
	raw, err := st.pack()
	if err != nil {
		return fault.New(fault.Exec, "handing over the plan: %w", err).Hint("look at the image's configuration: hpc3 explain; and at the command")
	}
	sif, err := outside.Open(n.SIF)
	if err != nil {
		return fault.New(fault.Engine, "opening the image: %w", err)
	}
	n.Note("engine: native, hpc3's own")
	listener, err := n.share(&st, sif, raw)
	if err != nil {
		return err
	}
	mount, err := n.mountByKernel(reader, sif)
	if err != nil {
		return err
	}
	if mount < 0 {
		if err := checkFUSE(); err != nil {
			return err
		}
	}
	plan, err := message.Memory(raw)
	if err != nil {
		return fault.New(fault.Engine, "handing over the plan: %w", err).Hint("if the job limits the size of files, start without: ulimit -f unlimited")
	}
	if server, err = n.serve(server, sif, listener, reader, mount); err != nil {
		return fault.New(fault.Engine, "starting the file server: %w", err)
	}
	ns, a, err := server.makeContainer(ctx, plan, mount)
	for _, text := range a.Notes {
		n.Note(text)
	}
	if err == nil {
		n.TellContainer("new, read by "+reader.name(mount >= 0), len(st.Mounts))
		err = st.join(ns, raw, !canMount())
	}
	if errors.As(err, new(*fault.Error)) {
		return err
	}
	return fault.New(fault.Engine, "making the container: %w", err).Hint("where a process of it ended, a limit may be too low, of this shell or of its cgroup: see ulimit -a")
}

// share enters the container that another task of the step has made, or returns the socket at which this one lets the others in; -1 for
// a container of its own.
func (n *native) share(st *stage, sif *os.File, raw []byte) (listener int, err error) {
	name := ""
	if n.Sharing.With == inside.Meet {
		name = st.shareName(n.Sharing.Group, sif)
	}
	if name == "" {
		return -1, nil
	}
	user := !canMount()
	listener, ns, err := meet(name)
	if err == nil && ns != nil {
		n.TellContainer("joining the container of this step", len(st.Mounts))
		err = st.join(ns, raw, user)
		message.CloseAll([]int{ns.user, ns.mount})
	}
	var stop *fault.Error
	if errors.As(err, &stop) {
		return -1, err
	}
	if err != nil {
		n.Note("a container of its own for this task: " + err.Error())
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
func (n *native) stage(ctx context.Context, img inside.Files, words []string) stage {
	uid, gid := os.Getuid(), os.Getgid()
	home := inside.HomeIn(n.Home)
	ctx, cancel := context.WithTimeout(ctx, inside.GetentLimit) // for all that is asked
	defer cancel()
	who, ok := inside.FindAccount(ctx, uid)
	if !ok {
		who = inside.Synthetic(uid, gid)
		n.Note("this node does not know user " + strconv.Itoa(uid) + "; in the container the name is " + who.Name)
	}
	groups, err := os.Getgroups()
	if err != nil {
		groups = nil // names are a convenience
	}
	callers := n.Callers(img)
	env := n.Environment(callers, who.Name, home, img)
	n.TellEnvironment(callers, env)
	found := n.Devices(img)
	for _, e := range found.Env {
		env.Complete(e)
	}
	st := stage{
		Words: words, Env: env.List(), Mounts: n.Binds(img, found),
		Passwd: who.Line(home, img.Shell()), Accounts: n.Accounts(ctx), Groups: inside.GroupLines(ctx, append(groups, gid)),
		Writable: n.Writable, KeepPrivs: n.KeepPrivs, Parent: n.Parent, UID: uid, GID: gid, Ignored: entryIgnored, Blocked: entryBlocked, Prefix: n.ErrorPrefix, SIF: n.SIF,
	}
	n.TellMounts(st.Mounts)
	if n.Workdir != "" {
		st.Workdirs, st.Strict = []string{n.Workdir}, true
		return st
	}
	st.Workdirs = n.Workdirs()
	return st
}

// serve has the file server serve the SIF, and let other tasks in at the listening socket, if there is one. It returns the server. Where the kernel reads the image, the server only does the latter, and says that the SIF is in use, until the mount is gone.
func (n *native) serve(server *Server, sif *os.File, listener int, r reader, mount int) (*Server, error) {
	if server == nil {
		var err error
		if server, err = StartServer(n.Getenv); err != nil {
			return nil, err
		}
	}
	defer sif.Close()
	if n.Cached {
		// The lock is of the open file, which the server gets. Where there are no locks, the server's word must do.
		_ = unix.Flock(int(sif.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	}
	what := serve.Service{
		File: n.SIF, Offset: n.Offset, Sums: n.Sums, Aside: n.Aside, Prefix: n.ErrorPrefix, Stderr: serve.IDOf("/proc/self/fd/2"), Cached: n.Cached, Kernel: mount >= 0,
	}
	if !what.Kernel {
		what.Squashfuse = r.squashfuse
	}
	if err := server.tell(&what, sif, listener); err != nil {
		return nil, err
	}
	if listener >= 0 {
		_ = unix.Close(listener) // it is open
	}
	if what.Kernel {
		return server, sendWatch(server.sock, mount)
	}
	return server, nil
}

func sendWatch(sock, mount int) error {
	watch, err := watchMount(mount)
	if err != nil {
		return err
	}
	return errors.Join(message.Send(sock, &serve.Mount{UID: -1, GID: -1}, watch), unix.Close(watch))
}
