package inside

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/device"
	"github.com/hpc3-project/hpc3/launcher/option"
)

// A directory of the node has several names if symlinks lead to it: the given name, the final one,
// and one for each link between. Programs use all of them: a shell names its directory by the
// first, SLURM_SUBMIT_DIR by the last, and links in a home directory point to one between. A bind
// shows the directory in the container under each of its names.

// Names returns the names of a file or directory of the node: the given one first, the one without
// symlinks last.
func Names(file string) []string {
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

// nextName follows the first symlink in a file's name; "" if there is none.
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

// Binds returns all that the native engine binds: hpc3's own first, then the user's, so that the
// user's win.
func (v *View) Binds(img Files, found device.Found) []Bind {
	binds := append(v.deviceBinds(found), []Bind{
		{Source: "/proc", Target: "/proc", Options: []string{"rbind"}},
		{Source: "/sys", Target: "/sys", Options: []string{"rbind"}, Optional: true},
		{Source: "/tmp", Target: "/tmp", Optional: true, Exact: true},
		{Source: "/var/tmp", Target: "/var/tmp", Optional: true, Exact: true},
		{Source: "/etc/resolv.conf", Target: "/etc/resolv.conf", Optional: true, Exact: true},
		{Source: "/etc/hosts", Target: "/etc/hosts", Optional: true, Exact: true},
		{Source: "/etc/localtime", Target: "/etc/localtime", Optional: true, Exact: true},
	}...)
	if home := HomeIn(v.Home); v.HomeShown {
		binds = append(binds, Bind{Source: home, Target: home, Visible: true, Exact: true})
	}
	binds = append(binds, v.Places(img, found.Dirs)...)
	for _, m := range v.Mounts {
		b := Bind{Source: m.Source, Target: m.Target, Options: m.Options}
		if m.Source == option.Tmpfs {
			b.Kind, b.Source = device.Tmpfs, "mode=1777"
		}
		binds = append(binds, b)
	}
	return slices.Concat(binds, v.Named.Binds, v.Guards())
}

// Places returns the binds of what the container shows of the node at its own paths, beside /tmp,
// /var/tmp and the home: the current directory, TMPDIR, what MPI needs, and the other names of all
// these and of what the user binds.
func (v *View) Places(img Files, dirs []string) []Bind {
	shown := []string{"/tmp", "/var/tmp"}
	var binds []Bind
	add := func(b Bind) {
		inShown := slices.ContainsFunc(shown,
			func(dir string) bool { return Within(b.Target, dir) })
		if !inShown && !slices.ContainsFunc(v.Mounts,
			func(m option.Mount) bool { return m.Target == b.Target }) {
			shown, binds = append(shown, b.Target), append(binds, b)
		}
	}
	// These are always there, so that one task's TMPDIR makes no difference: Slurm gives it to the
	// first task of a node, and the tasks share a container.
	for _, dir := range []string{"/tmp", "/var/tmp"} {
		for _, name := range img.namesOf(dir) {
			add(Bind{Source: dir, Target: name, Optional: true, Visible: true, Exact: true})
		}
	}
	if home := path.Clean(HomeIn(v.Home)); v.HomeShown {
		shown = append(shown, home)
		for _, name := range img.namesOf(home) {
			add(Bind{Source: home, Target: name, Optional: true, Visible: true, Exact: true})
		}
	}
	for i, dir := range append([]string{v.Cwd, Lookup(v.HostEnv, "TMPDIR")}, dirs...) {
		for _, name := range v.VisibleNames(img, dir) {
			add(Bind{Source: dir, Target: name, Optional: true, Visible: true, Exact: i < 2})
		}
	}
	for _, m := range v.Mounts {
		for _, name := range v.otherNames(img, m) {
			add(Bind{
				Source: m.Source, Target: name, Options: m.Options, Optional: true,
				Visible: true,
			})
		}
	}
	return binds
}

// VisibleNames returns the names under which a directory that the user did not bind appears in the
// container because the command uses it.
func (v *View) VisibleNames(img Files, dir string) []string {
	if !filepath.IsAbs(dir) || !v.MountHome && v.inHome(dir) {
		return nil
	}
	return img.namesOf(dir)
}

// inHome tells whether a directory is the home directory or below it.
func (v *View) inHome(dir string) bool {
	home := HomeIn(v.Home)
	return home != "/" && slices.ContainsFunc(Names(dir), func(dir string) bool {
		return slices.ContainsFunc(Names(home), func(home string) bool { return Within(dir, home) })
	})
}

// otherNames returns the further names of a bind's source if the bind shows it at one of its names.
func (v *View) otherNames(img Files, m option.Mount) []string {
	if m.Source == option.Tmpfs || !slices.Contains(Names(m.Target), last(Names(m.Source))) {
		return nil
	}
	return slices.DeleteFunc(Names(m.Source),
		func(name string) bool { return !userDirectory(name) && !img.free(name) })
}

func last(list []string) string { return list[len(list)-1] }

// namesOf returns the names that a directory of the node can have in the container. A name in a
// system directory would hide the image's files. It is kept only if the directory also has a name
// outside of the system directories, and the image has nothing at that path.
func (i Files) namesOf(dir string) []string {
	all := Names(dir)
	hasUserName := slices.ContainsFunc(all, userDirectory)
	return slices.DeleteFunc(all,
		func(name string) bool { return !userDirectory(name) && (!hasUserName || !i.free(name)) })
}

// free tells whether the image is known to have nothing at a path.
func (i Files) free(file string) bool {
	return i.Known && !i.Has(file) && !InKernel(file)
}

// InKernel tells whether a path is in /dev, /proc or /sys, which every container has.
func InKernel(file string) bool {
	return Within(file, "/dev") || Within(file, "/proc") || Within(file, "/sys")
}

// bindsHome tells whether the home directory appears in the container. It does not if it does not
// exist, or if it is a system directory (some accounts have /bin or /dev), which would hide the
// image's.
func (v *View) bindsHome(img Files) bool {
	home := HomeIn(v.Home)
	if !v.MountHome {
		return false
	}
	info, err := os.Stat(home)
	return err == nil && info.IsDir() && slices.Contains(img.namesOf(home), path.Clean(home))
}

// userDirectory tells whether a directory of the node may appear in the container at its own path.
// A system directory may not: it would hide the image's.
func userDirectory(dir string) bool {
	if !filepath.IsAbs(dir) || dir == "/" {
		return false
	}
	for _, system := range []string{
		"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc",
		"/boot", "/var", "/dev", "/proc", "/sys", "/opt", "/run",
	} {
		if dir == system || Within(dir, system) && system != "/var" && system != "/opt" &&
			system != "/run" {
			return false
		}
	}
	return true
}

// Within tells whether a path is a directory or below it.
func Within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// Workdirs returns candidates for the working directory: the command gets the first that the
// container has, unless the user asks for another.
func (v *View) Workdirs() []string {
	var dirs []string
	if v.Cwd != "" {
		dirs = Names(v.Cwd)
	}
	for _, dir := range []string{v.Config.WorkingDir, HomeIn(v.Home), "/"} {
		if dir != "" {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// Guards are binds for root without privileges. They protect files that the kernel lets uid 0 write
// even then, and that change the node: settings, such as the program that runs when another dumps
// core.
func (v *View) Guards() []Bind {
	if os.Geteuid() != 0 || v.KeepPrivs {
		return nil
	}
	var binds []Bind
	for _, file := range []string{
		"/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus",
		"/proc/fs", "/proc/acpi", "/proc/scsi", "/proc/mtrr", "/sys",
	} {
		if _, err := os.Stat(file); err == nil {
			binds = append(binds,
				Bind{Source: file, Target: file, Options: []string{"rbind", "ro"}})
		}
	}
	return binds
}
