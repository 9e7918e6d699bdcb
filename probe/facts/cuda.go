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
	} {
		if branch < b.branch {
			break
		}
		cuda, known = b.cuda, branch == b.branch
	}
	return cuda, known
}
