package native

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/run/message"
	"github.com/hpc3-project/hpc3/launcher/run/process"
	"github.com/hpc3-project/hpc3/launcher/run/serve"
)

// serverSocket is the one descriptor that the server needs of those that it is started with.
const serverSocket = 3

// serverCallList is the descriptor of the calls that start the server and the maker.
const serverCallList = 5

// Server is a file server and a maker that have started, and wait, each at its socket, to be told
// what to serve and to make.
type Server struct{ sock, maker int }

// StartServer starts both ahead of their work: that takes as long as the rest of a start, and runs
// beside it. They end with this process, or when the Server is closed, unless they have been told
// what to do. The environment says which processors are the job's.
func StartServer(getenv func(string) string) (*Server, error) {
	if err := CheckEntry(); err != nil {
		return nil, err
	}
	sock, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	maker, makers, err := socketPair()
	if err != nil {
		return nil, errors.Join(err, unix.Close(sock))
	}
	defer makers.Close()
	s := &Server{sock, maker}
	list, err := message.Memory(serverCalls(!CanMount()).file())
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	calls := os.NewFile(uintptr(list), "calls")
	defer calls.Close()
	var both *os.Process
	err = onCPUs(getenv, func(cpus int) (err error) {
		words := []string{nameServe, strconv.Itoa(serverCallList)}
		both, err = process.Start(words, serverEnv(cpus), theirs, makers, calls)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	// it has forked at its first instructions; the children are the maker and the server
	state, err := both.Wait()
	if err == nil && !state.Success() {
		err = fmt.Errorf("it ended at once: %s", state)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// serverCalls forks twice and ends, so that the maker and the file server are nobody's children.
// The maker gets namespaces of its own.
func serverCalls(user bool) *recording {
	spaces := uintptr(unix.CLONE_NEWNS)
	if user {
		spaces |= unix.CLONE_NEWUSER
	}
	r := newRecording(nil)
	maker := r.must(toPrepare, unix.SYS_CLONE, uintptr(unix.SIGCHLD))
	maker.zero, maker.bad = 4, 3
	server := r.must(toServe, unix.SYS_CLONE, uintptr(unix.SIGCHLD))
	server.zero, server.bad = stop, 2
	r.must(toPrepare, unix.SYS_EXIT_GROUP, 0)
	r.must(toPrepare, unix.SYS_EXIT_GROUP, 1)
	r.must(toMake, unix.SYS_UNSHARE, spaces).good = stop
	return r
}

func serverEnv(cpus int) []string {
	return []string{
		"GOMAXPROCS=" + strconv.Itoa(modestProcessors(min(cpus, serve.MaxProcessors))),
		// A command that reads little ends before garbage is worth collecting.
		"GOGC=400", "GOMEMLIMIT=" + strconv.Itoa(serve.MaxMemory),
		// Go would keep the cgroup's files open to follow its limits; the server closes what it
		// does not know.
		"GODEBUG=containermaxprocs=0,updatemaxprocs=0",
	}
}

// socketPair returns two ends of a connection, the second as a file to be inherited.
func socketPair() (int, *os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, nil, err
	}
	return pair[0], os.NewFile(uintptr(pair[1]), "socket"), nil
}

// Close ends the server and the maker, unless they have been told what to do. s may be nil.
func (s *Server) Close() error {
	if s == nil {
		return nil
	}
	return errors.Join(unix.Close(s.sock), unix.Close(s.maker))
}

// tell tells the server what to serve. It holds the descriptors from then on.
func (s *Server) tell(what *serve.Service, sif *os.File, listener int) error {
	fds := []int{int(sif.Fd())}
	if listener >= 0 {
		fds = append(fds, listener)
	}
	return message.Send(s.sock, what, fds...)
}
