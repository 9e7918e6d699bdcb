// Package serve is the file server: it serves the image's files over FUSE until the container ends,
// reports damage, and lets other tasks of the step into the container.
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

// Service is the file server's first message. With it come the SIF and, if other tasks may enter,
// the socket at which they ask.
type Service struct {
	File       string // path of the SIF
	Offset     int64  // of the SquashFS in the SIF
	Sums       inside.Checksums
	Aside      inside.Aside
	Prefix     string // begins messages
	Stderr     FileID // the command's standard error, to which messages go
	Cached     bool   // the SIF is in a cache
	Kernel     bool   // the kernel reads it
	Squashfuse string // the program that serves it; "": this one
}

// Mount tells the file server of a mount. With it comes a descriptor of /dev/fuse to serve or, if
// the kernel reads the image, one that shows the end of the mount.
type Mount struct {
	UID, GID int // the owner that files are to have; negative: the image's own
}

// usedEvery is how often the server marks its SIF as used: hpc3 cache gc keeps a SIF that was used
// within an hour, also on another node.
const usedEvery = 20 * time.Minute

// Run is the file server. It waits for its Service, then for a Mount, and serves the SIF, or has it
// served, until the mount is gone. That is when the last process of the container has ended, in
// whatever way. The server stays outside of the container's namespaces, which it would keep alive.
func Run(sock int) error {
	process.LeaveSignals() // the mount ends with the command, and so does the server
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
		// squashfuse_ll has not answered, and the other end has mounted again, for this program
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
		DisableSplice: true, // the data to send is in memory
		// the kernel then asks once only; otherwise an overlay would ask for each directory and
		// file
		DisableXAttrs: !img.HasXattrs(),
	})
	if err != nil {
		return err
	}
	fsys.memory.use() // so that the memory of the start is given back, too
	server.Serve()
	return nil
}

// sayUsed marks the SIF as used at each tick, if that is allowed.
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

// waitUnmounted waits for the end of the mount.
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
