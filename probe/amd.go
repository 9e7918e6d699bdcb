package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/hpc3-project/hpc3/probe/facts"
)

// amd adds the GPUs that ROCm would use, from the topology that the kernel's KFD driver shows.
func (p *prober) amd() {
	const nodes = "sys/class/kfd/kfd/topology/nodes"
	ids := p.list(nodes)
	// "10" comes after "9".
	slices.SortStableFunc(ids, func(a, b string) int { return len(a) - len(b) })
	var found []facts.GPU
	var uuids []string
	for _, id := range ids {
		dir := nodes + "/" + id
		text, err := readFile(p.fsys, dir+"/properties", maxSmall)
		// The kernel hides a GPU from a process whose cgroup may not use it.
		if errors.Is(err, fs.ErrPermission) {
			continue
		}
		properties := parseProperties(text)
		if err != nil || properties["simd_count"] == 0 {
			continue // a CPU
		}
		found = append(found, facts.GPU{
			Vendor: "amd", Name: p.line(dir + "/name"),
			Arch: gfxName(properties["gfx_target_version"]), MemoryBytes: p.kfdMemory(dir),
		})
		uuids = append(uuids, fmt.Sprintf("GPU-%016x", properties["unique_id"]))
	}
	setting := p.env("ROCR_VISIBLE_DEVICES")
	for _, i := range facts.Visible(setting, setting != "", uuids) {
		p.node.GPUs = append(p.node.GPUs, found[i])
		if found[i].Arch == "" {
			p.cannotTell("gpus", "the kernel does not name the architecture of AMD GPU %d", i)
		}
	}
}

// kfdMemory returns the sum of the memory banks of a KFD node.
func (p *prober) kfdMemory(dir string) uint64 {
	var sum uint64
	for _, bank := range p.list(dir + "/mem_banks") {
		text, err := readFile(p.fsys, dir+"/mem_banks/"+bank+"/properties", maxSmall)
		if err == nil {
			sum += parseProperties(text)["size_in_bytes"]
		}
	}
	return sum
}

// parseProperties reads lines with a name and a number.
func parseProperties(text string) map[string]uint64 {
	properties := map[string]uint64{}
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) == 2 {
			if n, err := strconv.ParseUint(words[1], 10, 64); err == nil {
				properties[words[0]] = n
			}
		}
	}
	return properties
}

// gfxName returns the name of a gfx_target_version: 90010 is 9.0.10, whose last two parts are
// written in hexadecimal, gfx90a. Empty for 0, which kernels before 5.15 and CPUs have.
func gfxName(version uint64) string {
	if version == 0 {
		return ""
	}
	return fmt.Sprintf("gfx%d%x%x", version/10000, version/100%100, version%100)
}
