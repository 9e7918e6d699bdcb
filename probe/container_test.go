package probe

import (
	"context"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hpc3-project/hpc3/probe/facts"
)

func TestContainer(t *testing.T) {
	all := facts.Container{UserNamespaces: true, FUSE: true, Overlay: true, SquashFS: true, Apptainer: "/usr/bin/apptainer"}
	but := func(change func(*facts.Container)) *facts.Container {
		c := all
		change(&c)
		return &c
	}
	for _, c := range []struct {
		name    string
		change  map[string]string // files of the full record; "-" takes one away
		want    *facts.Container
		unknown []string
	}{
		{"all of it", nil, &all, nil},
		{"file systems not recorded", map[string]string{"proc/filesystems": "-"}, nil, nil},
		{"RHEL 7 as it is installed", map[string]string{"proc/sys/user/max_user_namespaces": "0\n"}, but(func(c *facts.Container) { c.UserNamespaces = false }), nil},
		{"Debian's setting", map[string]string{"proc/sys/kernel/unprivileged_userns_clone": "0\n"}, but(func(c *facts.Container) { c.UserNamespaces = false }), nil},
		{"Ubuntu's setting", map[string]string{"proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n"}, but(func(c *facts.Container) { c.UserNamespaces = false }), nil},
		{"settings that allow it", map[string]string{
			"proc/sys/kernel/unprivileged_userns_clone": "1\n", "proc/sys/kernel/apparmor_restrict_unprivileged_userns": "0\n",
		}, &all, nil},
		{
			"settings not recorded",
			map[string]string{"proc/sys/user/max_user_namespaces": "-"},
			but(func(c *facts.Container) { c.UserNamespaces = false }),
			[]string{"container.userNamespaces"},
		},
		{"an old kernel", map[string]string{"proc/sys/kernel/osrelease": "5.10.0-28-amd64\n"}, but(func(c *facts.Container) { c.Overlay = false }), nil},
		{"a kernel that is not told", map[string]string{"proc/sys/kernel/osrelease": "-"}, but(func(c *facts.Container) { c.Overlay = false }), nil},
		{"no FUSE device", map[string]string{"dev/fuse": "-"}, but(func(c *facts.Container) { c.FUSE = false }), nil},
		{"devices not recorded", map[string]string{"dev/fuse": "-", "dev/null": "-"}, but(func(c *facts.Container) { c.FUSE = false }), []string{"container.fuse"}},
		{"bare kernel", map[string]string{"proc/filesystems": "nodev\tsysfs\n\text4\n\tfuseblk\n"}, but(func(c *facts.Container) {
			c.FUSE, c.Overlay, c.SquashFS = false, false, false
		}), nil},
		{"modules", map[string]string{
			"proc/filesystems": "nodev\tsysfs\n",
			"lib/modules/6.1.0-13-amd64/kernel/fs/fuse/fuse.ko":            "",
			"lib/modules/6.1.0-13-amd64/kernel/fs/overlayfs/overlay.ko.xz": "",
			"lib/modules/6.1.0-9-amd64/kernel/fs/squashfs/squashfs.ko":     "", // of another kernel
		}, but(func(c *facts.Container) { c.SquashFS = false }), nil},
		{"Apptainer of its own build", map[string]string{"usr/bin/apptainer": "-", "usr/local/bin/apptainer": ""}, but(func(c *facts.Container) {
			c.Apptainer = "/usr/local/bin/apptainer"
		}), nil},
		{"no Apptainer", map[string]string{"usr/bin/apptainer": "-"}, but(func(c *facts.Container) { c.Apptainer = "" }), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{
				"proc/cpuinfo": milan, "proc/filesystems": "nodev\tsysfs\nnodev\tfuse\nnodev\toverlay\n\tsquashfs\n", "proc/sys/kernel/osrelease": "6.1.0-13-amd64\n",
				"proc/sys/user/max_user_namespaces": "15000\n", "dev/fuse": "", "dev/null": "", "usr/bin/apptainer": "",
			}
			maps.Copy(files, c.change)
			maps.DeleteFunc(files, func(_, text string) bool { return text == "-" })
			n, err := Node(context.Background(), Options{Root: record(t, files), Env: func(string) string { return "/nowhere" }})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, n.Container); diff != "" {
				t.Errorf("container (-want +got):\n%s", diff)
			}
			for _, u := range n.Unknown {
				if what := u.What; len(what) > 9 && what[:9] == "container" && !slices.Contains(c.unknown, what) {
					t.Errorf("unknown: %+v", u)
				}
			}
			for _, what := range c.unknown {
				if !slices.ContainsFunc(n.Unknown, func(u facts.Unknown) bool { return u.What == what && u.Why != "" }) {
					t.Errorf("%s is not among what is unknown: %+v", what, n.Unknown)
				}
			}
		})
	}
}

// On this machine more than its settings counts: it has namespaces, and the device may be used.
func TestContainerOfThisMachine(t *testing.T) {
	dir := record(t, map[string]string{
		"proc/filesystems": "nodev\tfuse\n", "proc/sys/user/max_user_namespaces": "15000\n", "tools/bin/apptainer": "",
	})
	var n facts.Node
	p := prober{node: &n, fsys: os.DirFS(dir), env: func(string) string { return "relative:/tools/bin" }}
	p.container()
	want := &facts.Container{FUSE: mayUse("/dev/fuse"), Apptainer: "/tools/bin/apptainer"}
	if diff := cmp.Diff(want, n.Container); diff != "" {
		t.Errorf("without /proc/self/ns/user (-want +got):\n%s", diff)
	}
	if f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); (err == nil) != mayUse("/dev/fuse") {
		t.Errorf("opening /dev/fuse: %v, and mayUse says %v", err, mayUse("/dev/fuse"))
	} else if err == nil {
		f.Close()
	}
}

func TestKernelFrom(t *testing.T) {
	for release, want := range map[string]bool{
		"5.11": true, "5.11.0": true, "5.14.0-427.el9.x86_64": true, "6.1-rc3": true, "10.0.1": true, "5.10.99": false,
		"4.18.0-553.el8_10.x86_64": false, "5": false, "": false, "x.y": false, "5.": false,
	} {
		if got := kernelFrom(release, 5, 11); got != want {
			t.Errorf("kernelFrom(%q, 5, 11) = %v, want %v", release, got, want)
		}
	}
}
