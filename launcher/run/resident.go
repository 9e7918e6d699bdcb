package run

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/run/inside"
	"github.com/hpc3-project/hpc3/launcher/run/message"
	"github.com/hpc3-project/hpc3/launcher/run/native"
	"github.com/hpc3-project/hpc3/launcher/run/process"
	"github.com/hpc3-project/hpc3/launcher/run/serve"
)

// resident is a process of the caller's in a container. Everything about it is read through the
// descriptor of its directory in /proc, which never shows a later process of the same number.
type resident struct {
	pid       int
	dir       int    // descriptor
	space     uint64 // the number of its mount namespace
	env       []string
	step      step
	inStep    bool
	local     int    // its rank on the node, or its first ancestor's
	started   uint64 // in ticks since boot
	apptainer bool
}

// Reasons why a process cannot be entered.
var (
	errForeign     = errors.New("it is not yours")
	errUncontained = errors.New("it is in no container of hpc3")
)

// containerMark finds the mark of a container of the native engine in the list of its mounts.
var containerMark = regexp.MustCompile(`,workdir=` + serve.WorkPrefix + `[0-9a-f]{16}`)

// maxOfProcess bounds what is read of a process: the kernel's list of mounts and an environment
// have no limit of their own.
const maxOfProcess = 16 << 20

// lookAt reads what is known of a process. The caller closes the result. An error is errForeign,
// errUncontained, or the kernel's.
func lookAt(pid int, own uint64) (r resident, err error) {
	dir, err := unix.Open("/proc/"+strconv.Itoa(pid), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC,
		0)
	if err != nil {
		return r, err
	}
	r = resident{pid: pid, dir: dir}
	if err := r.look(own); err != nil {
		return resident{}, errors.Join(err, unix.Close(dir))
	}
	return r, nil
}

func (r *resident) look(own uint64) error {
	var s unix.Stat_t
	if err := unix.Fstat(r.dir, &s); err != nil {
		return err
	}
	if int(s.Uid) != os.Getuid() {
		return errForeign
	}
	var err error
	if r.space, err = r.namespace("mnt"); err != nil {
		return err
	}
	if r.space == own {
		return errUncontained
	}
	mounts, err := r.read("mountinfo")
	if err != nil {
		return err
	}
	env, err := r.read("environ")
	if err != nil {
		return err
	}
	r.env = strings.Split(strings.TrimSuffix(string(env), "\x00"), "\x00")
	if !containerMark.Match(mounts) {
		if r.apptainer = inside.Lookup(r.env, "HPC3_IMAGE_REF") != ""; !r.apptainer {
			return errUncontained
		}
	}
	cgroups, _ := r.read("cgroup") // the kernel may have none
	r.step, r.inStep = stepOf(string(cgroups)+"\n"+r.slurmstepd(), r.env)
	if r.local, err = strconv.Atoi(inside.Lookup(r.env, "SLURM_LOCALID")); err != nil {
		r.local = math.MaxInt
	}
	stat, err := r.read("stat")
	if err != nil {
		return err
	}
	const start = 19 // after the name, which may contain blanks
	if fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]); len(fields) > start {
		r.started, err = strconv.ParseUint(string(fields[start]), 10, 64)
	}
	return err
}

// namespace returns the number of a namespace of the process.
func (r *resident) namespace(kind string) (uint64, error) {
	var s unix.Stat_t
	err := unix.Fstatat(r.dir, "ns/"+kind, &s, 0)
	return s.Ino, err
}

func (r *resident) read(name string) ([]byte, error) {
	fd, err := unix.Openat(r.dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxOfProcess))
}

// residents returns the wanted processes of the caller's in containers, in order. The caller closes
// them.
func residents(own uint64, wanted func(*resident) bool) []*resident {
	var found []*resident
	for _, pid := range process.IDs() {
		r, err := lookAt(pid, own)
		if err != nil {
			continue // it is another user's, or in no container, or has ended
		}
		if wanted(&r) {
			found = append(found, &r)
		} else {
			r.close()
		}
	}
	slices.SortFunc(found, (*resident).before)
	return found
}

// first returns the first of these residents, and closes the others; nil if there are none.
func first(found []*resident) *resident {
	if len(found) == 0 {
		return nil
	}
	for _, r := range found[1:] {
		r.close()
	}
	return found[0]
}

// ancestors returns the processes above this one, the nearest first.
func (r *resident) ancestors() (above []int) {
	for at := r.pid; at > 1; {
		_, fields := process.Stat(at)
		if len(fields) < 2 {
			break
		}
		at, _ = strconv.Atoi(fields[1]) // the kernel writes digits
		above = append(above, at)
	}
	return above
}

// slurmstepd returns the title of the slurmstepd above a task, which contains the job's own number
// and the step; "" if there is none.
func (r *resident) slurmstepd() string {
	for _, pid := range r.ancestors() {
		title, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		if err == nil && bytes.HasPrefix(title, []byte("slurmstepd: [")) {
			return string(title)
		}
	}
	return ""
}

func (r *resident) close() { _ = unix.Close(r.dir) } // it cannot fail: the descriptor is open

// before orders residents: by rank on the node, and a task before what it started.
func (r *resident) before(o *resident) int {
	return cmp.Or(cmp.Compare(r.local, o.local), cmp.Compare(r.started, o.started),
		cmp.Compare(r.pid, o.pid))
}

// ownSpace returns the number of a namespace of this process.
func ownSpace(kind string) (uint64, error) {
	var s unix.Stat_t
	err := unix.Stat("/proc/self/ns/"+kind, &s)
	return s.Ino, err
}

// namespaces opens the namespaces of the process, and refuses those that are not the caller's. It
// asks the kernel about the descriptors by which they are entered. user tells whether the container
// has a user namespace of its own.
func (r *resident) namespaces() (ns native.Namespaces, user bool, err error) {
	if ns.User, err = unix.Openat(r.dir, "ns/user", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return ns, false, err
	}
	if ns.Mount, err = unix.Openat(r.dir, "ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return ns, false, errors.Join(err, unix.Close(ns.User))
	}
	if user, err = r.check(ns); err != nil {
		message.CloseAll([]int{ns.User, ns.Mount})
	}
	return ns, user, err
}

// check refuses namespaces that are not the caller's. user tells whether the user namespace is
// another than this process's.
func (r *resident) check(ns native.Namespaces) (user bool, err error) {
	var mount, spaceUser, owning unix.Stat_t
	owner, err := unix.IoctlRetInt(ns.Mount, unix.NS_GET_USERNS)
	if errors.Is(err, unix.EPERM) {
		return false, errors.New("its mounts belong to the node, not to the caller")
	}
	if err != nil {
		return false, err
	}
	defer unix.Close(owner)
	err = errors.Join(unix.Fstat(ns.Mount, &mount), unix.Fstat(ns.User, &spaceUser),
		unix.Fstat(owner, &owning))
	if err != nil {
		return false, err
	}
	if mount.Ino != r.space || spaceUser.Ino != owning.Ino {
		return false, errors.New("it has changed its namespaces meanwhile")
	}
	ours, err := ownSpace("user")
	if err != nil {
		return false, err
	}
	if spaceUser.Ino == ours {
		if !native.CanMount() {
			return false, errors.New("its mounts were made by a setuid program")
		}
		return false, nil
	}
	uid, err := ownerOf(ns.User)
	if err != nil {
		return false, err
	}
	if uid != os.Getuid() {
		return false, fmt.Errorf("its user namespace is owned by user %d", uid)
	}
	return true, nil
}
