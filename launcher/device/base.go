package device

import (
	"path/filepath"
	"strings"
)

// base is a /dev with what programs expect of every system. Nodes cannot be made in a user namespace: they are the node's.
func (a *Ask) base() []Mount {
	mounts := []Mount{
		{Kind: Tmpfs, Source: "mode=0755,size=1m", Target: "/dev", Sealed: true},
		// The container's own, since the node's makes terminals only for who sees the node's whole /dev.
		{Kind: Devpts, Source: "newinstance,ptmxmode=0666,mode=0620", Target: "/dev/pts"},
	}
	for _, l := range [][2]string{
		{"ptmx", "pts/ptmx"}, {"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"},
	} {
		mounts = append(mounts, Mount{Kind: Symlink, Source: l[1], Target: "/dev/" + l[0]})
	}
	// The node's shm, in which its ranks meet.
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty", "shm", "mqueue", "hugepages", "log", "fuse"} {
		mounts = append(mounts, Mount{Source: a.at("/dev/" + name), Target: "/dev/" + name})
	}
	if a.Terminal != "" {
		mounts = append(mounts, Mount{Source: a.at(a.Terminal), Target: Console}) // where ttyname finds it
	}
	return mounts
}

// fabric adds the interconnect: InfiniBand, RoCE, EFA, Slingshot, Omni-Path, and what shares memory between processes or with a GPU.
func (a *Ask) fabric(f *Found) {
	found := a.nodes("/dev/infiniband", "/dev/cxi[0-9]*", "/dev/hfi1*", "/dev/ipath*", "/dev/knem", "/dev/xpmem", "/dev/gdrdrv", "/dev/nvidia-fs*")
	f.bind(a, found...)
	if len(found) > 0 {
		f.note("fabric: " + strings.Join(found, " "))
	}
}

// otherGPUs adds those of AMD and Intel, whose libraries images bring themselves, and other accelerators.
func (a *Ask) otherGPUs(f *Found) {
	var found []string
	for _, p := range a.nodes("/dev/kfd", "/dev/dri/renderD*", "/dev/dri/card*", "/dev/accel/*", "/dev/habanalabs*", "/dev/dxg") {
		if filepath.Dir(p) != "/dev/dri" || a.driver(p) != "nvidia" {
			found = append(found, p)
		}
	}
	f.bind(a, found...)
	if len(found) == 0 {
		return
	}
	if a.exists("/dev/dri/by-path") {
		f.bind(a, "/dev/dri/by-path")
	}
	f.note("GPUs: " + strings.Join(found, " "))
}

// driver returns the kernel's driver of a node below /dev/dri; "" where that is not known.
func (a *Ask) driver(node string) string {
	link, err := filepath.EvalSymlinks(a.at("/sys/class/drm/" + filepath.Base(node) + "/device/driver"))
	if err != nil {
		return ""
	}
	return filepath.Base(link)
}
