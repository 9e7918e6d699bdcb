package native

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/device"
	"github.com/hpc3-project/hpc3/launcher/run/inside"
	"github.com/hpc3-project/hpc3/launcher/run/message"
	"github.com/hpc3-project/hpc3/launcher/run/serve"
)

// The tasks of a step on a node, or those that one MPI launcher has started there, share one
// container: ranks read one another's memory (process_vm_readv), which takes a common user
// namespace, and the image is mounted once.
//
// They meet at a Unix socket in the abstract name space, which leaves nothing behind. Its name is a
// hash of all that determines the container, so that tasks meet only if their containers would be
// the same. The task that binds the name makes the container, and its file server inherits the
// socket. The other tasks get descriptors of the namespaces from it, and enter them.

// shareWait bounds how long a task waits for another's container, which takes milliseconds to make.
const shareWait = 10 * time.Second

// listenWait bounds how long a name may be bound but not listened at: the task that binds it
// listens in its next instruction.
const listenWait = time.Second

// shareBacklog is how many tasks may ask at once.
const shareBacklog = 4096

// shareName is the name of the socket at which the tasks of this container meet; "" for a container
// of its own.
func (st *Stage) shareName(group string, sif *os.File) string {
	if group == "" {
		return ""
	}
	same := *st
	same.Words, same.Env, same.Workdirs, same.Strict = []string{""}, nil, nil, false
	same.KeepPrivs, same.Prefix, same.Whose, same.Parent = false, "", "", 0
	same.Ignored, same.Blocked, same.FileSize = 0, 0, 0
	// one task of a step may have it
	same.Mounts = slices.DeleteFunc(slices.Clone(same.Mounts),
		func(m inside.Bind) bool { return m.Target == device.Console })
	raw, err := same.Pack()
	if err != nil {
		return ""
	}
	var file unix.Stat_t
	if err := unix.Fstat(int(sif.Fd()), &file); err != nil {
		return ""
	}
	hash := sha256.New()
	// Not the time of its change: every start notes there that the file is in use.
	fmt.Fprintln(hash, group, file.Dev, file.Ino, file.Size, len(raw))
	for _, ns := range []string{"user", "mnt", "pid"} { // what the caller sees of the node
		link, err := os.Readlink("/proc/self/ns/" + ns)
		if err != nil {
			return ""
		}
		fmt.Fprintln(hash, link)
	}
	hash.Write(raw)
	return "@hpc3-" + hex.EncodeToString(hash.Sum(nil))
}

// Namespaces are descriptors of a container's.
type Namespaces struct{ Mount, User int }

// aloneError says that this task gets a container of its own, and why.
type aloneError struct{ why string }

func (e aloneError) Error() string { return e.why }

// meet returns the socket that this task is to answer at, or the namespaces that it is to enter.
func meet(name string) (listener int, ns *Namespaces, err error) {
	end := time.Now().Add(shareWait)
	listening := time.Now()
	for time.Now().Before(end) {
		listener, err = listen(name)
		if !errors.Is(err, unix.EADDRINUSE) {
			return listener, nil, err
		}
		ns, err = ask(name)
		if err == nil {
			return -1, ns, nil
		}
		if errors.As(err, new(aloneError)) {
			return -1, nil, err
		}
		if !errors.Is(err, unix.ECONNREFUSED) {
			listening = time.Now()
		} else if time.Since(listening) > listenWait {
			return -1, nil, aloneError{"somebody has taken the place where the tasks of this step meet, and is not there"}
		}
		// the name is bound and not listened at yet, or its container just ended
		time.Sleep(time.Millisecond)
	}
	return -1, nil, aloneError{"another task of this step did not make its container in time"}
}

func listen(name string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: name})
	if err == nil {
		err = unix.Listen(fd, shareBacklog)
	}
	if err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// ask gets the namespaces from the file server at the name.
func ask(name string) (*Namespaces, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	limit := unix.NsecToTimeval(int64(shareWait))
	for _, o := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, o, &limit); err != nil {
			return nil, err
		}
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: name}); err != nil {
		return nil, err
	}
	if peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED); err != nil ||
		int(peer.Uid) != os.Getuid() {
		return nil, aloneError{"another user sits at the place where the tasks of this step meet"}
	}
	var answer serve.Container
	fds, err := message.Receive(fd, &answer)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return nil, aloneError{"another task of this step did not make its container in time"}
	case err != nil:
		return nil, err
	case answer.State == serve.Closed:
		return nil, aloneError{"the namespaces of the step's container cannot be read"}
	case answer.State != serve.Here || len(fds) != 2:
		message.CloseAll(fds)
		return nil, errors.New("the container has ended")
	}
	return &Namespaces{Mount: fds[0], User: fds[1]}, nil
}
