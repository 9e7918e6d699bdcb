package nodes

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/probe/facts"
)

// Line writes one node in a line, or how many of which CPU there are.
func Line(nodes []facts.Node, platform string) string {
	if len(nodes) == 1 {
		return nodeLine(nodes[0], platform)
	}
	count := map[string]int{}
	for _, n := range nodes {
		count[n.CPU.Target]++
	}
	line := fmt.Sprintf("%d nodes:", len(nodes))
	for _, target := range slices.Sorted(maps.Keys(count)) {
		line += fmt.Sprintf(" %d %s", count[target], target)
	}
	return line
}

// nodeLine is a node in one line.
func nodeLine(n facts.Node, platform string) string {
	if platform != "" {
		return "--platform " + platform
	}
	parts := []string{n.Arch + " " + n.CPU.Target}
	if n.CPU.Level > 0 {
		parts[0] += fmt.Sprintf(" (x86-64-v%d)", n.CPU.Level)
	}
	if n.CPU.Rule == facts.RuleSite {
		parts[0] += " stated by the site"
	}
	if n.CPU.Emulated {
		parts = append(parts, "emulated")
	}
	parts = append(parts, gpus(n.GPUs)...)
	if n.NVIDIA != nil {
		parts = append(parts, "NVIDIA driver "+n.NVIDIA.Driver)
	}
	for _, m := range n.MPI {
		parts = append(parts, strings.TrimSpace(m.Implementation+" "+m.Version))
	}
	parts = append(parts, n.Labels...)
	return strings.Join(parts, ", ")
}

// gpus names each kind of GPU, with how many there are.
func gpus(all []facts.GPU) []string {
	var kinds []string
	count := map[string]int{}
	for _, g := range all {
		kind := strings.TrimSpace(g.Vendor + " " + g.Arch)
		if count[kind]++; count[kind] == 1 {
			kinds = append(kinds, kind)
		}
	}
	for i, kind := range kinds {
		if n := count[kind]; n > 1 {
			kinds[i] = fmt.Sprintf("%d x %s", n, kind)
		}
	}
	return kinds
}
