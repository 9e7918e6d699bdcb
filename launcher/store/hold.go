package store

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// holdWait bounds how long Hold waits for a collection that looks at the file. One that lasts longer is none of ours.
const holdWait = time.Second

// Hold notes that a SIF is used now and keeps Collect and Remove of this node from it, until the file is closed by all processes that have it.
// gone is true where the file has lost its name: it can be made anew. The file is nil where it is gone or cannot be opened.
func Hold(name string) (f *os.File, gone bool) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, missing(err) || errors.Is(err, syscall.ESTALE)
	}
	for end := time.Now().Add(holdWait); errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK) && time.Now().Before(end); {
		time.Sleep(firstPoll)
	}
	there, err := os.Stat(name)
	ours, errOurs := f.Stat()
	if err != nil || errOurs != nil || !os.SameFile(there, ours) {
		_ = f.Close() // nothing was written to it
		return nil, true
	}
	Used(name)
	return f, false
}

// ofOneNode are the file systems of which a single node has files open: there locks and open files tell all uses. On others
// locks may reach no further than a node, as with Lustre's localflock or BeeGFS, and NFS gives a lock for writing to writers only.
var ofOneNode = []int64{ //nolint:gochecknoglobals // a constant list
	unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.F2FS_SUPER_MAGIC, unix.OVERLAYFS_SUPER_MAGIC,
	0x2fc12fc1, // ZFS
}

// alone tells whether no other node can use the files of the directory: its file system is one of this node, which exports none.
func alone(root *os.Root) bool {
	d, err := root.Open(".")
	if err != nil || exports() {
		return false
	}
	defer d.Close()
	var fs unix.Statfs_t
	err = unix.Fstatfs(int(d.Fd()), &fs)
	return err == nil && slices.Contains(ofOneNode, int64(fs.Type)) //nolint:unconvert // its type differs among architectures
}

// exports tells whether this node may be a server of NFS: a lock of a client's is none of flock here.
func exports() bool {
	if _, err := os.Lstat("/proc/net/rpc/nfsd"); err == nil {
		return true
	}
	files, _ := filepath.Glob("/etc/exports.d/*.exports") // the pattern is fine
	for _, name := range append(files, "/etc/exports") {
		raw, err := os.ReadFile(name)
		for line := range strings.Lines(string(raw)) {
			if line = strings.TrimSpace(line); err == nil && line != "" && line[0] != '#' {
				return true
			}
		}
	}
	return false
}
