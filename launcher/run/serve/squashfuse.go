package serve

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/run/message"
)

// Verdict tells the server whether the squashfuse_ll that is to serve a mount has answered the
// maker. If it has not, another Mount follows, which the server is to serve itself.
type Verdict struct{ Up bool }

// Kind is the message's.
func (*Verdict) Kind() string { return "answer of squashfuse_ll" }

// squashfuseLimit bounds how long squashfuse_ll may take for its first answer, which takes
// milliseconds.
const squashfuseLimit = 5 * time.Second

// squashfuseOptions returns squashfuse_ll's options. A version that does not know uid and gid ends
// at once.
func squashfuseOptions(offset int64, owner Mount) string {
	options := "offset=" + strconv.FormatInt(offset, 10)
	if owner.UID >= 0 {
		options += ",uid=" + strconv.Itoa(owner.UID) + ",gid=" + strconv.Itoa(owner.GID)
	}
	return options
}

// serveBy makes squashfuse_ll serve the SIF on the descriptor of /dev/fuse. Once the program has
// answered, serveBy calls ready, and returns when the program ends. up is false if it did not
// answer: the other end then wants this program to serve.
func serveBy(program, options string, sif *os.File, sock, fd int,
	ready func(),
) (up bool, err error) {
	server, err := startSquashfuse(program, options, sif, fd)
	if err != nil {
		_, err = message.Receive(sock, &Verdict{})
		return false, err
	}
	kill := func() { _ = unix.Kill(-server.Pid, unix.SIGKILL) } // its group: it may be a script
	// If it is killed, it lets go of the mount, and the other end sees that.
	late := time.AfterFunc(squashfuseLimit, kill)
	var answer Verdict
	_, err = message.Receive(sock, &answer)
	late.Stop()
	if answer.Up {
		ready()
	} else {
		kill()
	}
	_, waitErr := server.Wait()
	return answer.Up, errors.Join(err, waitErr)
}

// startSquashfuse starts the program, which inherits the SIF with its lock, and the signals that
// are ignored here. It survives the death of this process. The descriptor of /dev/fuse is closed
// here: if both held it, the mount would outlive its server.
func startSquashfuse(program, options string, sif *os.File, fd int) (*os.Process, error) {
	device := os.NewFile(uintptr(fd), "fuse")
	defer device.Close()
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	return os.StartProcess(program,
		[]string{filepath.Base(program), "-f", "-o", options, "/proc/self/fd/3", "/dev/fd/4"},
		&os.ProcAttr{
			Dir: "/", Env: []string{"PATH=/usr/bin:/bin"},
			Files: []*os.File{null, null, null, sif, device},
			Sys:   &syscall.SysProcAttr{Setpgid: true},
		})
}
