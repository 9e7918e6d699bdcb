package native

import (
	"bufio"
	"errors"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/device"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/run/inside"
)

// source is a bind whose source is held open, since the node's paths change when the scaffold
// becomes the root.
type source struct {
	inside.Bind
	fd   int
	stat unix.Stat_t
}

func (s source) isDir() bool { return s.stat.Mode&unix.S_IFMT == unix.S_IFDIR }

func (st *Stage) openSources() ([]source, error) {
	var sources []source
	for _, b := range st.Mounts {
		s := source{Bind: b}
		if b.Kind != device.Bind {
			sources = append(sources, s)
			continue
		}
		var err error
		if s.fd, err = unix.Open(b.Source, unix.O_PATH|unix.O_CLOEXEC, 0); err == nil {
			err = unix.Fstat(s.fd, &s.stat)
		}
		if err != nil && !b.Optional {
			return nil, fault.New(fault.Mount, "binding %s: %w", b.Source, err).
				Hint("the source of a bind must exist on this node")
		}
		if err == nil {
			sources = append(sources, s)
		}
	}
	return sources, nil
}

// container is the root that is put together.
type container struct {
	root int
	// device numbers of the file systems that are its own, where mount points can be made
	own []uint64
}

// owns adds the file system of a descriptor to the container's own.
func (c *container) owns(fd int) error {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	c.own = append(c.own, st.Dev)
	return err
}

func bindAll(sources []source) error {
	root, err := unix.Open(merged, unix.O_PATH|unix.O_CLOEXEC|unix.O_DIRECTORY, 0)
	if err != nil {
		return fault.New(fault.Engine, "opening the container's root: %w", err)
	}
	defer unix.Close(root)
	c := container{root: root}
	if err := c.owns(root); err != nil {
		return fault.New(fault.Engine, "opening the container's root: %w", err)
	}
	for _, s := range sources {
		err := c.place(s)
		if err == nil || s.Optional {
			continue
		}
		e := fault.New(fault.Mount, "binding %s to %s: %w", s.Source, s.Target, err)
		if s.Kind != device.Bind {
			e = fault.New(fault.Mount, "mounting a %s at %s: %w", s.Kind, s.Target, err)
		}
		switch {
		case errors.Is(err, inside.ErrNodes):
			e = e.Hint("make it first: mkdir -p %s", s.Target)
		case errors.Is(err, unix.ENOTDIR):
			e = e.Hint("source and target must both be directories, or both be files")
		}
		return e
	}
	return nil
}

func (c *container) place(s source) error {
	switch s.Kind {
	case device.Tmpfs, device.Devpts:
		return c.mountNew(s)
	case device.Symlink:
		return c.symlink(s)
	}
	return c.bind(s)
}

// mountNew mounts an empty file system that is the container's own.
func (c *container) mountNew(s source) error {
	rel, err := follow(s.Target)
	if err != nil {
		return err
	}
	flags := s.flags() | unix.MS_NOSUID
	switch {
	case s.Kind == device.Devpts, s.Sealed:
		flags |= unix.MS_NOEXEC
	case inside.Covers(s.Source, rel):
		return inside.CoversError(rel)
	default:
		flags |= unix.MS_NODEV
	}
	target, err := c.makeTarget(rel, true)
	if err != nil {
		return err
	}
	defer unix.Close(target)
	if err := unix.Mount("hpc3", procFD(target), string(s.Kind), flags, s.Source); err != nil {
		return err
	}
	return c.ownsAt(rel)
}

// ownsAt is owns for what is mounted at a path now.
func (c *container) ownsAt(rel string) error {
	top, err := openIn(c.root, rel)
	if err != nil {
		return err
	}
	defer unix.Close(top)
	return c.owns(top)
}

// symlink makes a symlink, in place of a file that is there.
func (c *container) symlink(s source) error {
	rel, err := follow(path.Dir(s.Target))
	if err != nil {
		return err
	}
	dir, err := c.makeTarget(rel, true)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	if err := c.mustOwn(dir); err != nil {
		return err
	}
	if err := unix.Unlinkat(dir, path.Base(s.Target), 0); err != nil &&
		!errors.Is(err, unix.ENOENT) {
		return err
	}
	return unix.Symlinkat(s.Source, dir, path.Base(s.Target))
}

// mustOwn refuses a directory of the node.
func (c *container) mustOwn(dir int) error {
	var st unix.Stat_t
	if err := unix.Fstat(dir, &st); err != nil {
		return err
	}
	if !slices.Contains(c.own, st.Dev) {
		return inside.ErrNodes
	}
	return nil
}

// bind makes the target, where the image lacks it, and binds the source to it.
func (c *container) bind(s source) error {
	root := c.root
	rel, err := follow(s.Target)
	if err != nil {
		return err
	}
	if inside.Covers(s.Source, rel) {
		return inside.CoversError(rel)
	}
	if s.Visible && s.isAt(root, rel) {
		return nil
	}
	target, err := c.makeTarget(rel, s.isDir())
	if err != nil {
		return err
	}
	defer unix.Close(target)
	from, to := procFD(s.fd), procFD(target)
	err = unix.EINVAL
	if slices.Contains(s.Options, "bind") {
		err = unix.Mount(from, to, "", unix.MS_BIND, "")
	}
	// in a user namespace, mounts below the source cannot be left out
	if errors.Is(err, unix.EINVAL) {
		err = unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, "")
	}
	if err != nil {
		return err
	}
	return s.restrict(root, rel)
}

// procFD is a path of what a descriptor stands for.
func procFD(fd int) string { return host + "/proc/self/fd/" + strconv.Itoa(fd) }

func (s source) isAt(root int, rel string) bool {
	fd, err := openIn(root, rel)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return s.is(fd)
}

func (s source) is(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Dev == s.stat.Dev && st.Ino == s.stat.Ino
}

// attributes are the options that a mount can carry.
var attributes = map[string][2]uint64{ //nolint:gochecknoglobals // a constant table
	"ro":     {unix.MOUNT_ATTR_RDONLY, unix.MS_RDONLY},
	"nosuid": {unix.MOUNT_ATTR_NOSUID, unix.MS_NOSUID},
	"nodev":  {unix.MOUNT_ATTR_NODEV, unix.MS_NODEV},
	"noexec": {unix.MOUNT_ATTR_NOEXEC, unix.MS_NOEXEC},
}

// flags are the options as mount(2) takes them.
func (s source) flags() uintptr {
	var flags uintptr
	for _, o := range s.Options {
		flags |= uintptr(attributes[o][1])
	}
	return flags
}

// restrict applies ro and its like, to the mounts below as well.
func (s source) restrict(root int, rel string) error {
	flags := s.flags()
	if flags == 0 {
		return nil
	}
	var attr unix.MountAttr
	for _, o := range s.Options {
		attr.Attr_set |= attributes[o][0]
	}
	fd, err := openIn(root, rel) // what is mounted there now
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if !s.is(fd) {
		return errors.New("the target changed while it was bound")
	}
	err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr)
	if errors.Is(err, unix.ENOSYS) {
		return remount(merged+rel, flags)
	}
	return err
}

// remount is restrict for kernels before 5.12, one mount at a time. It keeps the flags that a mount
// has already: in a user namespace they cannot be cleared.
func remount(target string, flags uintptr) error {
	mounts, err := mountsAt(target)
	if err != nil {
		return err
	}
	for _, m := range mounts {
		var st unix.Statfs_t
		if err := unix.Statfs(m, &st); err != nil {
			return err
		}
		// The ST_ flags of statfs are the MS_ flags, but for the last.
		keep := uintptr(st.Flags) & (unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV |
			unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME)
		if st.Flags&unix.ST_RELATIME != 0 {
			keep |= unix.MS_RELATIME
		}
		if err := unix.Mount("", m, "", unix.MS_REMOUNT|unix.MS_BIND|flags|keep, ""); err != nil {
			return err
		}
	}
	return nil
}

// mountsAt lists the mount points at a path and below it.
func mountsAt(target string) ([]string, error) {
	f, err := os.Open(host + "/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var mounts []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			continue
		}
		if point := unescape(fields[4]); inside.Within(point, target) {
			mounts = append(mounts, point)
		}
	}
	return mounts, lines.Err()
}

// unescape undoes \040 and its like, as the kernel writes blanks, tabs, line breaks and backslashes
// in mountinfo.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// openIn opens a path that follow returned. Its symlinks are followed already. A symlink that
// somebody has made since, in a directory of the node that they may write to, is refused.
func openIn(root int, rel string) (int, error) {
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS,
	}
	for {
		fd, err := unix.Openat2(root, rel, &how)
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

// makeTarget opens a target, and makes what is missing of it, in the container only: nothing is
// made on the node.
func (c *container) makeTarget(rel string, dir bool) (int, error) {
	fd, err := openIn(c.root, rel)
	if !errors.Is(err, unix.ENOENT) {
		return fd, err
	}
	parent, err := c.makeTarget(path.Dir(rel), true)
	if err != nil {
		return -1, err
	}
	defer unix.Close(parent)
	if err := c.mustOwn(parent); err != nil {
		return -1, err
	}
	if dir {
		err = unix.Mkdirat(parent, path.Base(rel), 0o755)
	} else {
		var made int
		if made, err = unix.Openat(parent, path.Base(rel),
			unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o644); err == nil {
			err = unix.Close(made)
		}
	}
	if err != nil {
		return -1, err
	}
	return openIn(c.root, rel)
}
