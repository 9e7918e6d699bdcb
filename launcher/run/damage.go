package run

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// Checksums says where a SIF holds those of its file system. The zero value: it has none.
type Checksums struct{ Offset, Size int64 }

// Aside is what is done with a file of a cache that turns out to be damaged. The zero value is for
// files of no cache.
type Aside struct {
	Name string // the path that it gets, so that no start finds it any more
	Mark string // where it may not be renamed: a file that is made for this user's starts to see
}

// maxSums bounds the table of checksums that is held in memory, of 8 bytes for each piece. A file
// system of more than a terabyte is read without.
const maxSums = 128 << 20

// openImage opens the SquashFS in a SIF.
func openImage(sif *os.File, offset int64, sums Checksums) (*squashfs.FS, error) {
	in := fileFrom{sif, offset}
	if sums.Size <= 0 || sums.Size > maxSums {
		return squashfs.Open(in)
	}
	raw := make([]byte, sums.Size)
	if _, err := sif.ReadAt(raw, sums.Offset); err != nil {
		return nil, err
	}
	table, err := squashfs.ParseSums(raw)
	if err != nil {
		return nil, err
	}
	return squashfs.OpenChecked(in, table)
}

// fileFrom is a file from an offset on.
type fileFrom struct {
	f  *os.File
	at int64
}

func (r fileFrom) ReadAt(p []byte, off int64) (int, error) { return r.f.ReadAt(p, r.at+off) }

// Put sets a damaged file of a cache aside: gone tells whether the caller's next start finds it no
// more, and hint what is to be done. A file that has come in its place meanwhile is left alone.
func (a Aside) Put(file string, sif *os.File) (hint string, gone bool) {
	var open, there unix.Stat_t
	err := unix.Fstat(int(sif.Fd()), &open)
	if err == nil {
		err = unix.Lstat(file, &there)
	}
	if err != nil || open.Ino != there.Ino || open.Dev != there.Dev {
		return "it is replaced already: start again", true
	}
	if os.Rename(file, a.Name) == nil {
		return "it is set aside as " + filepath.Base(a.Name) + ": start again, and the image is made anew", true
	}
	if a.Mark == "" {
		return "remove it, and the next start makes the image anew", false
	}
	const tell = "tell who keeps this cache: hpc3 cache verify --repair"
	if a.leaveMark(file) != nil {
		return "you may not replace it; " + tell, false
	}
	return "you may not replace it, and your next start passes it over; " + tell, true
}

// errNotOwn is a cache into which others could lead a write.
var errNotOwn = errors.New("it is not the caller's alone")

// leaveMark makes the mark below the directory of the caller's cache, whose owner and mode are
// looked at on the open descriptor: a link in its place leads the write nowhere else.
func (a Aside) leaveMark(file string) error {
	dir, name := filepath.Split(a.Mark)
	room := filepath.Base(dir)
	dir = filepath.Dir(filepath.Clean(dir))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	cache, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = cache.Close() }() // nothing is written by it itself
	info, err := cache.Stat(".")
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Uid != uint32(os.Geteuid()) || info.Mode().Perm()&0o022 != 0 {
		return errNotOwn
	}
	if err := cache.MkdirAll(room, 0o700); err != nil {
		return err
	}
	return cache.WriteFile(filepath.Join(room, name), []byte(file+"\n"), 0o600)
}

// damagedImage is the error about an image that cannot be read. One of a cache is set aside, unless
// the fault is its file system's.
func damagedImage(file string, sif *os.File, aside Aside, err error) *fault.Error {
	switch {
	case errors.Is(err, squashfs.ErrRead):
		return fault.New(fault.Engine, "reading the image in %s: %w", file, err).Hint("see whether its file system works")
	case aside.Name == "":
		return fault.New(fault.Engine, "the image in %s cannot be read: %w", file, err).Hint("make or fetch it anew")
	}
	hint, _ := aside.Put(file, sif)
	return fault.New(fault.Cache, "the image in %s cannot be read: %w", file, err).Hint("%s", hint)
}

// damage is what the file server does when it cannot read its image: the command's user is told
// once, and the file set aside.
type damage struct {
	once   sync.Once
	file   string
	sif    *os.File
	aside  Aside
	prefix string              // of messages
	stderr fileID              // the command's
	whose  func() (pids []int) // processes of the container, or about to be in it
}

// found is called for every error that is not one of a question.
func (d *damage) found(err error) {
	d.once.Do(func() {
		e := damagedImage(d.file, d.sif, d.aside, err)
		var text bytes.Buffer
		fault.Print(&text, d.prefix, e, fault.Engine)
		told := make(chan struct{})
		go func() {
			defer close(told)
			d.tell(text.Bytes())
		}()
		// Whoever reads the image waits as long, and is there to be told.
		select {
		case <-told:
		case <-time.After(tellLimit):
		}
	})
}

// tellLimit is how long a message to the command's standard error may wait for room.
const tellLimit = time.Second

// fileID tells files from one another, pipes and terminals too.
type fileID struct{ dev, ino uint64 }

func idOf(path string) fileID {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return fileID{}
	}
	return fileID{st.Dev, st.Ino}
}

// tell writes to the command's standard error, wherever a process of the container has it: a shell
// has it elsewhere while it runs a command with another one. The server holds no descriptor of the
// caller's, as his pipes would stay open with it.
func (d *damage) tell(text []byte) {
	for _, pid := range d.whose() {
		dir := "/proc/" + strconv.Itoa(pid) + "/fd/"
		names, err := os.ReadDir(dir)
		if err != nil {
			continue // it has ended
		}
		for _, name := range names {
			n, err := strconv.Atoi(name.Name())
			if err == nil && idOf(dir+name.Name()) == d.stderr && writeTo(pid, n, text) {
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

// descriptorOf opens a file that another process of the same user has open: the very one where the
// kernel gives it, else by its name, which is enough for terminals, files and one's own pipes.
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
