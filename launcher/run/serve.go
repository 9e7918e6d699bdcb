package run

import (
	"errors"
	"io"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// Descriptors that the server is started with. The last one only where it is to let other tasks in.
const (
	serverSocket   = 3
	serverSIF      = 4
	serverListener = 5
)

// serverMemory is where the server's garbage collector begins to work hard: the caches take at most 40 MiB.
const serverMemory = 96 << 20

// Words behind the offset: the SIF is one of a cache; other tasks may come; the kernel reads it. A path is of squashfuse_ll, which does.
const (
	serveCached = "cached"
	serveShared = "shared"
	serveKernel = "kernel"
)

// usedEvery is how often the server says that its SIF is in use: hpc3 cache gc spares what was used within an hour, also on another node.
const usedEvery = 20 * time.Minute

// serve is the file server. It waits for a descriptor of /dev/fuse and serves the SIF on it, or has it served, until the mount is gone, which is when
// the last process of the container has ended, however it ended. It stays outside of the container's namespaces, or
// it would keep them alive itself.
func serve(args []string) error {
	if len(args) == 0 {
		return errors.New("usage: hpc3:serve OFFSET [cached] [shared] [kernel | PROGRAM]")
	}
	cached, shared := slices.Contains(args[1:], serveCached), slices.Contains(args[1:], serveShared)
	offset, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		return err
	}
	// A signal to the whole step or process group is for the command. When the command has ended, so has the mount.
	signal.Ignore(unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2, unix.SIGPIPE, unix.SIGALRM,
		unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGXCPU, unix.SIGXFSZ, unix.SIGVTALRM, unix.SIGPROF, unix.SIGWINCH)
	last := serverSIF
	if shared {
		last = serverListener
		unix.CloseOnExec(serverListener)
	}
	closeInherited(last)
	debug.SetMemoryLimit(serverMemory)
	fd, uid, gid, err := receive(serverSocket)
	if err != nil {
		return err
	}
	sif := os.NewFile(serverSIF, "sif")
	defer sif.Close()
	if cached {
		go sayUsed(time.NewTicker(usedEvery).C)
	}
	answer := func() {
		if shared {
			go answerTasks(serverListener, serverSocket)
		}
	}
	if slices.Contains(args[1:], serveKernel) {
		answer()
		return waitUnmounted(fd)
	}
	if at := slices.IndexFunc(args, filepath.IsAbs); at >= 0 {
		if up, err := serveBy(args[at], squashfuseOptions(offset, uid, gid), sif, fd, answer); up || err != nil {
			return err
		}
		if fd, uid, gid, err = receive(serverSocket); err != nil { // the other end has mounted anew, for us
			return err
		}
	}
	answer()
	return serveOurselves(sif, offset, fd, uid, gid)
}

func serveOurselves(sif *os.File, offset int64, fd, uid, gid int) error {
	img, err := squashfs.Open(io.NewSectionReader(sif, offset, math.MaxInt64-offset))
	if err != nil {
		return err
	}
	server, err := fuse.NewServer(newImageFS(img, uid, gid), "/dev/fd/"+strconv.Itoa(fd), &fuse.MountOptions{
		MaxWrite: maxRead, MaxReadAhead: maxRead, MaxBackground: 64, IgnoreSecurityLabels: true, EnableSymlinkCaching: true,
	})
	if err != nil {
		return err
	}
	server.Serve()
	return nil
}

// sayUsed notes at each tick that the SIF is in use, where that is allowed.
func sayUsed(tick <-chan time.Time) {
	for range tick {
		_ = unix.UtimesNanoAt(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(serverSIF), []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Nsec: unix.UTIME_NOW}}, 0)
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
