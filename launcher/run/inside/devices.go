package inside

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/device"
	"github.com/hpc3-project/hpc3/launcher/fault"
)

// Asked returns a variable that says which devices are wanted. The caller's value takes precedence
// over the image's, which usually asks for all GPUs.
func (v *View) Asked(name string) (value string, set bool) {
	for _, e := range slices.Concat(v.SetEnv, v.HostEnv, v.Config.Env) {
		if value, set = strings.CutPrefix(e, name+"="); set {
			return value, true
		}
	}
	return "", false
}

// terminal returns the path of the caller's terminal; "" if there is none, or if its path is not
// valid on this node.
func terminal() string {
	for fd := range 3 {
		name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		if err != nil || !Within(name, "/dev") {
			continue
		}
		var open, named unix.Stat_t
		_, err = unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil && unix.Fstat(fd, &open) == nil && unix.Stat(name, &named) == nil &&
			open.Dev == named.Dev && open.Ino == named.Ino {
			return name
		}
	}
	return ""
}

// Devices finds which of the node's devices the container gets. The error is about an image that
// lacks what its entry has promised for a node such as this.
func (v *View) Devices(img Files) (device.Found, error) {
	ask := device.Ask{
		Root: "/", Arch: runtime.GOARCH, Lookup: v.Asked, Terminal: terminal(), Places: v.Extra,
		Libc: img.libc, Client: v.Client, ImageHas: img.Has, CUDA: v.CUDACompat,
		Libraries: cmp.Or(Lookup(v.SetEnv, "LD_LIBRARY_PATH"),
			Lookup(v.Config.Env, "LD_LIBRARY_PATH")),
	}
	if img.Known {
		ask.ImageList, ask.ImageOpen = img.names, img.open
	}
	found := device.Find(ask)
	for _, text := range found.Notes {
		v.Note(text)
	}
	for _, text := range found.Warnings {
		v.Warn(text)
	}
	if found.Unmet != "" {
		return found, fault.New(fault.NoMatch, "%s", found.Unmet).
			Hint("take another entry by --variant, and tell the image's author that the word " +
				"cuda-compat does not hold: hpc3 explain; --force runs it all the same")
	}
	return found, nil
}

// deviceBinds returns the mounts for them. If the user binds the node's whole /dev, it already has
// those of /dev.
func (v *View) deviceBinds(found device.Found) []Bind {
	whole := false
	for _, m := range v.Mounts {
		whole = whole || m.Source == "/dev" && m.Target == "/dev"
	}
	var binds []Bind
	for _, m := range slices.Concat(found.Mounts, found.Client) {
		if whole && Within(m.Target, "/dev") {
			continue
		}
		b := Bind{
			Kind: m.Kind, Source: m.Source, Target: m.Target,
			Optional: m.Kind != device.Tmpfs, Sealed: m.Sealed,
		}
		if m.ReadOnly {
			b.Options = []string{"ro"}
		}
		binds = append(binds, b)
	}
	return binds
}

// Accounts returns the passwd lines of users whom programs of the node look up by name, and whom
// the image may lack.
func (v *View) Accounts(ctx context.Context) []string {
	if v.Client == nil || v.ClientUser == "" {
		return nil
	}
	if line := findName(ctx, v.ClientUser); line != "" {
		return []string{line}
	}
	return nil
}
