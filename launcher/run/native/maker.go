package native

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/run/message"
	"github.com/hpc3-project/hpc3/launcher/run/process"
)

// The maker makes the container from inside, so that hpc3-run itself needs no second start of Go:
// it enters the finished container, as the other tasks of a step do. The maker starts together with
// the file server, ahead of its work.

// makerSocket is the one descriptor that the maker is started with.
const makerSocket = 4

// makeContainer tells the maker to make the container of a plan, which is in a file in memory. The
// image comes from the file server or, if mount is not negative, from that mount.
func (s *Server) makeContainer(ctx context.Context, plan, mount int) (*Namespaces, answer, error) {
	fds := []int{plan, s.sock}
	if mount >= 0 {
		fds = append(fds, mount)
	}
	// A blocked receive does not notice signals.
	stop := context.AfterFunc(ctx, func() { _ = unix.Shutdown(s.maker, unix.SHUT_RDWR) })
	defer stop()
	err := message.Send(s.maker, &order{}, fds...)
	if err == nil {
		fds, err = message.Receive(s.maker, &reply{})
	}
	if ctx.Err() != nil {
		return nil, answer{}, context.Cause(ctx)
	}
	if err != nil {
		return nil, answer{}, fmt.Errorf("the process that makes it: %w", err)
	}
	var a answer
	err = message.FromMemory(fds[0], &a)
	switch {
	case err != nil:
		return nil, a, err
	case a.Failed:
		return nil, a, a.fault()
	case len(fds) != 3:
		return nil, a, errors.New("no namespaces came")
	}
	return &Namespaces{Mount: fds[1], User: fds[2]}, a, nil
}

// maker is the process that makes the container. It is in the container's namespaces already, and
// answers with their descriptors.
func maker(user bool) {
	_ = unix.Close(serverSocket) // the server's
	process.CloseInherited(makerSocket)
	fds, err := message.Receive(makerSocket, &order{})
	if err != nil || len(fds) < 2 {
		return // hpc3-run has given up
	}
	from := imageSource{sock: fds[1], mount: -1}
	if len(fds) > 2 {
		from.mount = fds[2]
	}
	var a answer
	var ns Namespaces
	if from.mark, err = newMark(); err == nil {
		ns, err = a.make(fds[0], from, user)
	}
	if err != nil {
		a.fail(err)
	}
	if a.send(ns) != nil || err != nil {
		return
	}
	// hpc3-run closes its end when it executes itself, and is in the container with its next system
	// call. The others look for it there.
	message.AwaitEnd(makerSocket)
	sayComplete(from.sock, ns.Mount, from.mark)
}

// send answers hpc3-run, with descriptors of the answer and of the namespaces.
func (a *answer) send(ns Namespaces) error {
	raw, err := message.Pack(a)
	if err != nil {
		return err
	}
	fd, err := message.Memory(raw)
	if err != nil {
		return err
	}
	fds := []int{fd}
	if !a.Failed {
		fds = append(fds, ns.Mount, ns.User)
	}
	return message.Send(makerSocket, &reply{}, fds...)
}

func (a *answer) make(plan int, from imageSource, user bool) (ns Namespaces, err error) {
	if entryResult < 0 {
		return ns, noNamespace(unix.Errno(-entryResult))
	}
	st, err := readPlan(plan)
	if err != nil {
		return ns, fault.New(fault.Engine, "reading the plan: %w", err)
	}
	if user {
		if err := mapIDs(st.UID, st.GID); err != nil {
			return ns, withHints(
				fault.New(fault.Engine, "mapping user and group in a user namespace: %w",
					fault.Reason(err)), namespaceHints())
		}
	}
	if _, err := WithoutFileLimit(); err != nil {
		return ns, fault.New(fault.Engine, "lifting the limit of file sizes: %w", err)
	}
	if ns, err = ownNamespaces(); err != nil {
		return ns, fault.New(fault.Engine, "opening the container's namespaces: %w", err)
	}
	unix.Umask(0o022)
	return ns, st.mounts(from, user, a)
}

// ownNamespaces opens those of this process.
func ownNamespaces() (ns Namespaces, err error) {
	if ns.Mount, err = unix.Open("/proc/self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return ns, err
	}
	ns.User, err = unix.Open("/proc/self/ns/user", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	return ns, err
}

func noNamespace(err error) error {
	e := fault.New(fault.Engine, "making a user and mount namespace: %w", err)
	hints := namespaceHints()
	if len(hints) == 0 && errors.Is(err, unix.EPERM) {
		hints = []string{"a chroot, and some containers, forbid it: start hpc3-run outside of them"}
	}
	return withHints(e, hints)
}

// imageSource is where the image comes from: the descriptor of a mount of the kernel's driver, if
// not negative, and that of the socket to the file server. The mark tells the container from
// others.
type imageSource struct {
	sock, mount int
	mark        string
}

// mapIDs maps the caller's uid and gid to themselves.
func mapIDs(uid, gid int) error {
	for _, m := range [][2]string{
		{"/proc/self/setgroups", "deny"}, // or the kernel would let nobody but root map a group
		{"/proc/self/uid_map", fmt.Sprintf("%d %d 1", uid, uid)},
		{"/proc/self/gid_map", fmt.Sprintf("%d %d 1", gid, gid)},
	} {
		if err := os.WriteFile(m[0], []byte(m[1]), 0); err != nil {
			return err
		}
	}
	return nil
}

// order tells the maker to make a container. With it come a plan, the socket to the file server
// and, if the kernel reads the image, its mount.
type order struct{}

// Kind is the message's.
func (*order) Kind() string { return "order" }

// reply comes with an answer in memory, since that may be long, and with the namespaces.
type reply struct{}

// Kind is the message's.
func (*reply) Kind() string { return "reply" }

// answer is the maker's result.
type answer struct {
	Notes  []string
	Failed bool // else the container is there, and what follows is empty
	Class  string
	Text   string
	Hints  []string
	Status int
}

// Kind is the message's.
func (*answer) Kind() string { return "answer" }

func (a *answer) fail(err error) {
	class, hints, status := fault.Of(err, fault.Engine)
	a.Failed, a.Class, a.Text, a.Hints, a.Status = true, string(class), err.Error(), hints, status
}

func (a *answer) fault() *fault.Error {
	return &fault.Error{
		Class: fault.Class(a.Class), Err: errors.New(a.Text), Hints: a.Hints,
		Status: a.Status,
	}
}
