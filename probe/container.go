package probe

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/hpc3-project/hpc3/probe/facts"
)

// container sets what the node offers to container engines, from files alone: it mounts, starts and
// loads nothing. A record without the list of file systems says nothing about it.
func (p *prober) container() {
	filesystems, err := readFile(p.fsys, "proc/filesystems", maxSmall)
	if err != nil {
		if !p.recorded {
			p.cannotTell("container", "%v", err)
		}
		return
	}
	p.node.Container = &facts.Container{
		UserNamespaces: p.userNamespaces(),
		FUSE:           p.hasFilesystem(filesystems, "fuse", "fuse") && p.hasFUSE(),
		Overlay: p.hasFilesystem(filesystems, "overlay", "overlayfs") &&
			kernelFrom(p.node.Kernel, 5, 11),
		SquashFS:  p.hasFilesystem(filesystems, "squashfs", "squashfs"),
		Apptainer: p.apptainer(),
	}
}

// userNamespaces reports whether every setting allows a user without privileges to make a namespace
// and to mount in it.
func (p *prober) userNamespaces() bool {
	const most = "proc/sys/user/max_user_namespaces"
	if p.recorded && !p.exists(most) {
		p.cannotTell("container.userNamespaces", "/%s was not recorded", most)
		return false
	}
	// Debian's setting has an effect only if it is 0, Ubuntu's only if it is 1: it takes away the
	// privileges in the namespace.
	return (p.recorded || p.exists("proc/self/ns/user")) && p.line(most) != "0" &&
		p.line("proc/sys/kernel/unprivileged_userns_clone") != "0" &&
		p.line("proc/sys/kernel/apparmor_restrict_unprivileged_userns") != "1"
}

// hasFilesystem reports whether the kernel has a file system, or a module for it that it would
// load.
func (p *prober) hasFilesystem(filesystems, name, module string) bool {
	for line := range strings.Lines(filesystems) {
		if words := strings.Fields(line); len(words) > 0 && words[len(words)-1] == name {
			return true
		}
	}
	if p.node.Kernel == "" {
		return false
	}
	files := p.list(path.Join("lib/modules", p.node.Kernel, "kernel/fs", module))
	// A module may be compressed: overlay.ko.xz.
	isModule := func(file string) bool { return strings.HasPrefix(file, name+".ko") }
	return slices.ContainsFunc(files, isModule)
}

// hasFUSE reports whether /dev/fuse exists and may be used; for a record, whether it exists.
func (p *prober) hasFUSE() bool {
	if !p.recorded {
		return mayUse("/dev/fuse")
	}
	if !p.exists("dev") {
		p.cannotTell("container.fuse", "/dev was not recorded")
	}
	return p.exists("dev/fuse")
}

// kernelFrom reports whether a release, "5.14.0-427.el9.x86_64", is a version or a later one.
func kernelFrom(release string, major, minor int) bool {
	first, rest, _ := strings.Cut(release, ".")
	second, _, _ := strings.Cut(rest, ".")
	if end := strings.IndexFunc(second, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		second = second[:end] // "6.1-rc3"
	}
	a, errA := strconv.Atoi(first)
	b, errB := strconv.Atoi(second)
	return errA == nil && errB == nil && (a > major || a == major && b >= minor)
}

// apptainer returns the path of Apptainer; empty if it is neither in PATH nor in the usual
// directories. To learn its version would take a process.
func (p *prober) apptainer() string {
	for _, dir := range append(pathList(p.env("PATH")), "/usr/bin", "/usr/local/bin") {
		if file := path.Join(dir, "apptainer"); path.IsAbs(file) && p.exists(file[1:]) {
			return file
		}
	}
	return ""
}
