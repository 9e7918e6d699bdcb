package match

import (
	"fmt"
	"slices"
	"strings"
)

// capability is the compute capability of an NVIDIA GPU.
type capability struct{ major, minor int }

func (c capability) String() string { return fmt.Sprintf("%d.%d", c.major, c.minor) }

// tegra reports whether c is of a system on a chip: its code does not run on discrete GPUs, nor
// theirs on it.
func (c capability) tegra() bool {
	switch c {
	case capability{5, 3}, capability{6, 2}, capability{7, 2}, capability{8, 7}:
		return true
	}
	return false
}

func readCapability(s string) (capability, bool) {
	v := parseVersion(s)
	return capability{v.at(0), v.at(1)}, len(v) == 2
}

// gpuCode is code for NVIDIA GPUs: machine code (a cubin), or PTX, which the driver compiles.
type gpuCode struct {
	capability
	ptx    bool
	exact  bool   // "a": for this capability alone
	suffix string // "", "a", "f"
}

func (g gpuCode) String() string {
	if g.ptx {
		return g.capability.String() + " and up (PTX)"
	}
	return g.capability.String() + g.suffix
}

// How well a code runs on a GPU; higher is better. PTX is below all machine code: it is compiled at
// the start.
const (
	runsArchitecture = 1001 // code for this very architecture
	runsSame         = 1000 // machine code for the same capability
	runsMinor        = 500  // plus the minor number: machine code for a lower one of the same major
	runsPTX          = 1    // plus ten times the capability, up to 300
)

// on returns how well the code runs on a GPU; 0 means not at all.
func (g gpuCode) on(gpu capability) int {
	switch {
	case g.ptx && (g.major < gpu.major || g.major == gpu.major && g.minor <= gpu.minor):
		return runsPTX + min(300, 10*g.major+g.minor)
	case g.ptx:
		return 0
	case g.capability == gpu && g.exact:
		return runsArchitecture
	case g.capability == gpu:
		return runsSame
	case g.exact || g.major != gpu.major || g.minor > gpu.minor || g.tegra() || gpu.tegra():
		return 0
	}
	return runsMinor + g.minor
}

// gpuNeeds is the GPU code of an entry.
type gpuNeeds struct {
	nvidia []gpuCode
	amd    []string
}

func gpuNeedsOf(demands []*demand) gpuNeeds {
	var needs gpuNeeds
	for _, d := range demands {
		switch d.kind {
		case kindNVIDIA:
			needs.nvidia = append(needs.nvidia, d.code)
		case kindAMD:
			needs.amd = append(needs.amd, d.name)
		}
	}
	return needs
}

// any reports whether there is GPU code at all.
func (n gpuNeeds) any() bool { return len(n.nvidia)+len(n.amd) > 0 }

// compiled reports whether the driver would have to compile PTX for one of these GPUs: no machine
// code runs on it, or its compute capability is not known. A fat binary also has PTX for GPUs of
// the future, which other GPUs leave alone.
func (n gpuNeeds) compiled(gpus []gpu) bool {
	if !slices.ContainsFunc(n.nvidia, func(code gpuCode) bool { return code.ptx }) {
		return false
	}
	return slices.ContainsFunc(gpus, func(g gpu) bool {
		best := n.bestOn(g.capability)
		return !g.known || best > 0 && best < runsMinor
	})
}

// bestOn returns how well the best of the code runs on an NVIDIA GPU.
func (n gpuNeeds) bestOn(gpu capability) int {
	best := 0
	for _, code := range n.nvidia {
		best = max(best, code.on(gpu))
	}
	return best
}

// kinds lists the NVIDIA code for a sentence.
func (n gpuNeeds) kinds() string {
	words := make([]string, len(n.nvidia))
	for i, code := range n.nvidia {
		words[i] = code.String()
	}
	return strings.Join(words, ", ")
}
