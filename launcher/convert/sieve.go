package convert

// sieve tells, while layers are read from the topmost down, which files a higher layer hides. It
// compares paths as they are written and knows neither symlinks nor hard links: it guesses, and a
// wrong guess costs time, not content.
type sieve struct {
	paths *paths
	marks table[mark] // by path
}

// mark is what is known of a path. Layers count from 1; 0 is none.
type mark struct {
	highest int32 // the highest layer with a file at the path
	below   int32 // the highest layer with a file below the path
	hidden  int32 // layers below this number are hidden at the path and below it
	barrier int32 // layers below this number are hidden below the path
}

func (s *sieve) mark(path uint32) *mark {
	for s.marks.count <= path {
		s.marks.add(mark{})
	}
	return s.marks.at(path)
}

// path returns the number of a path of a layer, and whether it is visible.
func (s *sieve) path(layer int32, parts []string) (at uint32, seen bool) {
	seen = true
	for _, part := range parts {
		seen = seen && layer >= s.mark(at).barrier
		at = s.paths.child(at, part)
		seen = seen && layer >= s.mark(at).hidden
	}
	return at, seen
}

// put records that a layer has a file at a path, and tells whether it is visible.
func (s *sieve) put(layer int32, at uint32, seen, dir bool) bool {
	m := s.mark(at)
	if !seen {
		return false
	}
	if !dir {
		m.barrier = max(m.barrier, layer) // a file replaces a directory of a lower layer
		seen = m.below <= layer           // and is replaced by a directory of a higher one
	}
	if seen = seen && m.highest <= layer; !seen {
		return false
	}
	m.highest = max(m.highest, layer)
	for ; at != 0; at = s.paths.parent(at) {
		if up := s.mark(s.paths.parent(at)); up.below == 0 {
			up.below = layer
		} else {
			break
		}
	}
	return true
}

// hide records that a layer hides the files of lower layers below a path, and those at the path
// itself if itself is true.
func (s *sieve) hide(layer int32, at uint32, seen, itself bool) {
	if m := s.mark(at); seen {
		m.barrier = max(m.barrier, layer)
		if itself {
			m.hidden = max(m.hidden, layer)
		}
	}
}
