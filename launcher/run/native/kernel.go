package native

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/option"
)

// mountByKernel returns the descriptor of a mount of the SIF by the kernel's driver, not yet in any
// directory; -1 if FUSE is to serve it. Until the mount is put somewhere, it ends with the
// descriptor, and the loop device with it. The device holds the SIF's open file, with its lock.
func (n *start) mountByKernel(r reader, sif *os.File) (int, error) {
	if !r.kernel {
		return -1, nil
	}
	mount, err := mountSquashFS(sif, n.Offset)
	if err == nil {
		return mount, nil
	}
	if n.SquashFS == option.KernelsDriver {
		return -1, noKernel(err.Error())
	}
	n.Note("the image is served over FUSE, since the kernel's driver cannot be had: " + err.Error())
	return -1, nil
}

func mountSquashFS(sif *os.File, offset int64) (int, error) {
	loop, err := loopDevice(sif, offset)
	if err != nil {
		return -1, fmt.Errorf("a loop device: %w", err)
	}
	defer loop.Close() // the mount holds it
	context, err := unix.Fsopen("squashfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("squashfs: %w", err)
	}
	defer unix.Close(context)
	if err := unix.FsconfigSetString(context, "source", loop.Name()); err != nil {
		return -1, fmt.Errorf("squashfs: %w", err)
	}
	if err := unix.FsconfigSetFlag(context, "ro"); err != nil {
		return -1, fmt.Errorf("squashfs: %w", err)
	}
	if err := unix.FsconfigCreate(context); err != nil {
		return -1, fmt.Errorf("squashfs: %w", err)
	}
	mount, err := unix.Fsmount(context, unix.FSMOUNT_CLOEXEC,
		unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	if err != nil {
		return -1, fmt.Errorf("squashfs: %w", err)
	}
	return mount, nil
}

// loopTries bounds how often another process may take the free device first.
const loopTries = 100

// loopDevice returns an open loop device that shows the SIF from offset on. The kernel frees it
// when nothing has it open, and it is not mounted.
func loopDevice(sif *os.File, offset int64) (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	config := unix.LoopConfig{Fd: uint32(sif.Fd())}
	config.Info.Offset = uint64(offset)
	config.Info.Flags = unix.LO_FLAGS_READ_ONLY | unix.LO_FLAGS_AUTOCLEAR
	for range loopTries {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, err
		}
		loop, err := os.Open("/dev/loop" + strconv.Itoa(n))
		if err != nil {
			return nil, err
		}
		err = unix.IoctlLoopConfigure(int(loop.Fd()), &config)
		if err == nil {
			return loop, nil
		}
		if err := errors.Join(err, loop.Close()); !errors.Is(err, unix.EBUSY) {
			return nil, err
		}
	}
	return nil, unix.EBUSY
}

// watchMount returns a descriptor that becomes readable when the file system of a mount is gone. It
// does not keep the file system alive.
func watchMount(mount int) (int, error) {
	watch, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	// The file system is read-only: nothing happens to its root but its end, which is always told.
	if _, err := unix.InotifyAddWatch(watch, "/proc/self/fd/"+strconv.Itoa(mount),
		unix.IN_DELETE_SELF); err != nil {
		return -1, errors.Join(err, unix.Close(watch))
	}
	return watch, nil
}
