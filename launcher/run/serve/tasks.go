package serve

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/run/message"
	"github.com/hpc3-project/hpc3/launcher/run/process"
)

// Container answers a task that asks for its container's namespaces.
type Container struct{ State string }

// Kind is the message's.
func (*Container) Kind() string { return "answer about the container" }

// The states of a container.
const (
	Here   = "here"   // with their descriptors
	Gone   = "gone"   // the last process has ended
	Closed = "closed" // there are processes, but the kernel hides their namespaces
)

// sharer is the part of the file server that lets other tasks of a step into the container. It
// holds none of the container's namespaces, which it would keep alive: it asks a process in there
// for them each time.
type sharer struct {
	inode uint64 // of the mount namespace
	mark  []byte // in the list of its mounts
	task  int    // a process that was in there
}

// WorkPrefix begins the name of an overlay's work directory. A mark follows.
const WorkPrefix = "/work-"

// Workdir returns the work directory of a container's overlay, which the list of its mounts shows.
func Workdir(mark string) string { return WorkPrefix + mark }

// Complete tells the file server that the maker has completed the container.
type Complete struct {
	Inode uint64 // of the mount namespace
	Mark  string
}

// Kind is the message's.
func (*Complete) Kind() string { return "word about the container" }

// tasks are the processes of a container, as far as the file server knows them.
type tasks struct {
	mu       sync.Mutex
	complete *sharer // the state when the container was complete; nil before
	leader   int     // the process for which the container is made
}

// follow waits until leader's container is complete, which a message at sock says. It then answers
// other tasks at the listening socket, if there is one. If the container ends before that, its
// mount is gone and this program ends too; waiting tasks see their connections closed.
func (t *tasks) follow(listener, sock int) {
	var made Complete
	if _, err := message.Receive(sock, &made); err != nil {
		return
	}
	s := &sharer{inode: made.Inode, mark: []byte(",workdir=" + Workdir(made.Mark)), task: t.leader}
	first := *s
	t.mu.Lock()
	t.complete = &first
	t.mu.Unlock()
	for listener >= 0 {
		conn, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ECONNABORTED) {
			continue
		}
		if err != nil {
			return
		}
		s.answer(conn)
		_ = unix.Close(conn)
	}
}

// members returns the processes of the container. The one for which it was made comes first.
func (t *tasks) members() []int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.complete == nil {
		return []int{t.leader}
	}
	var found []int
	for _, pid := range append([]int{t.leader}, process.IDs()...) {
		if fds, err := t.complete.open(pid); err == nil {
			message.CloseAll(fds)
			found = append(found, pid)
		}
	}
	return found
}

func namespaceOf(pid int, kind string) string {
	return "/proc/" + strconv.Itoa(pid) + "/ns/" + kind
}

func (s *sharer) answer(conn int) {
	peer, err := unix.GetsockoptUcred(conn, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil || int(peer.Uid) != os.Getuid() {
		return
	}
	word, fds := s.find()
	defer message.CloseAll(fds)
	_ = message.Send(conn, &Container{word}, fds...) // it fails if the task has ended
}

// find opens the namespaces of a process in the container: of the one that was found last, or else
// of any.
func (s *sharer) find() (word string, fds []int) {
	fds, err := s.open(s.task)
	if err == nil {
		return Here, fds
	}
	word = Gone
	if errors.Is(err, unix.EACCES) {
		word = Closed
	}
	for _, pid := range process.IDs() {
		if fds, err := s.open(pid); err == nil {
			s.task = pid
			return Here, fds
		}
	}
	return word, nil
}

// errNotInside says that a process is not in the container.
var errNotInside = errors.New("not in this container")

func (s *sharer) open(pid int) ([]int, error) {
	mount, err := unix.Open(namespaceOf(pid, "mnt"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	var ns unix.Stat_t
	if err := unix.Fstat(mount, &ns); err != nil || ns.Ino != s.inode {
		return nil, errors.Join(errNotInside, unix.Close(mount))
	}
	// If this container has ended, its number may belong to another by now, even to one that is
	// being made. The mark tells them apart: no other container has it.
	mounts, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/mountinfo")
	if err != nil || !bytes.Contains(mounts, s.mark) {
		return nil, errors.Join(errNotInside, unix.Close(mount))
	}
	user, err := unix.Open(namespaceOf(pid, "user"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, errors.Join(err, unix.Close(mount))
	}
	return []int{mount, user}, nil
}
