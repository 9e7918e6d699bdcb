package match

import "cmp"

// The keys that order the fitting entries, the most important first. A greater value is preferred;
// if all keys are equal, the earlier entry of the index is.
const (
	keyRank       = iota // the author's annotation
	keySite              // labels of the site that the entry names
	keyAccel             // 1 with GPU code
	keyAccelExact        // how near the GPU code is to the GPU, see gpuCode.on
	keyFabric            // words for the node's fabric
	keyMPI               // MPI demands
	keyVector            // class of the vectors of the entry's target
	keyAffinity          // 2 a vendor's target, 1 a generic level, 0 a foreign target
	keyLine              // how near the target is to the node's own line, see host.nearness
	keyDepth             // ancestors of the target
	keyFeatures          // features of the target
	keyDriver            // newest NVIDIA driver demanded
	keyCount
)

// keyName is the name of a key in explanations.
func keyName(key int) string {
	return [...]string{
		"rank", "site", "accel", "accel-exact", "fabric", "mpi", "vector", "affinity",
		"line", "depth", "features", "driver", "index",
	}[key]
}

// score holds the value of each key. The CPU keys from vector to features extend the partial order
// of microarchitectures: an ancestor never scores more than its descendant.
type score [keyCount]int

// differs returns the first key in which two scores differ; keyCount if none does.
func (s score) differs(t score) int {
	for key := range s {
		if s[key] != t[key] {
			return key
		}
	}
	return keyCount
}

// first compares by the first key that differs: positive if s precedes t.
func (s score) first(t score) int {
	key := s.differs(t)
	if key == keyCount {
		return 0
	}
	return cmp.Compare(s[key], t[key])
}

// min returns the lower value of each key: an image for several nodes is as good as on the worst of
// them.
func (s score) min(t score) score {
	for key := range s {
		s[key] = min(s[key], t[key])
	}
	return s
}
