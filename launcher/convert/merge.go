package convert

import (
	"fmt"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// merger is the tree of an image. It applies the notes entry by entry, as unpacking the layers one
// over another would change a directory: symlinks and hard links have the target that exists at
// that moment.
type merger struct {
	f       *flattener
	places  table[place] // by path without symlinks
	layer   int32        // the layer that is being applied, from 1
	waiting []waitingLink
	steps   int // how many names were walked while following symlinks, for all entries
}

// place is the state of a path.
type place struct {
	note    uint32 // 1 + the number of the note that made the file here; 0 if there is none
	first   uint32 // directories: the first child
	next    uint32 // the next and the previous child of the same directory
	prev    uint32
	touched int32 // the last layer that put something at the path or below it
	swept   int32 // the layer for which everything of lower layers below the path was removed
}

// waitingLink is a hard link that precedes its file in a layer.
type waitingLink struct{ note, at, to uint32 }

func (m *merger) place(path uint32) *place {
	for m.places.count <= path {
		m.places.add(place{})
	}
	return m.places.at(path)
}

// kind returns the kind of the file at a path, or isNothing. For a hard link it is the target's.
func (m *merger) kind(path uint32) uint32 {
	if n := m.place(path).note; n != 0 {
		return m.f.notes.at(n - 1).kind
	}
	return isNothing
}

func (m *merger) inode(path uint32) *squashfs.Inode {
	return m.f.notes.at(m.place(path).note - 1).inode
}

// merge applies the notes of all layers.
func merge(f *flattener) (*merger, error) {
	m := &merger{f: f}
	m.place(0).note = m.implied() + 1
	for i, b := range f.bounds {
		m.layer = int32(i + 1)
		for n := b.first; n < b.end; n++ {
			if err := m.apply(n); err != nil {
				path := f.paths.full(f.notes.at(n).at)
				return nil, f.inLayer(i, fmt.Errorf("%.80q: %w", path, err))
			}
		}
		if err := m.linkWaiting(); err != nil {
			return nil, f.inLayer(i, err)
		}
	}
	return m, nil
}

// implied makes a directory that has no entry.
func (m *merger) implied() uint32 {
	return m.f.notes.add(note{inode: m.f.w.Directory(squashfs.Meta{Mode: 0o755}), kind: isDir})
}

// apply applies a note.
func (m *merger) apply(n uint32) error {
	e := *m.f.notes.at(n)
	switch e.kind {
	case isNothing:
		return nil
	case isOpaque, isWhiteout:
		m.whiteout(e)
		return nil
	}
	if e.at == 0 {
		m.place(0).note = n + 1
		return nil
	}
	dir, err := m.resolve(m.f.paths.parent(e.at))
	if err == nil {
		err = m.mkdir(dir)
	}
	if err != nil {
		return err
	}
	at := m.in(dir, e.at)
	if e.kind < maxPaths {
		return m.link(n, at, e.kind)
	}
	m.put(at, n+1)
	return nil
}

// in returns the path of a directory's child that has the last name of path.
func (m *merger) in(dir, path uint32) uint32 {
	if m.f.paths.parent(path) == dir {
		return path
	}
	return m.f.paths.child(dir, string(m.f.paths.name(path)))
}

// put puts a note at a path whose directory exists.
func (m *merger) put(at, n uint32) {
	old := m.kind(at)
	if old != isDir || m.f.notes.at(n-1).kind != isDir {
		m.remove(at)
		old = isNothing
	}
	p := m.place(at)
	p.note = n
	if old == isNothing {
		m.addToDir(at)
		p.swept = m.layer
	}
	m.touch(at)
}

// addToDir adds a path to the list of its directory.
func (m *merger) addToDir(at uint32) {
	p, dir := m.place(at), m.place(m.f.paths.parent(at))
	p.next, p.prev = dir.first, 0
	if dir.first != 0 {
		m.place(dir.first).prev = at
	}
	dir.first = at
}

// touch records that the current layer has put something at a path.
func (m *merger) touch(at uint32) {
	for p := m.place(at); p.touched != m.layer; p = m.place(at) {
		p.touched = m.layer
		at = m.f.paths.parent(at)
	}
}

// remove removes a path and everything below it.
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

// whiteout applies a whiteout. It removes what lower layers have put there, not what the current
// layer has. A whiteout of a path that does not exist does nothing.
func (m *merger) whiteout(e note) {
	if e.kind == isOpaque {
		if dir, err := m.resolve(e.at); err == nil && m.kind(dir) == isDir {
			m.sweep(dir)
		}
		return
	}
	dir, err := m.resolve(m.f.paths.parent(e.at))
	if err != nil {
		return
	}
	at := m.in(dir, e.at)
	switch {
	case m.kind(at) == isNothing:
	case m.place(at).touched != m.layer:
		m.remove(at)
	default:
		m.sweep(at)
	}
}

// sweep removes what lower layers have put below a path. For each layer it works at most once.
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

// mkdir makes a directory and its parents, if they do not exist. A directory replaces a file of a
// lower layer.
func (m *merger) mkdir(dir uint32) error {
	if m.kind(dir) == isDir {
		return nil
	}
	if err := m.mkdir(m.f.paths.parent(dir)); err != nil {
		return err
	}
	if m.kind(dir) != isNothing && m.place(dir).touched == m.layer {
		return refuse("%q is no directory", m.f.paths.full(dir))
	}
	m.put(dir, m.implied()+1)
	return nil
}

// Bounds of following symlinks: how many there may be in one path, and how many names may be walked
// for each entry on average.
const (
	maxLinks = 255
	maxSteps = 256
)

// resolve follows all symlinks in a path and returns the result, which need not exist.
func (m *merger) resolve(path uint32) (uint32, error) {
	if m.kind(path) == isDir {
		return path, nil
	}
	return m.follow(m.f.paths.parts(path))
}

// follow walks the names of a path and of the targets of symlinks in it.
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
		most := maxSteps * (int(m.f.notes.count) + 1<<12)
		if m.steps++; m.steps > most || m.f.paths.names.count > maxInodes {
			return 0, refuse(
				"the image's symlinks lead over more than %d names an entry, or to more than %d",
				maxSteps, maxInodes)
		}
		next := m.f.paths.child(at, part)
		if m.kind(next) != isSymlink {
			if at, depth = next, depth+1; depth > maxDepth {
				return 0, refuse("%.80q leads to a path of more than %d directories",
					strings.Join(whole, "/"), maxDepth)
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

// link makes a hard link to another path. If there is no file yet, the link waits for it.
func (m *merger) link(n, at, to uint32) error {
	dir, err := m.resolve(m.f.paths.parent(to))
	if err != nil {
		return err
	}
	if to != 0 {
		to = m.in(dir, to)
	}
	switch m.kind(to) {
	case isNothing:
		m.remove(at)
		m.waiting = append(m.waiting, waitingLink{n, at, to})
		return nil
	case isDir:
		return refuse("a hard link to %.80q: no layer holds that file", m.f.paths.full(to))
	}
	if to != at { // a link to itself changes nothing
		m.put(at, m.place(to).note)
	}
	return nil
}

// maxChain bounds chains of links that precede their file.
const maxChain = 40

// linkWaiting makes the hard links of a layer that precede their file.
func (m *merger) linkWaiting() error {
	targets := map[uint32]uint32{}
	for _, l := range m.waiting {
		targets[l.at] = l.to
	}
	for _, l := range m.waiting {
		if m.kind(l.at) != isNothing {
			continue // a later entry has put something else there
		}
		to, chain := l.to, 0
		for ; m.kind(to) == isNothing; chain++ {
			next, ok := targets[to]
			if !ok || chain == maxChain {
				break
			}
			to = next
		}
		switch kind := m.kind(to); {
		case chain == maxChain:
			err := refuse("links go round in a circle")
			return fmt.Errorf("%.80q: %w", m.f.paths.full(l.at), err)
		case kind == isNothing || kind == isDir:
			err := refuse("a hard link to %.80q: no layer holds that file", m.f.paths.full(l.to))
			return fmt.Errorf("%.80q: %w", m.f.paths.full(l.at), err)
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

// missing returns the notes of files that are in the tree, but whose content was skipped.
func (m *merger) missing() map[uint32]bool {
	missing := map[uint32]bool{}
	for at := range m.places.count {
		if n := m.place(at).note; n != 0 && m.f.notes.at(n-1).inode == nil {
			missing[n-1] = true
		}
	}
	return missing
}

// The merger implements squashfs.Tree; its numbers of names are those of paths.

// Children returns the children of a directory.
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

// Inode returns the inode at a path.
func (m *merger) Inode(path uint32) *squashfs.Inode { return m.inode(path) }
