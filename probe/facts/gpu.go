package facts

import (
	"slices"
	"strconv"
	"strings"
)

// NVML is the output of the helper hpc3-gpu: the driver and the GPUs that the calling process may
// use, or why they are not known.
type NVML struct {
	SchemaVersion int       `json:"schemaVersion"`
	Error         string    `json:"error,omitempty"` // if set, only Code may be set too
	Code          int       `json:"code,omitempty"`  // nvmlReturn_t; 9: the driver is not loaded
	Driver        string    `json:"driver,omitempty"`
	CUDA          string    `json:"cuda,omitempty"`
	GPUs          []NVMLGPU `json:"gpus,omitempty"`
}

// NVMLGPU is a GPU as NVML describes it.
type NVMLGPU struct {
	GPU
	UUID string `json:"uuid,omitempty"`
	MIG  bool   `json:"mig,omitempty"` // the GPU is in MIG mode, or is an instance of one that is
}

// Visible returns the devices that a variable such as CUDA_VISIBLE_DEVICES leaves, as positions in
// uuids and then in instances. The variable lists numbers, which count uuids, and beginnings of
// UUIDs; only these reach the instances (NVIDIA's name for parts of a GPU). As in CUDA, everything
// after the first word that names no device is hidden. If the variable is not set, all of uuids are
// visible.
func Visible(setting string, set bool, uuids []string, instances ...string) []int {
	var visible []int
	if !set {
		for i := range uuids {
			visible = append(visible, i)
		}
		return visible
	}
	for word := range strings.SplitSeq(setting, ",") {
		i := visibleIndex(strings.TrimSpace(word), uuids, instances)
		if i < 0 {
			break
		}
		if !slices.Contains(visible, i) {
			visible = append(visible, i)
		}
	}
	return visible
}

// visibleIndex returns the position of the device that a word names, -1 if it names none.
func visibleIndex(word string, uuids, instances []string) int {
	if n, err := strconv.Atoi(word); err == nil {
		if n < 0 || n >= len(uuids) {
			return -1
		}
		return n
	}
	if !strings.HasPrefix(word, "GPU-") && !strings.HasPrefix(word, "MIG-") {
		return -1
	}
	return slices.IndexFunc(slices.Concat(uuids, instances), func(uuid string) bool {
		return strings.HasPrefix(strings.ToLower(uuid), strings.ToLower(word))
	})
}
