package run

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What the maker tells the server about a mount that squashfuse_ll is to serve.
const (
	mountUp   = 'u'
	mountDown = 'd' // it did not answer; another mount follows, which the server is to serve itself
)

// squashfuseLimit bounds how long squashfuse_ll may take to answer for the first time, which takes milliseconds.
const squashfuseLimit = 5 * time.Second

// squashfuseOptions are what squashfuse_ll needs to know. Versions that do not know uid and gid end at once.
func squashfuseOptions(offset int64, uid, gid int) string {
	options := "offset=" + strconv.FormatInt(offset, 10)
	if uid >= 0 {
		options += ",uid=" + strconv.Itoa(uid) + ",gid=" + strconv.Itoa(gid)
	}
	return options
}

// serveBy has squashfuse_ll serve the SIF on the descriptor of /dev/fuse. Once that has answered it calls ready, and ends with it; up is false
// where it did not answer and the other end has this program serve.
func serveBy(program, options string, sif *os.File, fd int, ready func()) (up bool, err error) {
	server, err := startSquashfuse(program, options, sif, fd)
	if err != nil {
		_, err = readWord(serverSocket)
		return false, err
	}
	kill := func() { _ = unix.Kill(-server.Pid, unix.SIGKILL) } // its group: it may be a script
	// Killed, it lets go of the mount, which the other end sees.
	late := time.AfterFunc(squashfuseLimit, kill)
	word, err := readWord(serverSocket)
	late.Stop()
	if word == mountUp {
		ready()
	} else {
		kill()
	}
	_, waitErr := server.Wait()
	return word == mountUp, errors.Join(err, waitErr)
}

// startSquashfuse starts the program, which inherits the SIF with its lock and what signals are ignored here. It goes on where this process is
// killed. The descriptor of /dev/fuse is closed here: held by both, the mount would outlive its server.
func startSquashfuse(program, options string, sif *os.File, fd int) (*os.Process, error) {
	device := os.NewFile(uintptr(fd), "fuse")
	defer device.Close()
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	return os.StartProcess(program, []string{filepath.Base(program), "-f", "-o", options, "/proc/self/fd/3", "/dev/fd/4"}, &os.ProcAttr{
		Dir: "/", Env: []string{"PATH=/usr/bin:/bin"}, Files: []*os.File{null, null, null, sif, device},
		Sys: &syscall.SysProcAttr{Setpgid: true},
	})
}

// readWord reads a byte from the other end.
func readWord(sock int) (byte, error) {
	var word [1]byte
	for {
		n, err := unix.Read(sock, word[:])
		if n == 0 && err == nil {
			err = io.EOF
		}
		if !errors.Is(err, unix.EINTR) {
			return word[0], err
		}
	}
}

func sendWord(sock int, word byte) error {
	return unix.Sendmsg(sock, []byte{word}, nil, nil, unix.MSG_NOSIGNAL)
}
