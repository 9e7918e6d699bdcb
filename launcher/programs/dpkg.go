package programs

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

const dpkgDir = "/var/lib/dpkg"

// dpkg reads the data base of Debian's packages: deb-control(5), dpkg(1). Images of distroless have
// a file for each package in place of status.
func dpkg(t *tree, o *owners) (*system, error) {
	r := dpkgReader{system: newSystem(), tree: t, owners: o, left: maxLists}
	_, err := t.lines(dpkgDir+"/status", maxDatabase, r.line)
	r.end()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := t.each(dpkgDir+"/status.d", maxPackages, r.single); err != nil {
		return nil, err
	}
	if len(r.packages) == 0 {
		return nil, fs.ErrNotExist
	}
	if err := t.each(dpkgDir+"/info", 8*maxPackages, r.list); err != nil {
		return nil, err
	}
	return r.system, r.automatic()
}

// dpkgReader reads stanzas.
type dpkgReader struct {
	*system
	*tree
	owners *owners
	left   int64 // how many bytes of lists may still be read

	stanza map[string][]byte // the fields that matter
	field  string            // that of the last line
	taken  func(Package)     // gets the packages instead of system; nil for system
}

// Package is an installed package of Debian's data base.
type Package struct {
	Name    string
	Variant string   // of its architecture, as Ubuntu has it: "amd64v3"; mostly ""
	Needs   []string // names in its dependencies, of alternatives each
}

// Packages gives take each installed package of Debian's data base. An image without one has none.
func (i Image) Packages(take func(Package)) error {
	t := newTree(i.FS)
	r := dpkgReader{
		system: newSystem(), tree: t, owners: newOwners(t, nil), left: maxLists, taken: take,
	}
	_, err := t.lines(dpkgDir+"/status", maxDatabase, r.line)
	r.end()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return t.each(dpkgDir+"/status.d", maxPackages, func(e squashfs.DirEntry) error {
		if strings.HasSuffix(e.Name, ".md5sums") {
			return nil
		}
		return r.single(e)
	})
}

// line reads a line of a stanza. Only lists of dependencies are continued in a second line.
func (r *dpkgReader) line(line string) {
	switch {
	case line == "":
		r.end()
		return
	case line[0] == ' ' || line[0] == '\t':
		if r.field != "" && len(r.stanza[r.field]) < maxRecord {
			r.stanza[r.field] = append(r.stanza[r.field], line...)
		}
		return
	}
	name, value, _ := strings.Cut(line, ":")
	r.field = strings.ToLower(name)
	if !slices.Contains([]string{
		"package", "status", "essential", "important", "protected", "priority", "depends",
		"pre-depends", "recommends", "provides", "architecture-variant",
	}, r.field) {
		r.field = ""
		return
	}
	if r.stanza == nil {
		r.stanza = map[string][]byte{}
	}
	r.stanza[r.field] = []byte(strings.TrimSpace(value))
}

// end takes the package of a stanza, if it is installed.
func (r *dpkgReader) end() {
	stanza := r.stanza
	r.stanza, r.field = nil, ""
	f := func(name string) string { return string(stanza[name]) }
	state := strings.Fields(f("status"))
	if f("package") == "" || len(state) == 3 && state[2] != "installed" &&
		!strings.HasPrefix(state[2], "trigger") {
		return
	}
	if r.taken != nil {
		r.taken(Package{
			f("package"), f("architecture-variant"),
			relations(f("pre-depends") + "," + f("depends")),
		})
		return
	}
	p := r.add(f("package"))
	if p == nil {
		return
	}
	p.base = p.base || f("essential") == "yes" || f("important") == "yes" ||
		f("protected") == "yes" ||
		slices.Contains([]string{"required", "important", "standard"}, f("priority"))
	for _, field := range []string{"pre-depends", "depends"} {
		r.need(&p.needs, relations(f(field))...)
	}
	r.need(&p.wants, relations(f("recommends"))...)
	r.need(&p.provides, relations(f("provides"))...)
}

// relations returns the names in a field such as "libc6 (>= 2.36), mawk | awk:any".
func relations(field string) (names []string) {
	for _, relation := range strings.FieldsFunc(field,
		func(r rune) bool { return r == ',' || r == '|' }) {
		words := strings.FieldsFunc(relation, func(r rune) bool {
			return strings.ContainsRune(" \t([<:", r)
		})
		if len(words) > 0 {
			names = append(names, words[0])
		}
	}
	return names
}

// single reads a file of status.d: a stanza or, as NAME.md5sums, the files of a package.
func (r *dpkgReader) single(e squashfs.DirEntry) error {
	name, isList := strings.CutSuffix(e.Name, ".md5sums")
	take := r.line
	if isList {
		p := r.add(name)
		if p == nil {
			return nil
		}
		take = func(line string) {
			if _, file, ok := strings.Cut(line, "  "); ok {
				r.owners.add(p, file)
			}
		}
	}
	err := r.bounded(path.Join(dpkgDir, "status.d", e.Name), take)
	if !isList {
		r.end()
	}
	return err
}

// list reads the files of a package, of info/NAME.list or info/NAME:ARCH.list.
func (r *dpkgReader) list(e squashfs.DirEntry) error {
	name, isList := strings.CutSuffix(e.Name, ".list")
	if !isList {
		return nil
	}
	name, _, _ = strings.Cut(name, ":")
	p := r.packages[name]
	if p == nil {
		return nil
	}
	return r.bounded(path.Join(dpkgDir, "info", e.Name),
		func(file string) { r.owners.add(p, file) })
}

// bounded reads the lines of one of many files.
func (r *dpkgReader) bounded(file string, take func(string)) error {
	size, err := r.lines(file, r.left, take)
	r.left -= size
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// automatic reads which packages apt installed only because others need them.
func (r *dpkgReader) automatic() error {
	name := ""
	_, err := r.lines("/var/lib/apt/extended_states", maxDatabase, func(line string) {
		field, value, _ := strings.Cut(line, ":")
		switch value = strings.TrimSpace(value); {
		case field == "Package":
			name = value
		case field == "Auto-Installed" && value == "1" && r.packages[name] != nil:
			r.packages[name].auto = true
		}
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
