package run

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/device"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
)

func (p *Plan) warn(text string) {
	if p.Warn != nil {
		p.Warn(text)
	}
}

// asked returns a variable that says which devices are wanted. The caller's word counts more than the image's, which asks for all GPUs as
// a rule.
func (p *Plan) asked(name string) (value string, set bool) {
	for _, e := range slices.Concat(p.SetEnv, p.HostEnv, p.Config.Env) {
		if value, set = strings.CutPrefix(e, name+"="); set {
			return value, true
		}
	}
	return "", false
}

// terminal is the name of the caller's terminal; "" where he has none, or not by a name of this node.
func terminal() string {
	for fd := range 3 {
		name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		if err != nil || !within(name, "/dev") {
			continue
		}
		var open, named unix.Stat_t
		_, err = unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil && unix.Fstat(fd, &open) == nil && unix.Stat(name, &named) == nil && open.Dev == named.Dev && open.Ino == named.Ino {
			return name
		}
	}
	return ""
}

// devices finds what of the node's devices the container gets.
func (p *Plan) devices(img image) device.Found {
	found := device.Find(device.Ask{
		Root: "/", Arch: runtime.GOARCH, Lookup: p.asked, Terminal: terminal(), Places: p.Places, Libc: img.libc, Client: p.Client, ImageHas: img.has,
	})
	for _, text := range found.Notes {
		p.note(text)
	}
	for _, text := range found.Warnings {
		p.warn(text)
	}
	return found
}

// apptainerDevices are the options by which Apptainer brings what it does not bring of itself: its /dev is the node's. The choice of GPUs is
// left to CUDA, see apptainerEnv.
func (p *Plan) apptainerDevices(ctx context.Context, img image, found device.Found) ([]string, error) {
	var args []string
	if found.NVIDIA {
		args = append(args, "--nv")
	}
	if p.mayNotBind() {
		return args, nil
	}
	var mounts []option.Mount
	var accounts []string
	for _, m := range found.Client {
		mounts = append(mounts, option.Mount{Source: m.Source, Target: m.Target, Options: []string{"ro"}})
		accounts = p.accounts(ctx)
	}
	for _, m := range append(mounts, p.apptainerDatabases(ctx, img, accounts)...) {
		flag, spec, err := mountFlag(m)
		if err != nil {
			return nil, err
		}
		args = append(args, flag, spec)
	}
	return args, nil
}

// apptainerMounts are the caller's mounts, less devices that Apptainer brings anyhow. It mounts
// nothing else in which devices could be used.
func (p *Plan) apptainerMounts() ([]option.Mount, error) {
	var mounts []option.Mount
	for _, m := range p.Mounts {
		itself := filepath.Clean(m.Source) == filepath.Clean(m.Target) && within(filepath.Clean(m.Target), "/dev")
		switch {
		case !itself && !holdsDevices(m.Source):
			mounts = append(mounts, m)
		case itself && len(m.Options) == 0 && p.Conf.is("mount dev", "minimal"): // it knows how
			mounts = append(mounts, m)
		case itself && !m.ReadOnly() && !p.Conf.is("mount dev", "no", "minimal"):
			p.note("not binding " + m.Source + ": Apptainer has all of the node's /dev there")
		default:
			return nil, unfit{fault.New(fault.Mount, "binding %s to %s: devices do not work in what Apptainer binds", m.Source, m.Target).
				Hint("bind it to its own path, or use --engine native")}
		}
	}
	return mounts, nil
}

// holdsDevices tells whether a file is a device, or a directory of /dev with some.
func holdsDevices(file string) bool {
	info, err := os.Stat(file)
	if err != nil || !info.IsDir() || !within(filepath.Clean(file), "/dev") {
		return err == nil && info.Mode()&os.ModeDevice != 0
	}
	entries, err := os.ReadDir(file)
	return err != nil || slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Type()&os.ModeDevice != 0 })
}

// deviceBinds are the mounts for them. A user who binds the node's whole /dev has what is in there.
func (p *Plan) deviceBinds(found device.Found) []bindMount {
	whole := false
	for _, m := range p.Mounts {
		whole = whole || m.Source == "/dev" && m.Target == "/dev"
	}
	var binds []bindMount
	for _, m := range slices.Concat(found.Mounts, found.Client) {
		if whole && within(m.Target, "/dev") {
			continue
		}
		b := bindMount{Kind: m.Kind, Source: m.Source, Target: m.Target, Optional: m.Kind != device.Tmpfs, Sealed: m.Sealed}
		if m.ReadOnly {
			b.Options = []string{"ro"}
		}
		binds = append(binds, b)
	}
	return binds
}
