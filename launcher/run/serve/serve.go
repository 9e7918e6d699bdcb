// Package serve is the file server: it serves the image's files over FUSE until the container ends,
// tells of damage, and lets other tasks of the step into the container.
package serve

import (
	"errors"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/run/inside"
	"github.com/hpc3-project/hpc3/launcher/run/message"
	"github.com/hpc3-project/hpc3/launcher/run/process"
)

// Service is what the file server is told first of all, with the SIF, and the socket at which other
// tasks may come in, if they may.
type Service struct {
	File       string // path of the SIF
	Offset     int64  // of the SquashFS in the SIF
	Sums       inside.Checksums
	Aside      inside.Aside
	Prefix     string // of messages
	Stderr     FileID // the command's standard error, where they go
	Cached     bool   // the SIF is one of a cache
	Kernel     bool   // the kernel reads it
	Squashfuse string // the program that serves it; "": we do
}

// Mount is what the file server is told of a mount: with a descriptor of /dev/fuse, at which it
// is to be served or, if the kernel reads the image, one at which its end is seen.
type Mount struct {
	UID, GID int // the owner that files are to have; negative: the image's own
}

// usedEvery is how often the server says that its SIF is in use: hpc3 cache gc spares what was used
// within an hour, also on another node.
const usedEvery = 20 * time.Minute

// Run is the file server. It waits for its service, then for a descriptor of /dev/fuse, and serves
// the SIF on it, or has it served, until the mount is gone, which is when the last process of the
// container has ended, however it ended. It stays outside of the container's namespaces, or it
// would keep them alive itself.
func Run(sock int) error {
	process.LeaveSignals() // when the command has ended, so has the mount
	process.CloseInherited(sock)
	var what Service
	fds, err := message.Receive(sock, &what)
	if err != nil || len(fds) == 0 {
		return errors.Join(errors.New("no SIF came"), err)
	}
	sif := os.NewFile(uintptr(fds[0]), "sif")
	defer sif.Close()
	fd, owner, err := receiveMount(sock)
	if err != nil {
		return err
	}
	if what.Cached {
		go sayUsed(sif, time.NewTicker(usedEvery).C)
	}
	leader, err := unix.GetsockoptUcred(sock, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return err
	}
	t := &tasks{leader: int(leader.Pid)}
	answer := func() {
		listener := -1
		if len(fds) > 1 {
			listener = fds[1]
		}
		go t.follow(listener, sock)
	}
	if what.Kernel {
		answer()
		return waitUnmounted(fd)
	}
	if what.Squashfuse != "" {
		if up, err := serveBy(what.Squashfuse, squashfuseOptions(what.Offset, owner), sif, sock, fd,
			answer); up || err != nil {
			return err
		}
		// the other end has mounted anew, for us
		if fd, owner, err = receiveMount(sock); err != nil {
			return err
		}
	}
	answer()
	return what.serve(sif, fd, owner, t)
}

func (s *Service) serve(sif *os.File, fd int, owner Mount, t *tasks) error {
	d := &damage{
		file: s.File, sif: sif, aside: s.Aside, prefix: s.Prefix, stderr: s.Stderr,
		whose: t.members,
	}
	img, err := inside.OpenImage(sif, s.Offset, s.Sums)
	if err != nil {
		d.found(err)
		return err
	}
	m := memoryFor(memoryLimit())
	debug.SetMemoryLimit(int64(m.total) + min(s.Sums.Size, inside.MaxSums))
	fsys := newImageFS(img, owner.UID, owner.GID, m, d)
	server, err := fuse.NewServer(fsys, "/dev/fd/"+strconv.Itoa(fd), &fuse.MountOptions{
		MaxWrite: MaxRead, MaxReadAhead: MaxRead, MaxBackground: m.requests,
		IgnoreSecurityLabels: true, EnableSymlinkCaching: true,
		DisableSplice: true, // what is sent lies in memory
		// the kernel then asks once and never again; an overlay would ask for each directory and
		// file
		DisableXAttrs: !img.HasXattrs(),
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
		_ = unix.UtimesNanoAt(unix.AT_FDCWD, path,
			[]unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Nsec: unix.UTIME_NOW}}, 0)
	}
}

func receiveMount(sock int) (fd int, owner Mount, err error) {
	fds, err := message.Receive(sock, &owner)
	if err != nil || len(fds) != 1 {
		return 0, owner, errors.Join(errors.New("no descriptor came"), err)
	}
	return fds[0], owner, nil
}

// waitUnmounted waits at such a descriptor.
func waitUnmounted(watch int) error {
	var event [unix.SizeofInotifyEvent + unix.NAME_MAX + 1]byte
	for {
		_, err := unix.Read(watch, event[:])
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// Kind is the message's.
func (*Service) Kind() string { return "service" }

// Kind is the message's.
func (*Mount) Kind() string { return "mount" }
