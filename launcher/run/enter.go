package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

// enter is the stage in the new namespaces. It makes the mounts and becomes the command; it returns only with an error. The prefix of
// messages is set as soon as it is known.
func enter(args []string, user bool, prefix *string) error {
	if entryResult == entryNotRun {
		return fault.New(fault.Engine, "this program was built without its entry point").Hint("build it with make build; or use --engine apptainer")
	}
	if entryResult != 0 {
		return noNamespace(unix.Errno(-entryResult))
	}
	if len(args) != 2 {
		return fault.New(fault.Engine, "usage: hpc3:enter PLAN SOCKET")
	}
	runtime.LockOSThread() // capabilities and exec are of a thread
	st, sock, err := handedOver(args)
	if err != nil {
		return fault.New(fault.Engine, "reading the plan: %w", err)
	}
	*prefix = st.Prefix
	if user {
		if err := mapIDs(st.UID, st.GID); err != nil {
			return fault.New(fault.Engine, "mapping user and group in a user namespace: %w", err)
		}
	}
	if err := st.mounts(sock, user); err != nil {
		return err
	}
	if err := st.changeDir(); err != nil {
		return err
	}
	if err := dropPrivileges(); err != nil {
		return fault.New(fault.Engine, "giving up privileges: %w", err)
	}
	return st.exec()
}

func noNamespace(err error) error {
	e := fault.New(fault.Engine, "making a user and mount namespace: %w", err)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EUSERS) {
		return e.Hint("as root: sysctl user.max_user_namespaces=15000")
	}
	return e.Hint("see what this node lacks: hpc3 doctor").Hint("or install Apptainer")
}

// handedOver reads the plan and the socket's number from the words of the stage. Both descriptors end with this program.
func handedOver(args []string) (st stage, sock int, err error) {
	plan, err := strconv.Atoi(args[0])
	if err != nil {
		return st, 0, err
	}
	if sock, err = strconv.Atoi(args[1]); err != nil {
		return st, 0, err
	}
	unix.CloseOnExec(sock)
	f := os.NewFile(uintptr(plan), "plan")
	defer f.Close()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return st, 0, err
	}
	return st, sock, json.NewDecoder(f).Decode(&st)
}

// mapIDs lets the caller be in the user namespace who he is outside.
func mapIDs(uid, gid int) error {
	for _, m := range [][2]string{
		{"/proc/self/setgroups", "deny"}, // or the kernel would let nobody but root map a group
		{"/proc/self/uid_map", fmt.Sprintf("%d %d 1", uid, uid)},
		{"/proc/self/gid_map", fmt.Sprintf("%d %d 1", gid, gid)},
	} {
		if err := os.WriteFile(m[0], []byte(m[1]), 0); err != nil {
			return err
		}
	}
	return nil
}

// Directories of the scaffold, a file system in memory that is the root while the container's is put together.
const (
	host   = "/host"   // the node's root
	lower  = "/lower"  // the image
	upper  = "/upper"  // what is written above it: mount points, and a writable container's files
	work   = "/work"   // overlay's own
	merged = "/merged" // the container's root
)

// source is a bind whose source is held open, since the node's paths are elsewhere once the scaffold is the root.
type source struct {
	bindMount
	fd  int
	dir bool
}

func (st *stage) mounts(sock int, user bool) error {
	sources, err := st.openSources()
	if err != nil {
		return err
	}
	if err := scaffold(); err != nil {
		return fault.New(fault.Engine, "making a root for the container: %w", err)
	}
	if err := st.mountImage(sock, user); err != nil {
		return fault.New(fault.Engine, "mounting the image of %s: %w", st.SIF, err)
	}
	if err := overlay(user); err != nil {
		return fault.New(fault.Engine, "laying a layer over the image: %w", err).Hint("the kernel must be 5.11 or newer for this; or use --engine apptainer")
	}
	for _, s := range sources {
		if err := s.bind(); err != nil {
			if s.Optional {
				continue
			}
			return fault.New(fault.Mount, "binding %s to %s: %w", s.Source, s.Target, bareError(err))
		}
	}
	if err := st.writeAccounts(); err != nil {
		return fault.New(fault.Engine, "naming the user in the container: %w", err)
	}
	if !st.Writable {
		if err := unix.Mount("", merged, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, ""); err != nil {
			return fault.New(fault.Engine, "making the image read-only: %w", err)
		}
	}
	if err := pivot(); err != nil {
		return fault.New(fault.Engine, "entering the container's root: %w", err)
	}
	return nil
}

func (st *stage) openSources() ([]source, error) {
	var sources []source
	for _, b := range st.Mounts {
		fd, err := unix.Open(b.Source, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			if b.Optional {
				continue
			}
			return nil, fault.New(fault.Mount, "binding %s: %w", b.Source, err).Hint("the source of a bind must exist on this node")
		}
		var s unix.Stat_t
		if err := unix.Fstat(fd, &s); err != nil {
			return nil, fault.New(fault.Mount, "binding %s: %w", b.Source, err)
		}
		sources = append(sources, source{b, fd, s.Mode&unix.S_IFMT == unix.S_IFDIR})
	}
	return sources, nil
}

// scaffold makes a file system in memory the root, with the node's at /host. It is put on /tmp, which every node has; the node's /tmp
// is seen again below /host.
func scaffold() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return err
	}
	if err := unix.Mount("hpc3", "/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return err
	}
	for _, dir := range []string{host, lower, upper, work, merged} {
		if err := os.Mkdir("/tmp"+dir, 0o755); err != nil {
			return err
		}
	}
	if err := unix.PivotRoot("/tmp", "/tmp"+host); err != nil {
		return err
	}
	return unix.Chdir("/")
}

// mountImage mounts the image over FUSE and hands the descriptor to the file server.
func (st *stage) mountImage(sock int, user bool) error {
	fd, err := unix.Open(host+"/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d,allow_other,default_permissions,max_read=%d", fd, st.UID, st.GID, maxRead)
	if err := unix.Mount("hpc3", lower, "fuse.hpc3", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return err
	}
	// In a user namespace with one user, every other owner would show as nobody, and no file of the image could be changed
	// in a writable container: all files are the caller's there.
	uid, gid := -1, -1
	if user {
		uid, gid = st.UID, st.GID
	}
	if err := send(sock, fd, uid, gid); err != nil {
		return err
	}
	// Held here as well, the mount would outlive its server, and the first access would wait for ever.
	if err := unix.Close(fd); err != nil {
		return err
	}
	if err := unix.Close(sock); err != nil {
		return err
	}
	if _, err := os.Stat(lower + "/."); err != nil {
		return fmt.Errorf("the file server ended: %w", bareError(err))
	}
	return nil
}

func overlay(user bool) error {
	options := "lowerdir=" + lower + ",upperdir=" + upper + ",workdir=" + work
	if user {
		options += ",userxattr"
	}
	return unix.Mount("overlay", merged, "overlay", unix.MS_NOSUID|unix.MS_NODEV, options)
}

// bind makes the target, where the image lacks it, and binds the source to it.
func (s source) bind() error {
	target, err := follow(merged, s.Target)
	if err != nil {
		return err
	}
	if s.Visible && same(target, s.fd) {
		return nil
	}
	if err := makeTarget(target, s.dir); err != nil {
		return err
	}
	from := host + "/proc/self/fd/" + strconv.Itoa(s.fd)
	flags := uintptr(unix.MS_BIND | unix.MS_REC) // a mount below the source cannot be left out in a user namespace
	if err := unix.Mount(from, target, "", flags, ""); err != nil {
		return err
	}
	return s.restrict(target)
}

// restrict applies ro and its like. The flags that the source's mount has already must be kept: in a user namespace they
// cannot be taken away.
func (s source) restrict(target string) error {
	known := map[string]uintptr{"ro": unix.MS_RDONLY, "nosuid": unix.MS_NOSUID, "nodev": unix.MS_NODEV, "noexec": unix.MS_NOEXEC}
	var flags uintptr
	for _, o := range s.Options {
		flags |= known[o]
	}
	if flags == 0 {
		return nil
	}
	var st unix.Statfs_t
	if err := unix.Statfs(target, &st); err != nil {
		return err
	}
	// The ST_ flags of statfs are the MS_ flags, but for these.
	flags |= uintptr(st.Flags) & (unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME)
	if st.Flags&unix.ST_RELATIME != 0 {
		flags |= unix.MS_RELATIME
	}
	return unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|flags, "")
}

func same(target string, fd int) bool {
	var a, b unix.Stat_t
	return unix.Stat(target, &a) == nil && unix.Fstat(fd, &b) == nil && a.Dev == b.Dev && a.Ino == b.Ino
}

func makeTarget(target string, dir bool) error {
	if dir {
		return os.MkdirAll(target, 0o755)
	}
	if err := os.MkdirAll(path.Dir(target), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		if info, serr := os.Stat(target); serr == nil && !info.IsDir() {
			return nil // it is there, and cannot be opened for writing: a bind needs no more
		}
		return err
	}
	return f.Close()
}

// maxLinks bounds the symlinks in a target, as the kernel does.
const maxLinks = 40

// follow returns where a path of the container is below root, its symlinks followed as they will be inside. What does not exist is
// taken as it is written.
func follow(root, target string) (string, error) {
	at := root
	todo := strings.Split(target, "/")
	for links := 0; len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			if at != root {
				at = path.Dir(at)
			}
			continue
		}
		link, err := os.Readlink(at + "/" + name)
		if err != nil { // no symlink, or nothing there
			at += "/" + name
			continue
		}
		if links++; links > maxLinks {
			return "", unix.ELOOP
		}
		if strings.HasPrefix(link, "/") {
			at = root
		}
		todo = append(strings.Split(link, "/"), todo...)
	}
	return at, nil
}

// writeAccounts puts the caller and his groups into the user database of the container.
func (st *stage) writeAccounts() error {
	if err := addLineTo("/etc/passwd", st.UID, st.Passwd); err != nil {
		return err
	}
	for gid, line := range st.Groups {
		if err := addLineTo("/etc/group", gid, line); err != nil {
			return err
		}
	}
	return nil
}

func addLineTo(file string, id int, line string) error {
	at, err := follow(merged, file)
	if err != nil {
		return err
	}
	old, err := os.ReadFile(at)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	updated := addLine(old, 2, id, line)
	if len(updated) == len(old) {
		return nil
	}
	if err := os.MkdirAll(path.Dir(at), 0o755); err != nil {
		return err
	}
	return os.WriteFile(at, updated, 0o644)
}

// pivot makes the container's root the root and lets go of everything else.
func pivot() error {
	if err := unix.Chdir(merged); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil { // the old root is now on top of the new one
		return err
	}
	return unix.Unmount(".", unix.MNT_DETACH)
}

func (st *stage) changeDir() error {
	var first error
	for _, dir := range st.Workdirs {
		err := unix.Chdir(dir)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	if st.Strict {
		return fault.New(fault.Mount, "changing to the working directory %s: %w", st.Workdirs[0], first).Hint("it must exist in the image or be bound with -B")
	}
	return nil // the last of them is /
}

// dropPrivileges makes sure that nothing the command executes gains a privilege. A user other than root loses his capabilities of
// the namespace by exec; root keeps none, since the bounding set is empty.
func dropPrivileges() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
		return err
	}
	for c := range uintptr(64) {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); errors.Is(err, unix.EINVAL) {
			break // the last one is behind us
		} else if err != nil {
			return err
		}
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&head, &none[0]); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}

// exec becomes the command.
func (st *stage) exec() error {
	file, err := find(st.Words[0], lookup(st.Env, "PATH"))
	if err == nil {
		err = syscall.Exec(file, st.Words, st.Env)
	}
	e := fault.New(fault.Exec, "running %q: %w", st.Words[0], bareError(err))
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist) && file == "":
		e = fault.New(fault.Exec, "running %q: no such command in the image", st.Words[0])
		return e.Hint("give its path, or see what is there: %s IMAGE ls /usr/bin", st.Prefix).Exit(fault.StatusNotFound)
	case errors.Is(err, unix.ENOEXEC):
		return e.Hint("it is for another architecture, or a script without a first line #!").Exit(fault.StatusNotExecutable)
	case errors.Is(err, fs.ErrNotExist):
		return e.Hint("the interpreter or loader that it names is not in the image").Exit(fault.StatusNotExecutable)
	}
	return e.Hint("look at its mode").Exit(fault.StatusNotExecutable)
}

// find looks for a command as a shell does: a word with a slash is a path.
func find(word, searchPath string) (string, error) {
	if strings.Contains(word, "/") {
		if _, err := os.Stat(word); err != nil {
			return "", err
		}
		return word, nil
	}
	var denied error
	for _, dir := range strings.Split(searchPath, ":") {
		file := path.Join(dir, word)
		info, err := os.Stat(file)
		if err != nil || info.IsDir() || dir == "" {
			continue
		}
		if unix.Access(file, unix.X_OK) == nil {
			return file, nil
		}
		denied = fs.ErrPermission
	}
	if denied != nil {
		return "", denied
	}
	return "", exec.ErrNotFound
}
