package device

import "strings"

// base returns a /dev with what programs expect on every system. Its device nodes are the node's:
// none can be made in a user namespace.
func (a *Ask) base() []Mount {
	mounts := []Mount{
		{Kind: Tmpfs, Source: "mode=0755,size=1m", Target: "/dev", Sealed: true},
		// The container's own: the node's makes terminals only for processes that see its whole
		// /dev.
		{Kind: Devpts, Source: "newinstance,ptmxmode=0666,mode=0620", Target: "/dev/pts"},
	}
	for _, l := range [][2]string{
		{"ptmx", "pts/ptmx"},
		{"fd", "/proc/self/fd"},
		{"stdin", "/proc/self/fd/0"},
		{"stdout", "/proc/self/fd/1"},
		{"stderr", "/proc/self/fd/2"},
	} {
		mounts = append(mounts, Mount{Kind: Symlink, Source: l[1], Target: "/dev/" + l[0]})
	}
	// Ranks meet in the node's shm.
	for _, name := range []string{
		"null", "zero", "full", "random", "urandom", "tty", "shm", "mqueue", "hugepages", "log",
		"fuse",
	} {
		mounts = append(mounts, Mount{Source: a.at("/dev/" + name), Target: "/dev/" + name})
	}
	if a.Terminal != "" {
		// ttyname finds it there.
		mounts = append(mounts, Mount{Source: a.at(a.Terminal), Target: Console})
	}
	return mounts
}

// fabric adds the interconnect: InfiniBand, RoCE, EFA, Slingshot, Omni-Path, and the devices that
// share memory between processes or with a GPU.
func (a *Ask) fabric(f *Found) {
	found := a.nodes("/dev/infiniband", "/dev/cxi[0-9]*", "/dev/hfi1*", "/dev/ipath*",
		"/dev/knem", "/dev/xpmem", "/dev/gdrdrv", "/dev/nvidia-fs*")
	f.bind(a, found...)
	if len(found) > 0 {
		f.note("fabric: " + strings.Join(found, " "))
	}
}
