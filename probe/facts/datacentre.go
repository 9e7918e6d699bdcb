package facts

import (
	"slices"
	"strings"
)

// dataCentre holds NVIDIA's GPUs for data centres by the first word of their model, with the
// compute capability (NVIDIA's list of CUDA GPUs).
//
//nolint:gochecknoglobals // a constant table
var dataCentre = map[string]string{
	"K40": "3.5", "K40m": "3.5", "K80": "3.7", "M10": "5.0", "M40": "5.2", "M60": "5.2",
	"P100": "6.0", "P4": "6.1", "P40": "6.1", "V100": "7.0", "V100S": "7.0", "T4": "7.5",
	"A100": "8.0", "A100X": "8.0", "A800": "8.0", "A30": "8.0", "A30X": "8.0", "A10": "8.6",
	"A10G": "8.6", "A16": "8.6", "A2": "8.6", "A40": "8.6", "L2": "8.9", "L4": "8.9", "L20": "8.9",
	"L40": "8.9", "L40S": "8.9", "H100": "9.0", "H200": "9.0", "H800": "9.0", "H20": "9.0",
	"GH200": "9.0", "B200": "10.0", "GB200": "10.0", "B300": "10.3", "GB300": "10.3",
}

// DataCentreCapability returns the compute capability of an NVIDIA GPU for data centres by its
// model, as in "Tesla V100-SXM2-32GB" and "NVIDIA H100 80GB HBM3"; empty for other models: those of
// desktops share names across generations.
func DataCentreCapability(model string) string {
	model = strings.TrimPrefix(strings.TrimPrefix(model, "NVIDIA "), "Tesla ")
	word := strings.FieldsFunc(model, func(r rune) bool { return r == ' ' || r == '-' })
	if len(word) == 0 {
		return ""
	}
	return dataCentre[word[0]]
}

// ForDataCentres reports whether an NVIDIA GPU is one for data centres, and whether that is known,
// by its model and its compute capability. Some capabilities only such GPUs have.
func ForDataCentres(model, capability string) (is, known bool) {
	if DataCentreCapability(model) != "" {
		return true, true
	}
	for _, other := range []string{"GeForce", "TITAN", "Quadro", "RTX", "CMP"} {
		if strings.Contains(strings.ToLower(model), strings.ToLower(other)) {
			return false, true
		}
	}
	is = slices.Contains([]string{"8.0", "9.0", "10.0", "10.3"}, capability)
	return is, is
}
