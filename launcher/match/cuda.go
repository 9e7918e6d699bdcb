package match

import "github.com/hpc3-project/hpc3/probe/facts"

// cudaOfDriver returns the CUDA version of an NVIDIA driver by its branch, for nodes that report
// only the driver; for an unknown branch, the version of the branch below. It is nil for drivers
// older than all.
func cudaOfDriver(driver version) version {
	cuda, _ := facts.CUDAOfBranch(driver.at(0))
	return parseVersion(cuda)
}

// minorCompatible returns the oldest driver that runs programs of any release of a CUDA major
// version, except PTX; nil if NVIDIA promises none. Source: NVIDIA's CUDA Compatibility guide.
func minorCompatible(major int) version {
	switch major {
	case 11:
		return version{450, 80, 2}
	case 12:
		return version{525, 60, 13}
	case 13:
		return version{580}
	}
	return nil
}
