package store

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Room is how much the caller may still write in some place.
type Room struct {
	Bytes int64
	Quota bool // a quota of the user or the group leaves it, and the file system has more
}

// RoomAt asks the file system of a directory how much the caller may write; ok is false if it does
// not say. A project quota shows as the free space of the file system. The quota of an NFS or
// Lustre server is only seen if the server reports it as free space.
func RoomAt(dir string) (room Room, ok bool) {
	d, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return Room{}, false
	}
	defer d.Close()
	var fs unix.Statfs_t
	info, err := d.Stat()
	if err != nil || unix.Fstatfs(int(d.Fd()), &fs) != nil || fs.Blocks == 0 {
		return Room{}, false
	}
	//nolint:unconvert // the types differ among architectures
	room.Bytes = int64(fs.Bavail) * int64(fs.Bsize)
	gid := os.Getegid()
	if st, ok := info.Sys().(*syscall.Stat_t); ok && info.Mode()&os.ModeSetgid != 0 {
		gid = int(st.Gid)
	}
	for kind, id := range map[int]int{userQuota: os.Geteuid(), groupQuota: gid} {
		q, err := quotaOf(d, kind, id)
		if left, limited := q.left(time.Now()); err == nil && limited && left < room.Bytes {
			room = Room{left, true}
		}
	}
	return room, true
}

// From linux/quota.h.
const (
	userQuota, groupQuota = 0, 1
	getQuota              = 0x800007
	quotaBlock            = 1024
)

// quota is struct if_dqblk. Limits are in blocks, 0 for none.
type quota struct {
	hard, soft, bytes           uint64
	hardFiles, softFiles, files uint64
	// when an exceeded soft limit becomes a hard one; 0 if it is not exceeded
	softUntil, softFilesUntil uint64
	valid                     uint32
}

// left is how many bytes a quota leaves; limited is false if it has no limit.
func (q quota) left(now time.Time) (bytes int64, limited bool) {
	limit := q.hard
	if q.soft > 0 && (limit == 0 || q.softUntil > 0 && uint64(now.Unix()) >= q.softUntil) {
		limit = q.soft
	}
	if limit == 0 {
		return 0, false
	}
	return max(0, int64(min(limit, 1<<52)*quotaBlock)-int64(q.bytes)), true
}

// quotaOf asks the kernel.
func quotaOf(dir *os.File, kind, id int) (q quota, err error) {
	cmd := uintptr(getQuota<<8 | kind)
	_, _, failed := unix.Syscall6(unix.SYS_QUOTACTL_FD, dir.Fd(), cmd, uintptr(id),
		uintptr(unsafe.Pointer(&q)), 0, 0)
	if failed == unix.ENOSYS {
		return quotaByName(dir, kind, id)
	}
	return q, errno(failed)
}

// quotaByName is for kernels before 5.14, which take the name of the device.
func quotaByName(dir *os.File, kind, id int) (q quota, err error) {
	cmd := uintptr(getQuota<<8 | kind)
	device, err := unix.BytePtrFromString(deviceOf(dir))
	if err != nil {
		return q, err
	}
	_, _, failed := unix.Syscall6(unix.SYS_QUOTACTL, cmd, uintptr(unsafe.Pointer(device)),
		uintptr(id), uintptr(unsafe.Pointer(&q)), 0, 0)
	return q, errno(failed)
}

func errno(failed syscall.Errno) error {
	if failed != 0 {
		return failed
	}
	return nil
}

// deviceOf is the device of a directory's file system, as it was mounted; "" if there is none.
func deviceOf(dir *os.File) string {
	var st unix.Stat_t
	mounts, err := os.Open("/proc/self/mountinfo")
	if err != nil || unix.Fstat(int(dir.Fd()), &st) != nil {
		return ""
	}
	defer mounts.Close()
	number := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	for lines := bufio.NewScanner(mounts); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if at := slices.Index(f, "-"); at > 0 && len(f) > at+2 && f[2] == number {
			return f[at+2]
		}
	}
	return ""
}

// LayerBytes is the size of all layers in the store.
func (s *Store) LayerBytes() (sum int64) {
	root, err := s.root(false)
	if err != nil {
		return 0
	}
	blobs, _ := s.blobs(root) // what cannot be read is not counted
	for _, b := range blobs {
		if b.kind == KindLayer {
			sum += b.info.Size()
		}
	}
	return sum
}
