package store

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestQuotaLeft(t *testing.T) {
	now := time.Unix(1000, 0)
	tests := []struct {
		name    string
		quota   quota
		left    int64
		limited bool
	}{
		{"none", quota{bytes: 5}, 0, false},
		{"hard", quota{hard: 10, bytes: 1024}, 9 * 1024, true},
		{"soft only", quota{soft: 10, bytes: 1024}, 9 * 1024, true},
		{"soft may be exceeded for a time", quota{hard: 10, soft: 2, bytes: 4096, softUntil: 1001}, 6 * 1024, true},
		{"that is over", quota{hard: 10, soft: 2, bytes: 4096, softUntil: 1000}, 0, true},
		{"exceeded", quota{hard: 1, bytes: 4096}, 0, true},
		{"large", quota{hard: math.MaxUint64}, 1 << 62, true},
	}
	for _, tt := range tests {
		if left, limited := tt.quota.left(now); left != tt.left || limited != tt.limited {
			t.Errorf("%s: %d, %v; want %d, %v", tt.name, left, limited, tt.left, tt.limited)
		}
	}
}

// The room on a small file system is what the system says.
func TestRoomAt(t *testing.T) {
	if _, ok := RoomAt(filepath.Join(t.TempDir(), "none")); ok {
		t.Error("there is room where there is no directory")
	}
	dir := mountTmpfs(t, "size=1m")
	if room, ok := RoomAt(dir); !ok || room != (Room{Bytes: 1 << 20}) {
		t.Errorf("RoomAt an empty file system = %+v, %v", room, ok)
	}
	if err := os.WriteFile(filepath.Join(dir, "x"), make([]byte, 600<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	if room, ok := RoomAt(dir); !ok || room != (Room{Bytes: 424 << 10}) {
		t.Errorf("RoomAt a file system with 600 KiB in use = %+v, %v", room, ok)
	}
}

// asUser is RoomAt of a user with uid 4242 and gid 4343, in a process of its own.
func asUser(t *testing.T, dir string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "test")
	raw, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, raw, 0o755); err != nil { //nolint:gosec // another user runs it
		t.Fatal(err)
	}
	for above := filepath.Dir(program); above != "/"; above = filepath.Dir(above) {
		if info, err := os.Stat(above); err == nil && info.Mode().Perm()&0o001 == 0 {
			if err := os.Chmod(above, info.Mode()|0o001); err != nil {
				t.Fatal(err)
			}
		}
	}
	cmd := exec.Command(program)
	cmd.Env = []string{"HPC3_ROOM_TEST=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4242, Gid: 4343}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// A quota of the user, or of the group, is asked where the file system has one.
func TestRoomOfQuota(t *testing.T) {
	needRoot(t)
	disk, dir := filepath.Join(t.TempDir(), "disk"), t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // another user enters
		t.Fatal(err)
	}
	script := "truncate -s 64M " + disk + " && mkfs.ext4 -q -O quota -E quotatype=usrquota:grpquota " + disk + " && mount -o loop " + disk + " " + dir
	if out, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
		t.Skipf("this kernel mounts no ext4 with quotas: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	free := asUser(t, dir)
	limit(t, dir, userQuota, 4242, 8<<10)
	if got, want := asUser(t, dir), strconv.Itoa(8<<20)+" true"; got != want || !strings.HasSuffix(free, " false") {
		t.Errorf("with a quota of 8 MiB there are %s, want %s; without %s", got, want, free)
	}
	limit(t, dir, groupQuota, 4343, 2<<10)
	if got, want := asUser(t, dir), strconv.Itoa(2<<20)+" true"; got != want {
		t.Errorf("with a quota of the group's there are %s, want %s", got, want)
	}
	file := filepath.Join(dir, "x")
	if err := os.WriteFile(file, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(file, 4242, 4343); err != nil {
		t.Fatal(err)
	}
	if d, err := os.Open(dir); err != nil {
		t.Error(err)
	} else if q, err := quotaByName(d, groupQuota, 4343); err != nil || q.hard != 2<<10 {
		t.Errorf("by the name of the device the quota is %+v, %v", q, err)
	}
	unix.Sync() // or the blocks are not given out yet
	if got, want := asUser(t, dir), strconv.Itoa(1<<20)+" true"; got != want {
		t.Errorf("with 1 MiB of it in use there are %s, want %s", got, want)
	}
}

// limit sets the hard limit of a quota, in KiB.
func limit(t *testing.T, dir string, kind, id int, blocks uint64) {
	t.Helper()
	const setQuota, blockLimits = 0x800008, 1
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	q := quota{hard: blocks, valid: blockLimits}
	if _, _, failed := unix.Syscall6(unix.SYS_QUOTACTL_FD, d.Fd(), uintptr(setQuota<<8|kind), uintptr(id), uintptr(unsafe.Pointer(&q)), 0, 0); failed != 0 {
		t.Fatal(failed)
	}
}
