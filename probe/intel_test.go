package probe

import (
	"context"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// intelTree is a /sys with two GPUs for computing, one for a screen, and devices that are no GPUs
// of Intel's drivers.
func intelTree() map[string]string {
	tree := map[string]string{"proc/cpuinfo": milan}
	for address, d := range map[string]struct{ class, vendor, device, driver string }{
		"0000:00:02.0": {"0x030000", "0x8086", "0x4680", "i915"},
		"0000:1a:00.0": {"0x038000", "0x8086", "0x0bd5", "xe"},
		"0000:29:00.0": {"0x038000", "0x8086", "0x0bda", "i915"},
		"0000:3a:00.0": {"0x038000", "0x8086", "0x56c0", "vfio-pci"}, // given to a virtual machine
		"0000:4d:00.0": {"0x038000", "0x8086", "0x0bd6", ""},         // no driver
		"0000:00:1f.3": {"0x040300", "0x8086", "0x7ad0", "xe"},       // sound
		"0000:00:1f.4": {"0x0c0500", "0x8086", "0x7aa3", "i801_smbus"},
		"0000:65:00.0": {"0x030200", "0x10de", "0x2330", "nvidia"},
	} {
		// The devices of a bus are links to their place.
		dir := "sys/devices/pci0000:00/" + address
		tree["sys/bus/pci/devices/"+address] = "-> ../../../devices/pci0000:00/" + address
		tree[dir+"/class"], tree[dir+"/vendor"], tree[dir+"/device"] = d.class+"\n", d.vendor+"\n", d.device+"\n"
		if d.driver != "" {
			tree[dir+"/driver"] = "-> ../../../bus/pci/drivers/" + d.driver
			tree["sys/bus/pci/drivers/"+d.driver+"/bind"] = ""
		}
	}
	return tree
}

func TestIntelGPUs(t *testing.T) {
	screen := facts.GPU{Vendor: "intel"}
	max1550 := facts.GPU{Vendor: "intel", Name: "Intel Data Center GPU Max 1550", Arch: "pvc"}
	max1100 := facts.GPU{Vendor: "intel", Name: "Intel Data Center GPU Max 1100", Arch: "pvc"}
	got, err := Node(context.Background(), Options{Root: record(t, intelTree())})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]facts.GPU{screen, max1550, max1100}, got.GPUs); diff != "" {
		t.Errorf("GPUs (-want +got):\n%s", diff)
	}

	// On the machine itself a GPU counts only if this process may use its render node.
	tree := intelTree()
	tree["sys/devices/pci0000:00/0000:00:02.0/drm/card0/dev"] = ""
	tree["sys/devices/pci0000:00/0000:1a:00.0/drm/renderD4095/dev"] = "" // no machine has that many
	var n facts.Node
	p := prober{node: &n, fsys: os.DirFS(record(t, tree))}
	p.intel()
	if diff := cmp.Diff([]facts.GPU{screen, max1100}, n.GPUs); diff != "" {
		t.Errorf("GPUs of this machine (-want +got):\n%s", diff)
	}
}

// Where no driver of Intel's is loaded, the devices are not even listed.
func TestNoIntelDriver(t *testing.T) {
	tree := intelTree()
	for name := range tree {
		if name == "sys/bus/pci/drivers/xe/bind" || name == "sys/bus/pci/drivers/i915/bind" {
			delete(tree, name)
		}
	}
	var n facts.Node
	p := prober{node: &n, fsys: os.DirFS(record(t, tree))}
	if p.intel(); len(n.GPUs) > 0 || len(n.Unknown) > 0 {
		t.Errorf("without a driver: %+v", n)
	}
}

func TestIntelNumbers(t *testing.T) {
	for device, want := range map[string]facts.GPU{
		"0x0b69": {Vendor: "intel", Name: "Intel Data Center GPU Max 1450", Arch: "pvc"},
		"0x0bdb": {Vendor: "intel", Name: "Intel Data Center GPU Max 1100", Arch: "pvc"},
		"0x56c1": {Vendor: "intel", Name: "Intel Data Center GPU Flex 140"},
		"0x9a49": {Vendor: "intel"},
		"":       {Vendor: "intel"},
	} {
		if got := intelGPU(device); got != want {
			t.Errorf("intelGPU(%q) = %+v, want %+v", device, got, want)
		}
	}
}
