package serve

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/run/inside"
)

// damage is what the file server does when it cannot read its image: it tells the user of the
// command once, and sets the file aside.
type damage struct {
	once   sync.Once
	file   string
	sif    *os.File
	aside  inside.Aside
	prefix string              // begins messages
	stderr FileID              // the command's standard error
	whose  func() (pids []int) // processes that are in the container, or about to be
}

// found is called for every error that is the image's, or its file system's.
func (d *damage) found(err error) {
	d.once.Do(func() {
		e := inside.DamagedImage(d.file, d.sif, d.aside, err)
		var text bytes.Buffer
		fault.Print(&text, d.prefix, e, fault.Engine)
		told := make(chan struct{})
		go func() {
			defer close(told)
			d.tell(text.Bytes())
		}()
		// The process that reads the image waits for this, and so still exists to be told.
		select {
		case <-told:
		case <-time.After(tellLimit):
		}
	})
}

// tellLimit bounds how long a message may wait for room in the command's standard error.
const tellLimit = time.Second

// FileID identifies a file, also a pipe or a terminal.
type FileID struct{ Dev, Ino uint64 }

// IDOf returns the identity of the file at a path; the zero value if there is none.
func IDOf(path string) FileID {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return FileID{}
	}
	return FileID{st.Dev, st.Ino}
}

// tell writes to the command's standard error, in whatever process of the container has it open:
// while a shell runs a command with another standard error, the shell holds it elsewhere. The
// server holds no descriptor of the caller's: the caller's pipes would stay open with it.
func (d *damage) tell(text []byte) {
	for _, pid := range d.whose() {
		dir := "/proc/" + strconv.Itoa(pid) + "/fd/"
		names, err := os.ReadDir(dir)
		if err != nil {
			continue // it has ended
		}
		for _, name := range names {
			n, err := strconv.Atoi(name.Name())
			if err == nil && IDOf(dir+name.Name()) == d.stderr && writeTo(pid, n, text) {
				return
			}
		}
	}
}

// writeTo writes to a descriptor of another process.
func writeTo(pid, n int, text []byte) bool {
	fd, err := descriptorOf(pid, n)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	room := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	end := time.Now().Add(tellLimit)
	for {
		left := time.Until(end)
		_, err := unix.Poll(room, int(max(0, left.Milliseconds())))
		if errors.Is(err, unix.EINTR) && left > 0 {
			continue
		}
		if room[0].Revents&unix.POLLOUT == 0 {
			return false
		}
		_, err = unix.Write(fd, text)
		return err == nil
	}
}

// descriptorOf opens a file that another process of the same user has open. It takes that very
// descriptor if the kernel gives it, else it opens the file by name, which works for terminals,
// files and one's own pipes.
func descriptorOf(pid, n int) (int, error) {
	process, err := unix.PidfdOpen(pid, 0)
	if err == nil {
		defer unix.Close(process)
		if fd, err := unix.PidfdGetfd(process, n, 0); err == nil {
			return fd, nil
		}
	}
	const how = unix.O_WRONLY | unix.O_APPEND | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	return unix.Open("/proc/"+strconv.Itoa(pid)+"/fd/"+strconv.Itoa(n), how, 0)
}
