package native

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/outside"
	"github.com/hpc3-project/hpc3/launcher/run/inside"
	"github.com/hpc3-project/hpc3/launcher/run/message"
	"github.com/hpc3-project/hpc3/launcher/run/serve"
)

// Directories of the scaffold, a file system in memory that is the root while the container's is
// put together.
const (
	host   = "/host"   // the node's root
	lower  = "/lower"  // the image
	upper  = "/upper"  // what is written above it: mount points, and a writable container's files
	merged = "/merged" // the container's root
)

// mounts makes the container's root out of the image and the binds, and enters it.
func (st *Stage) mounts(from imageSource, user bool, a *answer) error {
	sources, err := st.openSources()
	if err != nil {
		return err
	}
	if err := scaffold(); err != nil {
		e := fault.New(fault.Engine, "making a root for the container: %w", err)
		return withHints(e, namespaceHints())
	}
	if err := st.mountImage(from, user, a); err != nil {
		return err
	}
	if err := straighten(sources); err != nil {
		return fault.New(fault.Engine, "replacing symlinks of the image: %w", err)
	}
	// With attributes of its own in the user name space an overlay obeys those that the image has
	// there. Only a container that is written to needs them.
	if err := overlay(user && st.Writable, serve.Workdir(from.mark)); err != nil {
		return fault.New(fault.Engine, "laying a layer over the image: %w", err).
			Hint("the kernel must be 5.11 or newer for this; or use --engine apptainer")
	}
	// Before the binds: one of them may put a file of the node there.
	if err := st.writeAccounts(); err != nil {
		return fault.New(fault.Engine, "naming the user in the container: %w", err)
	}
	if err := bindAll(sources); err != nil {
		return err
	}
	if !st.Writable {
		if err := st.readOnly(); err != nil {
			return fault.New(fault.Engine, "making the image read-only: %w", err)
		}
	}
	if err := pivot(); err != nil {
		return fault.New(fault.Engine, "entering the container's root: %w", err)
	}
	return nil
}

// readOnly makes the file systems read-only that are the container's own.
func (st *Stage) readOnly() error {
	for _, m := range st.Mounts {
		if !m.Sealed {
			continue
		}
		rel, err := follow(m.Target)
		if err != nil {
			return err
		}
		const flags = unix.MS_REMOUNT | unix.MS_BIND | unix.MS_RDONLY |
			unix.MS_NOSUID | unix.MS_NOEXEC
		if err := unix.Mount("", merged+rel, "", flags, ""); err != nil {
			return err
		}
	}
	return unix.Mount("", merged, "",
		unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, "")
}

// scaffold makes a file system in memory the root, with the node's at /host. It is put on /tmp,
// which every node has; the node's /tmp is seen again below /host.
func scaffold() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return err
	}
	if err := unix.Mount("hpc3", "/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV,
		"mode=0755"); err != nil {
		return err
	}
	for _, dir := range []string{host, lower, upper, merged} {
		if err := os.Mkdir("/tmp"+dir, 0o755); err != nil {
			return err
		}
	}
	if err := unix.PivotRoot("/tmp", "/tmp"+host); err != nil {
		return err
	}
	return unix.Chdir("/")
}

// mountImage puts the image in its place: the kernel's mount, which is there already, or one over
// FUSE.
func (st *Stage) mountImage(from imageSource, user bool, a *answer) error {
	if from.mount >= 0 {
		err := unix.MoveMount(from.mount, "", unix.AT_FDCWD, lower, unix.MOVE_MOUNT_F_EMPTY_PATH)
		if err = errors.Join(err, unix.Close(from.mount)); err != nil {
			return fault.New(fault.Engine, "mounting the image of %s: %w", st.SIF, err).
				Hint("use another reader: --squashfs builtin")
		}
		return nil
	}
	err := st.mountFUSE(from.sock, user)
	if st.Squashfuse != "" && (err == nil || st.Fallback) {
		err = st.squashfuseMounted(from.sock, user, err, a)
	}
	if err != nil && st.Squashfuse != "" && !st.Fallback {
		return fault.New(fault.Engine, "mounting the image of %s by %s: %w", st.SIF, st.Squashfuse,
			err).
			Hint("leave --squashfs out: hpc3 reads images itself; where it cannot either, make the file anew")
	}
	if err != nil {
		return fault.New(fault.Engine, "mounting the image of %s: %w", st.SIF, err).
			Hint("if the file changed or was cut short, make it anew")
	}
	return nil
}

// squashfuseMounted tells the server how the mount went that squashfuse_ll was to serve. Where it
// failed, there is another for the server itself.
func (st *Stage) squashfuseMounted(sock int, user bool, err error, a *answer) error {
	if err == nil {
		return message.Send(sock, &serve.Verdict{Up: true})
	}
	a.Notes = append(a.Notes, fmt.Sprintf("hpc3 serves the image itself, since %s failed: %v",
		st.Squashfuse, err))
	if err := unix.Unmount(lower, unix.MNT_DETACH); err != nil {
		return err
	}
	if err := message.Send(sock, &serve.Verdict{}); err != nil {
		return err
	}
	return st.mountFUSE(sock, user)
}

// mountFUSE mounts the image over FUSE and hands the descriptor to the file server.
func (st *Stage) mountFUSE(sock int, user bool) error {
	fd, err := unix.Open(host+"/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d,allow_other,default_permissions,max_read=%d", fd, st.UID, st.GID, serve.MaxRead)
	if err := unix.Mount("hpc3", lower, "fuse.hpc3", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV,
		options); err != nil {
		return err
	}
	// In a user namespace with one user, every other owner would show as nobody, and no file of the
	// image could be changed in a writable container: all files are the caller's there.
	owner := serve.Mount{UID: -1, GID: -1}
	if user {
		owner = serve.Mount{UID: st.UID, GID: st.GID}
	}
	if err := message.Send(sock, &owner, fd); err != nil {
		return err
	}
	// Held here as well, the mount would outlive its server, and the first access would wait for
	// ever.
	if err := unix.Close(fd); err != nil {
		return err
	}
	if _, err := os.Stat(lower + "/."); err != nil {
		return fmt.Errorf("the file server ended: %w", fault.Reason(err))
	}
	return nil
}

func overlay(userxattr bool, scratch string) error {
	if err := os.Mkdir(scratch, 0o755); err != nil {
		return err
	}
	options := "lowerdir=" + lower + ",upperdir=" + upper + ",workdir=" + scratch
	if userxattr {
		options += ",userxattr"
	}
	return unix.Mount("overlay", merged, "overlay", unix.MS_NOSUID|unix.MS_NODEV, options)
}

// writeAccounts puts the caller and the caller's groups into the user database of the container.
func (st *Stage) writeAccounts() error {
	err := rewrite(inside.PasswdFile,
		func(old []byte) []byte {
			return inside.WithAccounts(inside.WithUser(old, st.Passwd),
				st.Accounts)
		})
	if err != nil {
		return err
	}
	return rewrite(inside.GroupFile,
		func(old []byte) []byte { return inside.WithGroups(old, st.Groups) })
}

// maxAccounts bounds the user database of an image, which is held in memory: one of 100,000 users
// has some 8 MiB.
const maxAccounts = 64 << 20

func rewrite(file string, with func([]byte) []byte) error {
	rel, err := follow(file)
	if err != nil {
		return err
	}
	at := merged + rel
	old, err := outside.Read(at, maxAccounts) // the image may have a FIFO there
	if kind := (outside.KindError{}); errors.As(err, &kind) {
		return fault.New(fault.Engine, "the image's %s: %w", file, kind).
			Hint("make the image again with a regular file there, or none")
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	updated := with(old)
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
