package run

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// serverSocket is the one descriptor that the server needs of those that it is started with.
const serverSocket = 3

// serverCallList is the descriptor of the calls that start the server and the maker.
const serverCallList = 5

// serverProcessors bounds how many files are inflated at once: the job has more use for a large node.
const serverProcessors = 8

// What the file server is told at its socket, first of all: with the SIF, and the socket where other tasks may come in, if they may.
type service struct {
	file       string // path of the SIF
	offset     int64  // of the SquashFS in the SIF
	sums       Checksums
	aside      Aside
	prefix     string // of messages
	stderr     fileID // the command's standard error, where they go
	cached     bool   // the SIF is one of a cache
	kernel     bool   // the kernel reads it
	squashfuse string // the program that serves it; "": we do
}

func (s service) pack() ([]byte, error) {
	var p packer
	p.text(s.file)
	p.number(int(s.offset))
	p.number(int(s.sums.Offset))
	p.number(int(s.sums.Size))
	p.text(s.aside.Name)
	p.text(s.aside.Mark)
	p.text(s.prefix)
	p.number(int(s.stderr.dev))
	p.number(int(s.stderr.ino))
	p.flag(s.cached)
	p.flag(s.kernel)
	p.text(s.squashfuse)
	return p.raw, p.err
}

func unpackService(raw string) (service, error) {
	u := unpacker{rest: raw}
	s := service{
		file: u.text(), offset: int64(u.number()), sums: Checksums{int64(u.number()), int64(u.number())}, aside: Aside{u.text(), u.text()}, prefix: u.text(),
		stderr: fileID{uint64(u.number()), uint64(u.number())},
		cached: u.flag(), kernel: u.flag(), squashfuse: u.text(),
	}
	if u.bad || u.rest != "" {
		return service{}, errors.New("the service is damaged")
	}
	return s, nil
}

// usedEvery is how often the server says that its SIF is in use: hpc3 cache gc spares what was used within an hour, also on another node.
const usedEvery = 20 * time.Minute

// Server is a file server and a maker that have been started and wait to be told what to serve and make, each at its socket.
type Server struct{ sock, maker int }

// StartServer starts both ahead of their work: that takes as long as all else a start does, and can be done meanwhile. They end with this process,
// or when the Server is closed, unless they have been told. The environment says which processors are the job's.
func StartServer(getenv func(string) string) (*Server, error) {
	if entryResult == entryNotRun {
		return nil, noEntry()
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
	list, err := writeMemory(serverCalls(!canMount()).file())
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	calls := os.NewFile(uintptr(list), "calls")
	defer calls.Close()
	var process *os.Process
	err = onCPUs(getenv, func(cpus int) (err error) {
		words := []string{nameServe, strconv.Itoa(serverCallList)}
		process, err = startBeside(words, serverEnv(cpus), theirs, makers, calls)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	state, err := process.Wait() // it has forked at its first instructions; the children are the maker and the server
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
		"GOMAXPROCS=" + strconv.Itoa(modestProcessors(min(cpus, serverProcessors))),
		// A command that reads little ends before garbage is worth collecting.
		"GOGC=400", "GOMEMLIMIT=" + strconv.Itoa(roomy.total),
		// Go would keep the cgroup's files open to follow its limits; the server closes what it does not know.
		"GODEBUG=containermaxprocs=0,updatemaxprocs=0",
	}
}

// startBeside starts a stage of this program that holds nothing of the caller's. Its descriptors are the files, from 3 on.
func startBeside(words, env []string, files ...*os.File) (*os.Process, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	return os.StartProcess(selfExe, words, &os.ProcAttr{
		Dir: "/", Env: env, Files: append([]*os.File{null, null, null}, files...), Sys: &syscall.SysProcAttr{Setsid: true},
	})
}

// leaveSignals leaves a signal to the whole step or process group to the command.
func leaveSignals() {
	signal.Ignore(unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2, unix.SIGPIPE, unix.SIGALRM,
		unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGXCPU, unix.SIGXFSZ, unix.SIGVTALRM, unix.SIGPROF, unix.SIGWINCH)
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
func (s *Server) tell(what service, sif *os.File, listener int) error {
	raw, err := what.pack()
	if err != nil {
		return err
	}
	fds := []int{int(sif.Fd())}
	if listener >= 0 {
		fds = append(fds, listener)
	}
	return unix.Sendmsg(s.sock, raw, unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL)
}

// serve is the file server. It waits for its service, then for a descriptor of /dev/fuse, and serves the SIF on it, or has it served, until the mount
// is gone, which is when the last process of the container has ended, however it ended. It stays outside of the
// container's namespaces, or it would keep them alive itself.
func serve() error {
	leaveSignals() // when the command has ended, so has the mount
	closeInherited(serverSocket)
	text, fds, err := receiveFDs(serverSocket)
	if err != nil {
		return err
	}
	what, err := unpackService(text)
	if err != nil || len(fds) == 0 {
		return errors.Join(errors.New("no SIF came"), err)
	}
	sif := os.NewFile(uintptr(fds[0]), "sif")
	defer sif.Close()
	fd, uid, gid, err := receive(serverSocket)
	if err != nil {
		return err
	}
	if what.cached {
		go sayUsed(sif, time.NewTicker(usedEvery).C)
	}
	leader, err := unix.GetsockoptUcred(serverSocket, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return err
	}
	t := &tasks{leader: int(leader.Pid)}
	answer := func() {
		listener := -1
		if len(fds) > 1 {
			listener = fds[1]
		}
		go t.follow(listener, serverSocket)
	}
	if what.kernel {
		answer()
		return waitUnmounted(fd)
	}
	if what.squashfuse != "" {
		if up, err := serveBy(what.squashfuse, squashfuseOptions(what.offset, uid, gid), sif, fd, answer); up || err != nil {
			return err
		}
		if fd, uid, gid, err = receive(serverSocket); err != nil { // the other end has mounted anew, for us
			return err
		}
	}
	answer()
	return what.serve(sif, fd, uid, gid, t)
}

func (s service) serve(sif *os.File, fd, uid, gid int, t *tasks) error {
	d := &damage{file: s.file, sif: sif, aside: s.aside, prefix: s.prefix, stderr: s.stderr, whose: t.members}
	img, err := openImage(sif, s.offset, s.sums)
	if err != nil {
		d.found(err)
		return err
	}
	m := serverMemory(memoryLimit())
	debug.SetMemoryLimit(int64(m.total) + min(s.sums.Size, maxSums))
	fsys := newImageFS(img, uid, gid, m, d)
	server, err := fuse.NewServer(fsys, "/dev/fd/"+strconv.Itoa(fd), &fuse.MountOptions{
		MaxWrite: maxRead, MaxReadAhead: maxRead, MaxBackground: m.requests, IgnoreSecurityLabels: true, EnableSymlinkCaching: true,
		DisableSplice: true,             // what is sent lies in memory
		DisableXAttrs: !img.HasXattrs(), // the kernel then asks once and never again; an overlay would ask for each directory and file
	})
	if err != nil {
		return err
	}
	fsys.memory.use() // what the start left goes back, too
	server.Serve()
	return nil
}

// sayUsed notes at each tick that the SIF is in use, where that is allowed.
func sayUsed(sif *os.File, tick <-chan time.Time) {
	path := "/proc/self/fd/" + strconv.Itoa(int(sif.Fd()))
	for range tick {
		_ = unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Nsec: unix.UTIME_NOW}}, 0)
	}
}

// closeInherited closes the caller's descriptors: a pipe that the server held would keep its reader waiting. Those of Go's
// runtime are close-on-exec, those that came through exec are not.
func closeInherited(last int) {
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		return // the pattern is fine
	}
	for _, link := range links {
		fd, err := strconv.Atoi(filepath.Base(link))
		if err != nil || fd <= last {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			_ = unix.Close(fd) // it is open
		}
	}
}

// send hands the descriptor of /dev/fuse to the server, with the owner that files are to have; negative: the image's own.
func send(sock, fd, uid, gid int) error {
	text := strconv.Itoa(uid) + " " + strconv.Itoa(gid)
	return unix.Sendmsg(sock, []byte(text), unix.UnixRights(fd), nil, 0)
}

func receive(sock int) (fd, uid, gid int, err error) {
	text, fds, err := receiveFDs(sock)
	if err != nil || len(fds) != 1 {
		return 0, 0, 0, errors.Join(errors.New("no descriptor came"), err)
	}
	var owner [2]int
	if err := parsePair(text, &owner); err != nil {
		return 0, 0, 0, err
	}
	return fds[0], owner[0], owner[1], nil
}

func parsePair(s string, to *[2]int) error {
	a, b, _ := strings.Cut(s, " ")
	var err error
	if to[0], err = strconv.Atoi(a); err != nil {
		return err
	}
	to[1], err = strconv.Atoi(b)
	return err
}
