package match

import (
	"slices"
	"strings"
)

// genericProcessors are LLVM's generic targets of AMD GPUs: one code object for all of these.
// Source: "Generic processors" in LLVM's AMDGPUUsage, and the list of ROCm's loader (clr), which
// has gfx12-5-generic as well. None covers gfx908 and gfx90a.
//
//nolint:gochecknoglobals // a constant table
var genericProcessors = map[string][]string{
	"gfx9-generic":    {"gfx900", "gfx902", "gfx904", "gfx906", "gfx909", "gfx90c"},
	"gfx9-4-generic":  {"gfx940", "gfx941", "gfx942", "gfx950"},
	"gfx10-1-generic": {"gfx1010", "gfx1011", "gfx1012", "gfx1013"},
	"gfx10-3-generic": {
		"gfx1030", "gfx1031", "gfx1032", "gfx1033", "gfx1034", "gfx1035", "gfx1036",
	},
	"gfx11-generic": {
		"gfx1100", "gfx1101", "gfx1102", "gfx1103", "gfx1150", "gfx1151", "gfx1152", "gfx1153",
	},
	"gfx12-generic":   {"gfx1200", "gfx1201"},
	"gfx12-5-generic": {"gfx1250", "gfx1251"},
}

// isGFX reports whether a name has the form of a processor, "gfx90a", or of a generic one,
// "gfx9-4-generic".
func isGFX(name string) bool {
	digits, gfx := strings.CutPrefix(name, "gfx")
	of := "0123456789abcdef"
	if family, generic := strings.CutSuffix(digits, "-generic"); generic {
		major, minor, both := strings.Cut(family, "-")
		if both && minor == "" {
			return false
		}
		digits, of = major+minor, "0123456789"
	}
	return gfx && digits != "" && strings.Trim(digits, of) == ""
}

// amdOn returns how well the best of the code runs on an AMD GPU; 0 means not at all. Code for
// exactly this processor may use what generic code leaves alone.
func (n gpuNeeds) amdOn(gpu string) int {
	best := 0
	for _, code := range n.amd {
		switch {
		case code == gpu:
			return runsSame
		case slices.Contains(genericProcessors[code], gpu):
			best = runsMinor
		}
	}
	return best
}

// unknownGeneric returns the generic targets among the code that the table lacks.
func (n gpuNeeds) unknownGeneric() []string {
	return slices.DeleteFunc(slices.Clone(n.amd), func(code string) bool {
		return genericProcessors[code] != nil || !strings.HasSuffix(code, "-generic")
	})
}
