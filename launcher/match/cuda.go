package match

// cudaOfDriver returns the CUDA version of an NVIDIA driver by its branch, for nodes that know only the driver's number:
// the newest branch not above it. Nil for drivers older than the table. Source: NVIDIA's CUDA release notes.
func cudaOfDriver(driver version) version {
	branches := []struct {
		branch int
		cuda   version
	}{
		{390, version{9, 1}},
		{396, version{9, 2}},
		{410, version{10, 0}},
		{418, version{10, 1}},
		{440, version{10, 2}},
		{450, version{11, 0}},
		{455, version{11, 1}},
		{460, version{11, 2}},
		{465, version{11, 3}},
		{470, version{11, 4}},
		{495, version{11, 5}},
		{510, version{11, 6}},
		{515, version{11, 7}},
		{520, version{11, 8}},
		{525, version{12, 0}},
		{530, version{12, 1}},
		{535, version{12, 2}},
		{545, version{12, 3}},
		{550, version{12, 4}},
		{555, version{12, 5}},
		{560, version{12, 6}},
		{565, version{12, 7}},
		{570, version{12, 8}},
		{575, version{12, 9}},
		{580, version{13, 0}},
	}
	var cuda version
	for _, b := range branches {
		if driver.at(0) >= b.branch {
			cuda = b.cuda
		}
	}
	return cuda
}

// minorCompatible returns the oldest driver that runs programs of any release of a CUDA major version, PTX apart; nil where
// NVIDIA promises none. Source: NVIDIA's CUDA Compatibility guide.
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
