// Package native is hpc3's own engine: it makes the container of a command, or joins the one of the
// step's other tasks, and becomes the command in it. Exec is its door, and containerize the start;
// Reenter runs the processes that the start executes (package run lists them).
package native

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/device"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/run/inside"
	"github.com/hpc3-project/hpc3/launcher/run/message"
	"github.com/hpc3-project/hpc3/launcher/run/serve"
)

// Means are what a start by hpc3's own engine needs beside the view.
type Means struct {
	SquashFS option.SquashFS // what reads the image
	Server   *Server         // started ahead; may be nil
	Settled  func(option.Engine)
}

// start is a start by hpc3's own engine.
type start struct {
	*inside.View
	Means
}

// Exec makes this process the command. It returns only with an error.
func Exec(ctx context.Context, v inside.View, img inside.Files, m Means) error {
	n := start{&v, m}
	n.Sharing = n.ShareNative(!CanMount())
	words, err := n.Words(img)
	if damaged := n.CheckImage(img); damaged != nil {
		return damaged
	}
	if err != nil {
		return err
	}
	found, err := n.Devices(img)
	if err != nil {
		return err
	}
	n.Settled(option.Native)
	c, err := n.prepare(ctx, img, words, found)
	if err != nil {
		return err
	}
	n.Note("engine: native, hpc3's own")
	return n.containerize(ctx, c)
}

// pending is a container that is about to be joined or made.
type pending struct {
	stage  Stage
	plan   []byte // the stage as a message
	sif    *os.File
	reader reader
}

// prepare does all that is possible before there is a container.
func (n *start) prepare(
	ctx context.Context, img inside.Files, words []string, found device.Found,
) (*pending, error) {
	if err := CheckEntry(); err != nil {
		return nil, err
	}
	if err := checkNamespaces(); err != nil {
		return nil, err
	}
	reader, err := n.reader()
	if err != nil {
		return nil, err
	}
	c := pending{stage: n.stage(ctx, img, words, found), sif: img.File, reader: reader}
	if err := n.CheckImage(img); err != nil {
		return nil, err
	}
	if c.stage.FileSize, err = WithoutFileLimit(); err != nil {
		return nil, fault.New(fault.Engine, "lifting the limit of file sizes: %w", err)
	}
	c.stage.Squashfuse, c.stage.Fallback = reader.squashfuse, n.SquashFS != option.SquashfuseLL
	if c.plan, err = c.stage.Pack(); err != nil {
		return nil, fault.New(fault.Exec, "handing over the plan: %w", err).
			Hint("look at the image's configuration: hpc3 explain; and at the command")
	}
	return &c, nil
}

// containerize joins the container of the step's other tasks, or makes one, and becomes the command
// in there.
func (n *start) containerize(ctx context.Context, c *pending) error {
	ns, door := n.join(c)
	if ns == nil {
		var err error
		if ns, err = n.make(ctx, c, door); err != nil {
			return err
		}
	}
	return c.stage.Become(ns, c.plan, !CanMount())
}

// join returns the namespaces of a container that another task of the step has made; or else the
// socket at which this task lets the others into its own, -1 if the container is for it alone.
func (n *start) join(c *pending) (ns *Namespaces, door int) {
	name := ""
	if n.Sharing.With == inside.Meet {
		name = c.stage.shareName(n.Sharing.Group, c.sif)
	}
	if name == "" {
		return nil, -1
	}
	door, ns, err := meet(name)
	if err != nil {
		n.Note("a container of its own for this task: " + err.Error())
		return nil, -1
	}
	if ns != nil {
		n.TellContainer("joining the container of this step", len(c.stage.Mounts))
	}
	return ns, door
}

// make tells the file server and the maker to make a container.
func (n *start) make(ctx context.Context, c *pending, door int) (*Namespaces, error) {
	mount, err := n.mountByKernel(c.reader, c.sif)
	if err != nil {
		return nil, err
	}
	if mount < 0 {
		if err := checkFUSE(); err != nil {
			return nil, err
		}
	}
	plan, err := message.Memory(c.plan)
	if err != nil {
		return nil, fault.New(fault.Engine, "handing over the plan: %w", err).
			Hint("if the job limits the size of files, start without: ulimit -f unlimited")
	}
	server, err := n.serve(c.sif, door, c.reader, mount)
	if err != nil {
		return nil, fault.New(fault.Engine, "starting the file server: %w", err)
	}
	ns, made, err := server.makeContainer(ctx, plan, mount)
	for _, text := range made.Notes {
		n.Note(text)
	}
	if err == nil {
		n.TellContainer("new, read by "+c.reader.name(mount >= 0), len(c.stage.Mounts))
		return ns, nil
	}
	if errors.As(err, new(*fault.Error)) {
		return nil, err
	}
	return nil, fault.New(fault.Engine, "making the container: %w", err).
		Hint("where a process of it ended, a limit may be too low, of this shell or of its cgroup: see ulimit -a")
}

// CheckEntry refuses a program that was linked without its entry: it can make and enter nothing.
func CheckEntry() error {
	if entryResult != entryNotRun {
		return nil
	}
	return fault.New(fault.Engine, "this program was built without its entry point").
		Hint("build it with make build; or use --engine apptainer")
}

func checkFUSE() error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR|syscall.O_CLOEXEC, 0)
	if err == nil {
		return f.Close()
	}
	e := fault.New(fault.Engine, "opening /dev/fuse, which hpc3's own engine needs: %w",
		fault.Reason(err))
	if errors.Is(err, unix.EMFILE) {
		return e.Hint("close some of the descriptors that hpc3-run is started with, or raise their limit: ulimit -n")
	}
	if errors.Is(err, fs.ErrPermission) {
		return e.Hint("as root: chmod 0666 /dev/fuse, as the package fuse3 does at boot; or install Apptainer")
	}
	return e.Hint("as root: modprobe fuse; or install Apptainer")
}

// CanMount tells whether this process may make mounts without a user namespace of its own: root
// with its capabilities.
func CanMount() bool {
	if os.Geteuid() != 0 {
		return false
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&head, &data[0]) == nil && data[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
}

// stage settles what the maker, or a joining task, does.
func (n *start) stage(
	ctx context.Context, img inside.Files, words []string, found device.Found,
) Stage {
	uid, gid := os.Getuid(), os.Getgid()
	home := inside.HomeIn(n.Home)
	ctx, cancel := context.WithTimeout(ctx, inside.GetentLimit) // for all that is asked
	defer cancel()
	who, ok := inside.FindAccount(ctx, uid)
	if !ok {
		who = inside.Synthetic(uid, gid)
		n.Note("this node does not know user " + strconv.Itoa(uid) +
			"; in the container the name is " + who.Name)
	}
	groups, err := os.Getgroups()
	if err != nil {
		groups = nil // names are a convenience
	}
	callers := n.Callers(img)
	env := n.Environment(callers, who.Name, home, img)
	if found.Compat != "" {
		env.Prepend("LD_LIBRARY_PATH", found.Compat)
	}
	n.TellEnvironment(callers, env)
	for _, e := range found.Env {
		env.Complete(e)
	}
	st := Stage{
		Words: words, Env: env.List(), Mounts: n.Binds(img, found),
		Passwd: who.Line(home, img.Shell()), Accounts: n.Accounts(ctx),
		Groups:   inside.GroupLines(ctx, append(groups, gid)),
		Writable: n.Writable, KeepPrivs: n.KeepPrivs, Parent: n.Parent, UID: uid, GID: gid,
		Ignored: entryIgnored, Blocked: entryBlocked, Prefix: n.ErrorPrefix, SIF: n.SIF,
		Whose: n.Whose(),
	}
	n.TellMounts(st.Mounts)
	if n.Workdir != "" {
		st.Workdirs, st.Strict = []string{n.Workdir}, true
		return st
	}
	st.Workdirs = n.Workdirs()
	return st
}

// serve has the file server serve the SIF, and let other tasks in at the listening socket, if there
// is one. It returns the server. If the kernel reads the image, the server only does the latter,
// and says that the SIF is in use, until the mount is gone.
func (n *start) serve(sif *os.File, listener int, r reader, mount int) (*Server, error) {
	server := n.Server
	if server == nil {
		var err error
		if server, err = StartServer(n.Getenv); err != nil {
			return nil, err
		}
	}
	if n.Cached {
		// The lock belongs to the open file, which the server gets. Some file systems have no
		// locks; there, the server's marks must do.
		_ = unix.Flock(int(sif.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	}
	what := serve.Service{
		File: n.SIF, Offset: n.Offset, Sums: n.Sums, Aside: n.Aside, Prefix: n.ErrorPrefix,
		Stderr: serve.IDOf("/proc/self/fd/2"), Cached: n.Cached, Kernel: mount >= 0,
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

// WhyNot says what hpc3's own engine lacks on this node, nil if it lacks nothing.
func WhyNot() error {
	if err := checkNamespaces(); err != nil {
		return err
	}
	return checkFUSE()
}
