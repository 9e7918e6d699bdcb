package programs

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// maxPackages bounds the packages of an image. Debian as a whole has about 65000.
const maxPackages = 1 << 17

// Bounds of dependencies, which make the search through them linear in the size of a data base: of
// all packages together, and how many packages one name may stand for.
const (
	maxNeeds     = 1 << 20
	maxProviders = 32
)

// pkg is an installed package.
type pkg struct {
	name     string
	base     bool     // it belongs to the base system
	auto     bool     // it was installed because another needs it
	needs    []string // names of packages, or of what packages provide
	wants    []string // what it only recommends
	provides []string
	commands bool // it has a command in PATH
	content  bool // it has libraries or headers, so without a command it is no metapackage either
}

// system is the packages of an image.
type system struct {
	packages map[string]*pkg
	names    []string // of packages, in the order of the data base
	unread   bool     // there is a data base that was not read
	marks    bool     // the data base tells of each package whether it was asked for
	notes    []string
	needs    int // how many names of dependencies there are

	provided map[string][]*pkg // by a name that a dependency may have
	wanted   map[string]bool   // by the names of packages, see decide
}

func newSystem() *system { return &system{packages: map[string]*pkg{}} }

func (s *system) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

// add returns the package of a name, a new one if it is not known; nil if there are too many.
func (s *system) add(name string) *pkg {
	if p := s.packages[name]; p != nil {
		return p
	}
	if len(s.packages) == maxPackages {
		return nil
	}
	p := &pkg{name: name}
	s.packages[name], s.names = p, append(s.names, name)
	return p
}

// need appends names of dependencies to a list of a package.
func (s *system) need(to *[]string, names ...string) {
	if s.needs += len(names); s.needs <= maxNeeds {
		*to = append(*to, names...)
	}
}

// decide finds out whose commands count.
func (s *system) decide() {
	s.provided, s.wanted = map[string][]*pkg{}, map[string]bool{}
	for _, name := range s.names {
		p := s.packages[name]
		for _, provided := range append([]string{name}, p.provides...) {
			if len(s.provided[provided]) < maxProviders {
				s.provided[provided] = append(s.provided[provided], p)
			}
		}
	}
	s.closeBase()
	for _, p := range s.asked() {
		s.want(p)
	}
}

// closeBase takes what the base system needs for a part of it.
func (s *system) closeBase() {
	var todo []*pkg
	for _, name := range s.names {
		if p := s.packages[name]; p.base {
			todo = append(todo, p)
		}
	}
	for len(todo) > 0 {
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, need := range s.needed(p.needs) {
			if !need.base {
				need.base = true
				todo = append(todo, need)
			}
		}
	}
}

// needed returns the packages that names of dependencies stand for.
func (s *system) needed(names []string) (list []*pkg) {
	for _, name := range names {
		list = append(list, s.provided[name]...)
	}
	return list
}

// asked returns the packages that the author asked for: those that the data base marks so or, if it
// marks none, those that no other needs.
func (s *system) asked() (list []*pkg) {
	marks := s.marks
	for _, name := range s.names {
		switch p := s.packages[name]; {
		case p.base:
		case p.auto:
			marks = true
		default:
			list = append(list, p)
		}
	}
	if !marks {
		return s.roots()
	}
	return list
}

// want counts the commands of a package. A metapackage has none, and stands for what it needs.
func (s *system) want(first *pkg) {
	todo := []*pkg{first}
	for len(todo) > 0 {
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if p.base || s.wanted[p.name] {
			continue
		}
		s.wanted[p.name] = true
		if !p.commands && !p.content && !isTool(p.name) {
			todo = append(todo, s.needed(p.needs)...)
		}
	}
}

// owners tells which package a file of PATH is from.
type owners struct {
	tree  *tree
	names map[string]bool   // the last parts of files
	files map[string]string // the package that owns a file; "" if none is known to
}

func newOwners(t *tree, found []command) *owners {
	o := &owners{tree: t, names: map[string]bool{}, files: map[string]string{}}
	for _, c := range found {
		for _, file := range []string{c.file, c.target} {
			if file != "" {
				o.names[path.Base(file)], o.files[file] = true, ""
			}
		}
	}
	return o
}

// add notes that a package has a file. The directories of a data base may be symlinks in the image,
// as /bin is.
func (o *owners) add(p *pkg, file string) {
	dir, name := path.Split(path.Clean("/" + file))
	p.content = p.content || isContent(name)
	if !o.names[name] {
		return
	}
	file = path.Join(o.tree.dir(dir), name)
	if of, asked := o.files[file]; asked {
		p.commands = true
		if of == "" {
			o.files[file] = p.name
		}
	}
}

// of returns the package of a command. A symlink that no package owns, as of alternatives, belongs
// to whom its target does.
func (o *owners) of(c command) string {
	if p := o.files[c.file]; p != "" || c.target == "" {
		return p
	}
	return o.files[c.target]
}

// isContent tells whether a file is a library, a header or a module of a language.
func isContent(name string) bool {
	if strings.Contains(name, ".so.") {
		return true
	}
	return slices.Contains([]string{".so", ".a", ".h", ".hpp", ".mod", ".py", ".pm", ".jar", ".R"},
		path.Ext(name))
}
