package run

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// What the file server answers a task that asks for its container's namespaces.
const (
	answerHere   = "here"   // with their descriptors
	answerGone   = "gone"   // the last process has ended
	answerClosed = "closed" // there are processes, but the kernel shows their namespaces to nobody
)

// sharer is the part of the file server that lets other tasks of a step into the container. It holds none of the container's
// namespaces, which would keep it alive: a process in there is asked for them each time.
type sharer struct {
	inode uint64 // of the mount namespace
	mark  []byte // in the list of its mounts
	task  int    // a process that was in there
}

// newMark returns a name that no other container has. The number of a namespace is that of the next one as soon as it has ended.
func newMark() (string, error) {
	var raw [8]byte
	if _, err := unix.Getrandom(raw[:], 0); err != nil {
		return "", os.NewSyscallError("getrandom", err)
	}
	return hex.EncodeToString(raw[:]), nil
}

// workdir is the work directory of a container's overlay, which the list of its mounts shows.
func workdir(mark string) string { return work + "-" + mark }

// sayComplete is the maker's word to the file server that other tasks may come in: the number of the mount namespace and the container's mark. A
// server that lets none in does not listen.
func sayComplete(sock, mount int, mark string) {
	var ns unix.Stat_t
	if unix.Fstat(mount, &ns) == nil {
		_ = unix.Sendmsg(sock, []byte(strconv.FormatUint(ns.Ino, 10)+" "+mark), nil, nil, unix.MSG_NOSIGNAL)
	}
}

// tasks are the processes of a container, as far as the file server knows them.
type tasks struct {
	mu       sync.Mutex
	complete *sharer // as it was when the container was complete; nil before
	leader   int     // the process for which the container is made
}

// follow waits until leader's container is complete, which it says at sock, and then answers other tasks at the listening socket, if there is one. Where
// the container ends before that, so does this program, as its mount is gone, and those who wait see their connections closed.
func (t *tasks) follow(listener, sock int) {
	text, _, err := receiveFDs(sock)
	if err != nil {
		return
	}
	number, mark, _ := strings.Cut(text, " ")
	inode, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return
	}
	s := &sharer{inode: inode, mark: []byte(",workdir=" + workdir(mark)), task: t.leader}
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
	for _, pid := range append([]int{t.leader}, processIDs()...) {
		if fds, err := t.complete.open(pid); err == nil {
			closeAll(fds)
			found = append(found, pid)
		}
	}
	return found
}

func namespaceOf(pid int, kind string) string { return "/proc/" + strconv.Itoa(pid) + "/ns/" + kind }

func (s *sharer) answer(conn int) {
	peer, err := unix.GetsockoptUcred(conn, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil || int(peer.Uid) != os.Getuid() {
		return
	}
	word, fds := s.find()
	defer closeAll(fds)
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	_ = unix.Sendmsg(conn, []byte(word), rights, nil, unix.MSG_NOSIGNAL) // a task that has ended needs no answer
}

// find opens the namespaces of a process in the container: of the one that was found last, or else of any.
func (s *sharer) find() (word string, fds []int) {
	fds, err := s.open(s.task)
	if err == nil {
		return answerHere, fds
	}
	word = answerGone
	if errors.Is(err, unix.EACCES) {
		word = answerClosed
	}
	for _, pid := range processIDs() {
		if fds, err := s.open(pid); err == nil {
			s.task = pid
			return answerHere, fds
		}
	}
	return word, nil
}

// processIDs are the numbers of all processes that are seen from here.
func processIDs() []int {
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is fine
	pids := make([]int, 0, len(dirs))
	for _, dir := range dirs {
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
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
	// Where this container has ended, the number may be that of another by now, even of one that is being made. It has ended for good then: nobody else
	// has its mark.
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

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd) // they are open
	}
}

// maxMessage bounds a text between our own processes: some paths and numbers.
const maxMessage = 5 * unix.PathMax

// receiveFDs receives a text and what descriptors come with it, three at most.
func receiveFDs(sock int) (text string, fds []int, err error) {
	raw, oob := make([]byte, maxMessage), make([]byte, unix.CmsgSpace(3*4))
	n, oobn, _, _, err := unix.Recvmsg(sock, raw, oob, unix.MSG_CMSG_CLOEXEC)
	for errors.Is(err, unix.EINTR) {
		n, oobn, _, _, err = unix.Recvmsg(sock, raw, oob, unix.MSG_CMSG_CLOEXEC)
	}
	if err != nil {
		return "", nil, err
	}
	if n == 0 {
		return "", nil, errors.New("the connection was closed")
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return "", nil, err
	}
	for _, m := range messages {
		rights, err := unix.ParseUnixRights(&m)
		if err != nil {
			return "", nil, err
		}
		fds = append(fds, rights...)
	}
	return string(raw[:n]), fds, nil
}
