package probe

import (
	"io/fs"
	"path"
	"strings"
)

// fabric sets the networks that MPI can use without TCP.
func (p *prober) fabric() {
	if !p.exists("sys/class") {
		p.cannotTell("fabric", "there is no /sys/class")
		return
	}
	var found []string
	for _, device := range p.list("sys/class/infiniband") {
		if kind := p.verbsDevice("sys/class/infiniband/" + device); kind != "" {
			found = append(found, kind)
		}
	}
	devices := p.list("dev")
	if len(p.list("sys/class/cxi")) > 0 || hasDevice(devices, "cxi") {
		found = append(found, "cxi")
	}
	if hasDevice(devices, "hfi1_") {
		found = append(found, "opa")
	}
	p.node.Fabric = sorted(found)
}

// hasDevice reports whether one of the devices is called prefix0, prefix1 …
func hasDevice(devices []string, prefix string) bool {
	for _, name := range devices {
		number, ok := strings.CutPrefix(name, prefix)
		if ok && number != "" && strings.Trim(number, "0123456789") == "" {
			return true
		}
	}
	return false
}

// verbsDevice returns the fabric that a device of the verbs class serves; empty if none of its
// ports is up.
func (p *prober) verbsDevice(dir string) string {
	switch p.driver(dir) {
	case "hfi1":
		return "opa"
	case "efa":
		return "efa" // its ports state no link layer
	}
	// "4: RNIC" is iWARP, which is not RoCE although its link layer is Ethernet.
	if strings.HasPrefix(p.line(dir+"/node_type"), "4") {
		return ""
	}
	for _, port := range p.list(dir + "/ports") {
		port = dir + "/ports/" + port
		// "1: DOWN"; "4: ACTIVE".
		if strings.HasPrefix(p.line(port+"/state"), "1") {
			continue
		}
		switch p.line(port + "/link_layer") {
		case "InfiniBand":
			return "infiniband"
		case "Ethernet":
			return "roce"
		}
	}
	return ""
}

// driver returns the name of the driver of a device of a class; empty if it is not known.
func (p *prober) driver(dir string) string {
	target, err := fs.ReadLink(p.fsys, dir+"/device/driver")
	if err != nil {
		return ""
	}
	return path.Base(target)
}
