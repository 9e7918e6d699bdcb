package probe

import (
	"io/fs"
	"path"
	"strings"

	"github.com/hpc3-project/hpc3/probe/facts"
	"golang.org/x/sys/unix"
)

// intel adds the GPUs to which one of Intel's kernel drivers is bound. Without such a driver it
// reads no device: a node may have hundreds.
func (p *prober) intel() {
	const drivers, devices = "sys/bus/pci/drivers/", "sys/bus/pci/devices"
	if !p.recorded && !p.exists(drivers+"xe") && !p.exists(drivers+"i915") {
		return
	}
	for _, address := range p.list(devices) {
		dir := devices + "/" + address
		// Class 03 is a display controller: 0300 has VGA, 0380 does not, as GPUs for computing.
		if !p.boundToIntel(dir) || !strings.HasPrefix(p.line(dir+"/class"), "0x03") ||
			p.line(dir+"/vendor") != "0x8086" {
			continue
		}
		if p.mayRender(dir) {
			p.node.GPUs = append(p.node.GPUs, intelGPU(p.line(dir+"/device")))
		}
	}
}

// boundToIntel reports whether one of Intel's GPU drivers holds a PCI device. One that is passed to
// a virtual machine has another driver.
func (p *prober) boundToIntel(dir string) bool {
	target, err := fs.ReadLink(p.fsys, dir+"/driver")
	return err == nil && (path.Base(target) == "xe" || path.Base(target) == "i915")
}

// mayRender reports whether this process may compute on a GPU. A job's cgroup, and the mode of the
// device, forbid its render node and hide nothing else. The node is not opened: that would wake the
// GPU.
func (p *prober) mayRender(dir string) bool {
	if p.recorded {
		return true
	}
	for _, name := range p.list(dir + "/drm") {
		if strings.HasPrefix(name, "renderD") {
			return mayUse("/dev/dri/" + name)
		}
	}
	return true
}

// mayUse reports whether this process may read and write a file of this machine. For devices the
// kernel checks the cgroup as well.
func mayUse(name string) bool { return unix.Access(name, unix.R_OK|unix.W_OK) == nil }

// intelGPU returns what a PCI device number says. Names are those of Intel's compute runtime
// (intel/compute-runtime, devices_base.inl), architectures those of its compilers; both are empty
// if the number is not a data-centre GPU's.
func intelGPU(device string) facts.GPU {
	largest := map[string]string{
		"0x0b69": "1450", "0x0b6e": "1100C", "0x0bd4": "1550VG", "0x0bd5": "1550", "0x0bd6": "1550",
		"0x0bd7": "1350", "0x0bd8": "1350", "0x0bd9": "1100", "0x0bda": "1100", "0x0bdb": "1100",
	}
	flex := map[string]string{"0x56c0": "170", "0x56c1": "140"}
	g := facts.GPU{Vendor: "intel"}
	if model := largest[device]; model != "" {
		g.Name, g.Arch = "Intel Data Center GPU Max "+model, "pvc"
	} else if model := flex[device]; model != "" {
		g.Name = "Intel Data Center GPU Flex " + model
	}
	return g
}
