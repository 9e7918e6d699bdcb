package convert

import (
	"fmt"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// merger is the tree of an image. It does to it what unpacking the layers one over another would do to a directory, entry by entry, so that
// symlinks lead where they lead at that moment, and hard links are to what is there then.
type merger struct {
	f       *flattener
	places  table[place] // by path: by the real one, as directories are entered, not through a symlink
	layer   int32        // that is being laid over the others, from 1
	waiting []waitingLink
	steps   int // along symlinks, of all entries
}

// place is what is at a path.
type place struct {
	note    uint32 // that put it there, and 1; 0 for nothing
	first   uint32 // of what is in a directory
	next    uint32 // in the directory that holds it
	prev    uint32
	touched int32 // the last layer that has put it, or something below it, there
	swept   int32 // the last layer of which everything below here is
}

// waitingLink is a hard link that stands before its file in a layer.
type waitingLink struct{ note, at, to uint32 }

func (m *merger) place(path uint32) *place {
	for m.places.count <= path {
		m.places.add(place{})
	}
	return m.places.at(path)
}

// what tells what is at a path: isNothing for nothing. A hard link is what it is to.
func (m *merger) what(path uint32) uint32 {
	if n := m.place(path).note; n != 0 {
		return m.f.notes.at(n - 1).what
	}
	return isNothing
}

func (m *merger) inode(path uint32) *squashfs.Inode {
	return m.f.notes.at(m.place(path).note - 1).inode
}

// merge lays the layers over one another.
func merge(f *flattener) (*merger, error) {
	m := &merger{f: f}
	m.place(0).note = m.implied() + 1
	for i, b := range f.bounds {
		m.layer = int32(i + 1)
		for n := b.first; n < b.end; n++ {
			if err := m.apply(n); err != nil {
				return nil, f.inLayer(i, fmt.Errorf("%.80q: %w", f.paths.full(f.notes.at(n).at), err))
			}
		}
		if err := m.linkWaiting(); err != nil {
			return nil, f.inLayer(i, err)
		}
	}
	return m, nil
}

// implied makes a directory that no entry speaks of.
func (m *merger) implied() uint32 {
	return m.f.notes.add(note{inode: m.f.w.Directory(squashfs.Meta{Mode: 0o755}), what: isDir})
}

// apply does what a note says.
func (m *merger) apply(n uint32) error {
	e := *m.f.notes.at(n)
	switch e.what {
	case isNothing:
		return nil
	case isOpaque, isWhiteout:
		m.takeAway(e)
		return nil
	}
	if e.at == 0 {
		m.place(0).note = n + 1
		return nil
	}
	dir, err := m.real(m.f.paths.parent(e.at))
	if err == nil {
		err = m.mkdir(dir)
	}
	if err != nil {
		return err
	}
	at := m.in(dir, e.at)
	if e.what < maxPaths {
		return m.link(n, at, e.what)
	}
	m.put(at, n+1)
	return nil
}

// in returns the path in a directory of the last name of a path.
func (m *merger) in(dir, path uint32) uint32 {
	if m.f.paths.parent(path) == dir {
		return path
	}
	return m.f.paths.child(dir, string(m.f.paths.name(path)))
}

// put lets a note stand at a path whose directory is there.
func (m *merger) put(at, n uint32) {
	old := m.what(at)
	if old != isDir || m.f.notes.at(n-1).what != isDir {
		m.remove(at)
		old = isNothing
	}
	p := m.place(at)
	p.note = n
	if old == isNothing {
		m.hook(at)
		p.swept = m.layer
	}
	m.touch(at)
}

// hook adds a path to the list of its directory.
func (m *merger) hook(at uint32) {
	p, dir := m.place(at), m.place(m.f.paths.parent(at))
	p.next, p.prev = dir.first, 0
	if dir.first != 0 {
		m.place(dir.first).prev = at
	}
	dir.first = at
}

// touch notes that the layer has put something at a path.
func (m *merger) touch(at uint32) {
	for p := m.place(at); p.touched != m.layer; p = m.place(at) {
		p.touched = m.layer
		at = m.f.paths.parent(at)
	}
}

// remove takes away what is at a path, and all below it.
func (m *merger) remove(at uint32) {
	p := m.place(at)
	if p.note == 0 {
		return
	}
	if p.prev != 0 {
		m.place(p.prev).next = p.next
	} else {
		m.place(m.f.paths.parent(at)).first = p.next
	}
	if p.next != 0 {
		m.place(p.next).prev = p.prev
	}
	m.clear(at)
}

func (m *merger) clear(at uint32) {
	p := m.place(at)
	for c := p.first; c != 0; {
		next := m.place(c).next
		m.clear(c)
		c = next
	}
	*p = place{}
}

// takeAway applies a whiteout: it takes away what lower layers have, not what this one has put there. One that leads nowhere has nothing
// to take away.
func (m *merger) takeAway(e note) {
	if e.what == isOpaque {
		if dir, err := m.real(e.at); err == nil && m.what(dir) == isDir {
			m.sweep(dir)
		}
		return
	}
	dir, err := m.real(m.f.paths.parent(e.at))
	if err != nil {
		return
	}
	at := m.in(dir, e.at)
	switch {
	case m.what(at) == isNothing:
	case m.place(at).touched != m.layer:
		m.remove(at)
	default:
		m.sweep(at)
	}
}

// sweep takes away what lower layers have below a path. What was swept once needs it no more in the same layer.
func (m *merger) sweep(at uint32) {
	p := m.place(at)
	if p.swept == m.layer {
		return
	}
	p.swept = m.layer
	for c := p.first; c != 0; {
		next := m.place(c).next
		if m.place(c).touched == m.layer {
			m.sweep(c)
		} else {
			m.remove(c)
		}
		c = next
	}
}

// mkdir makes a directory and those above it, where they are not there. Files of lower layers give way to it.
func (m *merger) mkdir(dir uint32) error {
	if m.what(dir) == isDir {
		return nil
	}
	if err := m.mkdir(m.f.paths.parent(dir)); err != nil {
		return err
	}
	if m.what(dir) != isNothing && m.place(dir).touched == m.layer {
		return refuse("%q is no directory", m.f.paths.full(dir))
	}
	m.put(dir, m.implied()+1)
	return nil
}

// Bounds of following symlinks: how many there may be in one path, and how many names all paths may lead over, for each entry.
const (
	maxLinks = 255
	maxSteps = 256
)

// real returns where a path leads when all symlinks in it are followed. It need not exist.
func (m *merger) real(path uint32) (uint32, error) {
	if m.what(path) == isDir {
		return path, nil
	}
	return m.follow(m.f.paths.parts(path))
}

// follow goes along the names of a path, and of the targets of symlinks in it.
func (m *merger) follow(todo []string) (at uint32, err error) {
	whole, depth := todo, 0
	for links := 0; len(todo) > 0; {
		part := todo[0]
		todo = todo[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			at, depth = m.f.paths.parent(at), max(0, depth-1)
			continue
		}
		if m.steps++; m.steps > maxSteps*(int(m.f.notes.count)+1<<12) || m.f.paths.names.count > maxInodes {
			return 0, refuse("the image's symlinks lead over more than %d names an entry, or to more than %d", maxSteps, maxInodes)
		}
		next := m.f.paths.child(at, part)
		if m.what(next) != isSymlink {
			if at, depth = next, depth+1; depth > maxDepth {
				return 0, refuse("%.80q leads to a path of more than %d directories", strings.Join(whole, "/"), maxDepth)
			}
			continue
		}
		if links++; links > maxLinks {
			return 0, refuse("too many symlinks in %.80q", strings.Join(whole, "/"))
		}
		target := m.f.w.Target(m.inode(next))
		parts, err := checked(target)
		if err != nil {
			return 0, err
		}
		if strings.HasPrefix(target, "/") {
			at, depth = 0, 0
		}
		todo = append(parts[:len(parts):len(parts)], todo...)
	}
	return at, nil
}

// link makes a hard link to what is at another path, or notes that it must still come.
func (m *merger) link(n, at, to uint32) error {
	dir, err := m.real(m.f.paths.parent(to))
	if err != nil {
		return err
	}
	if to != 0 {
		to = m.in(dir, to)
	}
	switch m.what(to) {
	case isNothing:
		m.remove(at)
		m.waiting = append(m.waiting, waitingLink{n, at, to})
		return nil
	case isDir:
		return refuse("a hard link to %.80q: no layer holds that file", m.f.paths.full(to))
	}
	if to != at { // a link to itself says nothing
		m.put(at, m.place(to).note)
	}
	return nil
}

// maxChain bounds links to links that stand before their file.
const maxChain = 40

// linkWaiting makes the hard links of a layer that stand before their file.
func (m *merger) linkWaiting() error {
	targets := map[uint32]uint32{}
	for _, l := range m.waiting {
		targets[l.at] = l.to
	}
	for _, l := range m.waiting {
		if m.what(l.at) != isNothing {
			continue // something else has come there
		}
		to, chain := l.to, 0
		for ; m.what(to) == isNothing; chain++ {
			next, ok := targets[to]
			if !ok || chain == maxChain {
				break
			}
			to = next
		}
		switch what := m.what(to); {
		case chain == maxChain:
			return fmt.Errorf("%.80q: %w", m.f.paths.full(l.at), refuse("links go round in a circle"))
		case what == isNothing || what == isDir:
			return fmt.Errorf("%.80q: %w", m.f.paths.full(l.at), refuse("a hard link to %.80q: no layer holds that file", m.f.paths.full(l.to)))
		}
		note := m.place(to).note
		if err := m.mkdir(m.f.paths.parent(l.at)); err != nil {
			return err
		}
		m.put(l.at, note)
	}
	m.waiting = nil
	return nil
}

// missing are the notes of files that are in the tree, and whose content was passed over.
func (m *merger) missing() map[uint32]bool {
	missing := map[uint32]bool{}
	for at := range m.places.count {
		if n := m.place(at).note; n != 0 && m.f.notes.at(n-1).inode == nil {
			missing[n-1] = true
		}
	}
	return missing
}

// The merger is the tree that is written.

// Children returns what is in a directory.
func (m *merger) Children(dir uint32) []uint32 {
	count := 0
	for c := m.place(dir).first; c != 0; c = m.place(c).next {
		count++
	}
	children := make([]uint32, 0, count)
	for c := m.place(dir).first; c != 0; c = m.place(c).next {
		children = append(children, c)
	}
	return children
}

// Name returns the last name of a path.
func (m *merger) Name(path uint32) []byte { return m.f.paths.name(path) }

// Inode returns what is at a path.
func (m *merger) Inode(path uint32) *squashfs.Inode { return m.inode(path) }
