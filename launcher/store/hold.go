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

// holdWait bounds how long Hold waits while a collection checks the file. A longer hold is not
// ours.
const holdWait = time.Second

// Hold notes that a SIF is in use and protects it from Collect and Remove on this node until every
// process that has the file closes it. gone means that the file has lost its name, and can be made
// again. The file is nil if it is gone or cannot be opened.
func Hold(name string) (f *os.File, gone bool) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, missing(err) || errors.Is(err, syscall.ESTALE)
	}
	busy := func() bool {
		return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
	}
	for end := time.Now().Add(holdWait); busy() && time.Now().Before(end); {
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

// ofOneNode lists file systems that only one node opens: there locks and open files show every use.
// On others, locks may not reach beyond a node, as with Lustre's localflock or BeeGFS, and NFS
// grants write locks to writers only.
var ofOneNode = []int64{ //nolint:gochecknoglobals // a constant list
	unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC,
	unix.F2FS_SUPER_MAGIC, unix.OVERLAYFS_SUPER_MAGIC,
	0x2fc12fc1, // ZFS
}

// alone reports whether no other node can use the directory: its file system is local, and this
// node exports none.
func alone(root *os.Root) bool {
	d, err := root.Open(".")
	if err != nil || exports() {
		return false
	}
	defer d.Close()
	var fs unix.Statfs_t
	err = unix.Fstatfs(int(d.Fd()), &fs)
	kind := int64(fs.Type) //nolint:unconvert // its type differs among architectures
	return err == nil && slices.Contains(ofOneNode, kind)
}

// exports reports whether this node may be an NFS server: its flock does not see the locks of NFS
// clients.
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
