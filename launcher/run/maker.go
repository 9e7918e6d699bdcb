package run

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

// The maker makes the container while it is in there, so that hpc3-run itself needs no second start of Go: it enters what is ready, as the other
// tasks of a step do. It starts together with the file server, ahead of its work.

// makerSocket is the one descriptor that the maker is started with.
const makerSocket = 4

// makeContainer has the maker make the container of a plan, which is in a file in memory. The image comes from the file server, or from a mount
// if that is not negative.
func (s *Server) makeContainer(ctx context.Context, plan, mount int) (*namespaces, answer, error) {
	fds := []int{plan, s.sock}
	if mount >= 0 {
		fds = append(fds, mount)
	}
	// One who waits does not see signals.
	stop := context.AfterFunc(ctx, func() { _ = unix.Shutdown(s.maker, unix.SHUT_RDWR) })
	defer stop()
	err := unix.Sendmsg(s.maker, []byte{0}, unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL)
	if err == nil {
		_, fds, err = receiveFDs(s.maker)
	}
	if ctx.Err() != nil {
		return nil, answer{}, context.Cause(ctx)
	}
	if err != nil {
		return nil, answer{}, fmt.Errorf("the process that makes it: %w", err)
	}
	raw, err := readMemory(fds[0])
	if err != nil {
		return nil, answer{}, err
	}
	a, err := unpackAnswer(raw)
	switch {
	case err != nil:
		return nil, a, err
	case a.failed != nil:
		return nil, a, a.failed
	case len(fds) != 3:
		return nil, a, errors.New("no namespaces came")
	}
	return &namespaces{mount: fds[1], user: fds[2]}, a, nil
}

// maker is the process that makes the container. It is in its namespaces, whose descriptors are its answer.
func maker(user bool) {
	_ = unix.Close(serverSocket) // the server's
	closeInherited(makerSocket)
	_, fds, err := receiveFDs(makerSocket)
	if err != nil || len(fds) < 2 {
		return // hpc3-run has given up
	}
	from := imageSource{sock: fds[1], mount: -1}
	if len(fds) > 2 {
		from.mount = fds[2]
	}
	var a answer
	var ns namespaces
	if from.mark, err = newMark(); err == nil {
		ns, err = a.make(fds[0], from, user)
	}
	if err != nil {
		a.failed = asFault(err)
	}
	if reply(a, ns) != nil || err != nil {
		return
	}
	// hpc3-run closes its end when it executes itself, and is in the container with its next system call. The others look for it there.
	_, _ = readWord(makerSocket)
	sayComplete(from.sock, ns.mount, from.mark)
}

func reply(a answer, ns namespaces) error {
	raw, err := a.pack()
	if err != nil {
		return err
	}
	fd, err := writeMemory(raw)
	if err != nil {
		return err
	}
	fds := []int{fd}
	if a.failed == nil {
		fds = append(fds, ns.mount, ns.user)
	}
	return unix.Sendmsg(makerSocket, []byte{0}, unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL)
}

func (a *answer) make(plan int, from imageSource, user bool) (ns namespaces, err error) {
	if entryResult < 0 {
		return ns, noNamespace(unix.Errno(-entryResult))
	}
	st, err := readPlan(plan)
	if err != nil {
		return ns, fault.New(fault.Engine, "reading the plan: %w", err)
	}
	if user {
		if err := mapIDs(st.UID, st.GID); err != nil {
			return ns, withHints(fault.New(fault.Engine, "mapping user and group in a user namespace: %w", fault.Reason(err)), namespaceHints())
		}
	}
	if _, err := withoutFileLimit(); err != nil {
		return ns, fault.New(fault.Engine, "lifting the limit of file sizes: %w", err)
	}
	if ns, err = ownNamespaces(); err != nil {
		return ns, fault.New(fault.Engine, "opening the container's namespaces: %w", err)
	}
	unix.Umask(0o022)
	return ns, st.mounts(from, user, a)
}

// ownNamespaces opens those of this process.
func ownNamespaces() (ns namespaces, err error) {
	if ns.mount, err = unix.Open("/proc/self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return ns, err
	}
	ns.user, err = unix.Open("/proc/self/ns/user", unix.O_RDONLY|unix.O_CLOEXEC, 0)
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

// imageSource is where the image comes from: descriptors of a mount of the kernel's driver, if not negative, and of the socket to
// the file server. The mark tells the container that is made of it from others.
type imageSource struct {
	sock, mount int
	mark        string
}

// mapIDs lets the caller be in the user namespace who he is outside.
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

// answer is what the maker says.
type answer struct {
	failed *fault.Error // nil: the container is there
	notes  []string
}

func asFault(err error) *fault.Error {
	class, hints, status := fault.Of(err, fault.Engine)
	return &fault.Error{Class: class, Err: errors.New(err.Error()), Hints: hints, Status: status}
}

func (a *answer) pack() ([]byte, error) {
	var p packer
	p.list(a.notes)
	p.flag(a.failed != nil)
	if a.failed != nil {
		p.text(string(a.failed.Class))
		p.text(a.failed.Error())
		p.list(a.failed.Hints)
		p.number(a.failed.Status)
	}
	return p.raw, p.err
}

func unpackAnswer(raw []byte) (answer, error) {
	u := unpacker{rest: string(raw)}
	a := answer{notes: u.list()}
	if u.flag() {
		a.failed = &fault.Error{Class: fault.Class(u.text()), Err: errors.New(u.text()), Hints: u.list(), Status: u.number()}
	}
	if u.bad || u.rest != "" {
		return answer{}, errors.New("its answer is damaged")
	}
	return a, nil
}
