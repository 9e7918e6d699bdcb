package device

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// otherGPUs adds GPUs of AMD and Intel, whose libraries come with the image, and other
// accelerators: a vendor's by the node's CDI specification for it, else all that the job may use.
func (a *Ask) otherGPUs(f *Found) {
	var left []string
	of := map[string][]string{} // by vendor
	for _, p := range a.nodes("/dev/kfd", "/dev/dri/renderD*", "/dev/dri/card*",
		"/dev/accel/*", "/dev/habanalabs*", "/dev/dxg") {
		switch a.maker(p) {
		case nvidia.name:
		case amd.name:
			of[amd.name] = append(of[amd.name], p)
		case intel.name:
			of[intel.name] = append(of[intel.name], p)
		default:
			left = append(left, p)
		}
	}
	for _, v := range []vendor{amd, intel} {
		if len(of[v.name]) > 0 {
			left = append(left, a.byVendor(f, v, of[v.name])...)
		}
	}
	f.bind(a, left...)
	if len(left) == 0 {
		return
	}
	const byPath = "/dev/dri/by-path"
	described := slices.ContainsFunc(f.Mounts,
		func(m Mount) bool { return filepath.Dir(m.Target) == byPath })
	if a.exists(byPath) && !described {
		f.bind(a, byPath)
	}
	f.note("GPUs: " + strings.Join(left, " "))
}

// byVendor adds the GPUs of a vendor by its CDI specification, and returns the nodes that are still
// to be added: without a specification, all of them.
func (a *Ask) byVendor(f *Found, v vendor, nodes []string) (left []string) {
	words, wantsAny := a.wanted(v)
	if !wantsAny {
		return nil
	}
	applied, described := a.cdi(f, v, words)
	switch {
	case applied:
		return nil
	case described && len(words) > 0:
		f.warn(fmt.Sprintf("%s: the specification of this node's GPUs has no device %s", v.variable,
			strings.Join(words, ",")))
		return nil
	case len(words) > 0:
		f.warn(fmt.Sprintf("%s=%s: no CDI specification of %s on this node says which GPUs these "+
			"are; the container gets all that the job may use", v.variable,
			strings.Join(words, ","), v.kind))
	}
	return nodes
}

// maker returns the vendor of a device of the node, by its kernel driver; "" for another one, or if
// the driver is not known.
func (a *Ask) maker(node string) string {
	if node == "/dev/kfd" {
		return amd.name
	}
	if filepath.Dir(node) != "/dev/dri" {
		return ""
	}
	switch driver := a.driver(node); {
	case driver == "nvidia":
		return nvidia.name
	case driver == "amdgpu":
		return amd.name
	case slices.Contains([]string{"i915", "xe"}, driver):
		return intel.name
	}
	return ""
}

// driver returns the kernel's driver of a node in /dev/dri; "" if it is not known.
func (a *Ask) driver(node string) string {
	link := "/sys/class/drm/" + filepath.Base(node) + "/device/driver"
	driver, err := filepath.EvalSymlinks(a.at(link))
	if err != nil {
		return ""
	}
	return filepath.Base(driver)
}
