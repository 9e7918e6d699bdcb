package facts

// CUDAOfBranch returns the newest CUDA version that NVIDIA drivers of a branch support, the first
// number of their version, and whether the branch is known. For an unknown branch it is the version
// of the nearest branch below, which the driver supports at least; empty below the oldest. Source:
// NVIDIA's CUDA release notes.
func CUDAOfBranch(branch int) (cuda string, known bool) {
	for _, b := range []struct {
		branch int
		cuda   string
	}{
		{390, "9.1"},
		{396, "9.2"},
		{410, "10.0"},
		{418, "10.1"},
		{440, "10.2"},
		{450, "11.0"},
		{455, "11.1"},
		{460, "11.2"},
		{465, "11.3"},
		{470, "11.4"},
		{495, "11.5"},
		{510, "11.6"},
		{515, "11.7"},
		{520, "11.8"},
		{525, "12.0"},
		{530, "12.1"},
		{535, "12.2"},
		{545, "12.3"},
		{550, "12.4"},
		{555, "12.5"},
		{560, "12.6"},
		{565, "12.7"},
		{570, "12.8"},
		{575, "12.9"},
		{580, "13.0"},
		{590, "13.1"},
		{595, "13.2"},
	} {
		if branch < b.branch {
			break
		}
		cuda, known = b.cuda, branch == b.branch
	}
	return cuda, known
}

// MinorCompatible returns the oldest driver that runs programs of any release of a CUDA major
// version, except PTX; empty if NVIDIA promises none. Source: NVIDIA's CUDA Compatibility guide,
// "Minor Version Compatibility".
func MinorCompatible(major int) string {
	switch major {
	case 11:
		return "450.80.02"
	case 12:
		return "525.60.13"
	case 13:
		return "580"
	}
	return ""
}

// ForwardBase returns the newest CUDA release whose package cuda-compat works on drivers of a
// branch, and whether NVIDIA may still add newer ones; empty for a branch on which NVIDIA supports
// none. Sources: what the images nvidia/cuda of these releases require of driver and brand
// (NVIDIA_REQUIRE_CUDA), and for 12.9 and 13.1 the note .note.cuda.fwd_compatibility of their
// libcuda (NVIDIA/nvidia-container-toolkit, testdata/compat). Branch 580 has long-term support.
func ForwardBase(branch int) (newest string, open bool) {
	switch branch {
	case 384, 396, 410:
		return "10.2", false
	case 418, 440:
		return "11.4", false
	case 450, 510, 515:
		return "12.0", false
	case 525:
		return "12.4", false
	case 470:
		return "12.8", false
	case 560, 565:
		return "12.9", false
	case 550, 575:
		return "13.1", false
	case 535, 570, 590:
		return "13.2", false
	case 595:
		return "13.3", false
	case 580:
		return "13.2", true
	}
	return "", false
}
