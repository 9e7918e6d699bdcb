package run

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/device"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
)

// A directory of the node has more than one name where symlinks lead to it: the one it is given by, the one it ends at, and one for each
// link between. Programs use them all: a shell names its directory by the first, SLURM_SUBMIT_DIR by the last, and links in a home directory
// lead to one between. A container has the directory under each of its names, by a bind.

// names returns the names of a file or directory of the node: the given one first, the one without symlinks last.
func names(file string) []string {
	file = path.Clean(file)
	all := []string{file}
	for len(all) <= maxLinks {
		next := nextName(last(all))
		if next == "" {
			break
		}
		all = append(all, next)
	}
	return all
}

// nextName is the name of a file with the first symlink in it followed; "" if there is none.
func nextName(file string) string {
	for end := 1; end <= len(file); end++ {
		if end < len(file) && file[end] != '/' {
			continue
		}
		link, err := os.Readlink(file[:end])
		if err != nil {
			continue
		}
		if !path.IsAbs(link) {
			link = path.Dir(file[:end]) + "/" + link
		}
		return path.Clean(link + file[end:])
	}
	return ""
}

// binds returns all that the native engine binds: of the house, then the user's, so that those win.
func (p *Plan) binds(img image, found device.Found) []bindMount {
	binds := append(p.deviceBinds(found), []bindMount{
		{Source: "/proc", Target: "/proc", Options: []string{"rbind"}},
		{Source: "/sys", Target: "/sys", Options: []string{"rbind"}, Optional: true},
		{Source: "/tmp", Target: "/tmp", Optional: true, Exact: true},
		{Source: "/var/tmp", Target: "/var/tmp", Optional: true, Exact: true},
		{Source: "/etc/resolv.conf", Target: "/etc/resolv.conf", Optional: true, Exact: true},
		{Source: "/etc/hosts", Target: "/etc/hosts", Optional: true, Exact: true},
		{Source: "/etc/localtime", Target: "/etc/localtime", Optional: true, Exact: true},
	}...)
	if home := homeIn(p.Home); p.homeShown {
		binds = append(binds, bindMount{Source: home, Target: home, Visible: true, Exact: true})
	}
	binds = append(binds, p.places(img, found.Dirs)...)
	for _, m := range p.Mounts {
		b := bindMount{Source: m.Source, Target: m.Target, Options: m.Options}
		if m.Source == option.Tmpfs {
			b.Kind, b.Source = device.Tmpfs, "mode=1777"
		}
		binds = append(binds, b)
	}
	return slices.Concat(binds, p.named.binds, p.guards())
}

// places returns the binds of what the container has of the node at its own paths, beside /tmp, /var/tmp and the home: the current directory,
// TMPDIR, what MPI needs, and the other names of all these and of what the user binds.
func (p *Plan) places(img image, dirs []string) []bindMount {
	shown := []string{"/tmp", "/var/tmp"}
	var binds []bindMount
	add := func(b bindMount) {
		inShown := slices.ContainsFunc(shown, func(dir string) bool { return within(b.Target, dir) })
		if !inShown && !slices.ContainsFunc(p.Mounts, func(m option.Mount) bool { return m.Target == b.Target }) {
			shown, binds = append(shown, b.Target), append(binds, b)
		}
	}
	// What is there anyhow must not make a difference: Slurm gives a node's first task a TMPDIR, and the tasks share a container.
	for _, dir := range []string{"/tmp", "/var/tmp"} {
		for _, name := range img.namesOf(dir) {
			add(bindMount{Source: dir, Target: name, Optional: true, Visible: true, Exact: true})
		}
	}
	if home := path.Clean(homeIn(p.Home)); p.homeShown {
		shown = append(shown, home)
		for _, name := range img.namesOf(home) {
			add(bindMount{Source: home, Target: name, Optional: true, Visible: true, Exact: true})
		}
	}
	for i, dir := range append([]string{p.Cwd, lookup(p.HostEnv, "TMPDIR")}, dirs...) {
		for _, name := range p.visibleNames(img, dir) {
			add(bindMount{Source: dir, Target: name, Optional: true, Visible: true, Exact: i < 2})
		}
	}
	for _, m := range p.Mounts {
		for _, name := range p.otherNames(img, m) {
			add(bindMount{Source: m.Source, Target: name, Options: m.Options, Optional: true, Visible: true})
		}
	}
	return binds
}

// visibleNames are the names under which a directory that the caller uses appears in the container without his saying so.
func (p *Plan) visibleNames(img image, dir string) []string {
	if !filepath.IsAbs(dir) || !p.MountHome && p.inHome(dir) {
		return nil
	}
	return img.namesOf(dir)
}

// inHome tells whether a directory is the home, or below it.
func (p *Plan) inHome(dir string) bool {
	home := homeIn(p.Home)
	return home != "/" && slices.ContainsFunc(names(dir), func(dir string) bool {
		return slices.ContainsFunc(names(home), func(home string) bool { return within(dir, home) })
	})
}

// otherNames are those of a bind's source where the bind has it at one of its names.
func (p *Plan) otherNames(img image, m option.Mount) []string {
	if m.Source == option.Tmpfs || !slices.Contains(names(m.Target), last(names(m.Source))) {
		return nil
	}
	return slices.DeleteFunc(names(m.Source), func(name string) bool { return !ownDirectory(name) && !img.free(name) })
}

func last(list []string) string { return list[len(list)-1] }

// namesOf are the names that a directory of the node can have in the container. One of the system, which would hide the image's, is among
// them only where it is not the directory's own and the image has nothing there.
func (i image) namesOf(dir string) []string {
	all := names(dir)
	own := slices.ContainsFunc(all, ownDirectory)
	return slices.DeleteFunc(all, func(name string) bool { return !ownDirectory(name) && (!own || !i.free(name)) })
}

// free tells whether the image is known to have nothing at a path.
func (i image) free(file string) bool {
	return i.known && !i.has(file) && !inKernel(file)
}

// inKernel tells whether a path is in a directory that every container has of the kernel's, or of its devices.
func inKernel(file string) bool {
	return within(file, "/dev") || within(file, "/proc") || within(file, "/sys")
}

// bindsHome tells whether the home directory appears in the container: not one that is not there, nor one of the system (some
// accounts have /bin or /dev), which would hide the image's.
func (p *Plan) bindsHome(img image) bool {
	home := homeIn(p.Home)
	if !p.MountHome {
		return false
	}
	info, err := os.Stat(home)
	return err == nil && info.IsDir() && slices.Contains(img.namesOf(home), path.Clean(home))
}

// ownDirectory tells whether a directory of the node may appear in the container at its own path: one of the system would hide
// the image's.
func ownDirectory(dir string) bool {
	if !filepath.IsAbs(dir) || dir == "/" {
		return false
	}
	for _, system := range []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/boot", "/var", "/dev", "/proc", "/sys", "/opt", "/run"} {
		if dir == system || within(dir, system) && system != "/var" && system != "/opt" && system != "/run" {
			return false
		}
	}
	return true
}

func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// workdirs are the directories of which the first that the container has is the command's, unless one is asked for.
func (p *Plan) workdirs() []string {
	var dirs []string
	if p.Cwd != "" {
		dirs = names(p.Cwd)
	}
	for _, dir := range []string{p.Config.WorkingDir, homeIn(p.Home), "/"} {
		if dir != "" {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// guards are binds that take from root without privileges what the kernel lets his number alone change on the node: settings, for one
// the program that is run when another dumps core.
func (p *Plan) guards() []bindMount {
	if os.Geteuid() != 0 || p.KeepPrivs {
		return nil
	}
	var binds []bindMount
	for _, file := range []string{"/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs", "/proc/acpi", "/proc/scsi", "/proc/mtrr", "/sys"} {
		if _, err := os.Stat(file); err == nil {
			binds = append(binds, bindMount{Source: file, Target: file, Options: []string{"rbind", "ro"}})
		}
	}
	return binds
}

// apptainerPlaces are the mounts for what Apptainer does not bind of itself.
func (p *Plan) apptainerPlaces(img image, dirs []string) ([]option.Mount, error) {
	if p.mayNotBind() {
		return nil, nil
	}
	node := []string{"/tmp", "/var/tmp", "/proc", "/sys", "/dev"}
	if home := path.Clean(homeIn(p.Home)); p.homeShown {
		if img.astray(home, node) {
			return nil, unfit{fault.New(fault.Mount, "binding the home directory %s: a symlink of the image leads it into another directory of the node", home).
				Hint("use --engine native")}
		}
		node = append(node, home)
	}
	var mounts []option.Mount
	for _, b := range slices.Concat(p.places(img, dirs), p.named.binds, p.guards()) {
		if _, err := os.Stat(b.Source); err != nil || b.Visible && slices.ContainsFunc(node, func(dir string) bool { return within(b.Target, dir) }) {
			continue
		}
		if img.astray(b.Target, node) {
			p.note("not bound: " + b.Target + ", which a symlink of the image leads into another directory of the node; --engine native can")
			continue
		}
		if b.Visible {
			node = append(node, b.Target)
		}
		mounts = append(mounts, option.Mount{Source: b.Source, Target: b.Target, Options: b.Options})
	}
	return mounts, nil
}

// shows tells whether one of some mounts has a path in it.
func shows(mounts []option.Mount, file string) bool {
	return slices.ContainsFunc(mounts, func(m option.Mount) bool { return within(file, m.Target) })
}

// apptainerDir says where the command starts, unless a shell of the image is to see to it. Apptainer itself would take the current directory
// by one name only, and bind one of the system over the image's.
func (p *Plan) apptainerDir(img image, mounts []option.Mount) []string {
	args := []string{"--no-mount", "cwd"}
	if p.Workdir != "" {
		if img.bare() {
			args = append(args, "--pwd", p.Workdir)
		}
		return args
	}
	home := homeIn(p.Home)
	for _, dir := range p.workdirs() {
		kind, there := img.mode(dir)
		temporary := !p.Conf.is("mount tmp", "no") && (within(dir, "/tmp") || within(dir, "/var/tmp") && !img.tangled())
		bound := shows(mounts, dir) || inKernel(dir) || temporary || p.homeShown && within(dir, home)
		if there && kind == unix.S_IFDIR || bound {
			return append(args, "--pwd", dir)
		}
		if !img.known {
			break // Apptainer tells
		}
	}
	return args
}
