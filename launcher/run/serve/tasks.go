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

// Container is what the file server answers a task that asks for its container's namespaces.
type Container struct{ State string }

// Kind is the message's.
func (*Container) Kind() string { return "answer about the container" }

// The states of a container.
const (
	Here   = "here"   // with their descriptors
	Gone   = "gone"   // the last process has ended
	Closed = "closed" // there are processes, but the kernel shows their namespaces to nobody
)

// sharer is the part of the file server that lets other tasks of a step into the container. It
// holds none of the container's namespaces, which would keep it alive: a process in there is asked
// for them each time.
type sharer struct {
	inode uint64 // of the mount namespace
	mark  []byte // in the list of its mounts
	task  int    // a process that was in there
}

// WorkPrefix begins the name of an overlay's work directory. A mark follows.
const WorkPrefix = "/work-"

// Workdir is the work directory of a container's overlay, which the list of its mounts shows.
func Workdir(mark string) string { return WorkPrefix + mark }

// Complete is the maker's word to the file server that the container is complete.
type Complete struct {
	Inode uint64 // of the mount namespace
	Mark  string
}

// Kind is the message's.
func (*Complete) Kind() string { return "word about the container" }

// tasks are the processes of a container, as far as the file server knows them.
type tasks struct {
	mu       sync.Mutex
	complete *sharer // as it was when the container was complete; nil before
	leader   int     // the process for which the container is made
}

// follow waits until leader's container is complete, which it says at sock, and then answers other
// tasks at the listening socket, if there is one. Where the container ends before that, so does
// this program, as its mount is gone, and those who wait see their connections closed.
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

// members are the processes of the container, first the one for which it was made.
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
	return "/proc/" + strconv.Itoa(pid) + "/ns/" +
		kind
}

func (s *sharer) answer(conn int) {
	peer, err := unix.GetsockoptUcred(conn, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil || int(peer.Uid) != os.Getuid() {
		return
	}
	word, fds := s.find()
	defer message.CloseAll(fds)
	_ = message.Send(conn, &Container{word}, fds...) // a task that has ended needs no answer
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

// errElsewhere says that a process is not in the container.
var errElsewhere = errors.New("not in this container")

func (s *sharer) open(pid int) ([]int, error) {
	mount, err := unix.Open(namespaceOf(pid, "mnt"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	var ns unix.Stat_t
	if err := unix.Fstat(mount, &ns); err != nil || ns.Ino != s.inode {
		return nil, errors.Join(errElsewhere, unix.Close(mount))
	}
	// Where this container has ended, the number may be that of another by now, even of one that is
	// being made. It has ended for good then: nobody else has its mark.
	mounts, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/mountinfo")
	if err != nil || !bytes.Contains(mounts, s.mark) {
		return nil, errors.Join(errElsewhere, unix.Close(mount))
	}
	user, err := unix.Open(namespaceOf(pid, "user"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, errors.Join(err, unix.Close(mount))
	}
	return []int{mount, user}, nil
}
