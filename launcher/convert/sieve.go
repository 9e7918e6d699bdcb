package convert

// sieve tells, while layers are read from the topmost down, which files a higher layer hides. It goes by paths as they are written, and
// does not know where symlinks lead or what has hard links: it is a guess, and a wrong one costs time, not content.
type sieve struct {
	paths *paths
	marks table[mark] // by path
}

// mark is what is known of a path. Layers count from 1 here, 0 is none.
type mark struct {
	stands  int32 // the highest layer that has something there
	below   int32 // the highest layer that has something below it
	hidden  int32 // layers below this number do not show there, nor below it
	barrier int32 // layers below this number do not show below it
}

func (s *sieve) mark(path uint32) *mark {
	for s.marks.count <= path {
		s.marks.add(mark{})
	}
	return s.marks.at(path)
}

// path returns the number of a path of a layer, and whether it shows.
func (s *sieve) path(layer int32, parts []string) (at uint32, seen bool) {
	seen = true
	for _, part := range parts {
		seen = seen && layer >= s.mark(at).barrier
		at = s.paths.child(at, part)
		seen = seen && layer >= s.mark(at).hidden
	}
	return at, seen
}

// put notes that a layer has something at a path, and tells whether it shows.
func (s *sieve) put(layer int32, at uint32, seen, dir bool) bool {
	m := s.mark(at)
	if !seen {
		return false
	}
	if !dir {
		m.barrier = max(m.barrier, layer) // directories of lower layers give way to it
		seen = m.below <= layer           // and it to a directory of a higher one
	}
	if seen = seen && m.stands <= layer; !seen {
		return false
	}
	m.stands = max(m.stands, layer)
	for ; at != 0; at = s.paths.parent(at) {
		if up := s.mark(s.paths.parent(at)); up.below == 0 {
			up.below = layer
		} else {
			break
		}
	}
	return true
}

// takeAway notes that a layer takes away what lower ones have at a path, or only below it.
func (s *sieve) takeAway(layer int32, at uint32, seen, itself bool) {
	if m := s.mark(at); seen {
		m.barrier = max(m.barrier, layer)
		if itself {
			m.hidden = max(m.hidden, layer)
		}
	}
}
