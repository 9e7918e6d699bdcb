package programs

import (
	"errors"
	"io/fs"
	"path"
	"strings"
)

// apk reads the data base of Alpine's packages: apk-package(5), apk-world(5). The second place is
// that of apk 3.
func apk(t *tree, o *owners) (*system, error) {
	r := apkReader{system: newSystem(), owners: o}
	err := error(fs.ErrNotExist)
	for _, place := range []string{"/lib/apk/db/installed", "/usr/lib/apk/db/installed"} {
		if errors.Is(err, fs.ErrNotExist) {
			_, err = t.lines(place, maxLists, r.line)
		}
	}
	if err != nil {
		return nil, err
	}
	if len(r.packages) == 0 {
		return nil, fs.ErrNotExist
	}
	asked := map[string]bool{}
	_, err = t.lines("/etc/apk/world", maxDatabase, func(line string) {
		for _, word := range strings.Fields(line) {
			asked[apkName(word)] = true
		}
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	r.marks = len(asked) > 0
	for _, name := range r.names {
		p := r.packages[name]
		p.base, p.auto = apkBase(name), r.marks && !asked[name]
		for _, provided := range p.provides { // world may name what a package provides
			p.auto = p.auto && !asked[provided]
		}
	}
	return r.system, nil
}

// apkReader reads records, each of lines K:VALUE.
type apkReader struct {
	*system
	owners *owners
	p      *pkg   // nil between records
	dir    string // of the files that follow
}

func (r *apkReader) line(line string) {
	key, value, ok := strings.Cut(line, ":")
	switch {
	case !ok:
		r.p, r.dir = nil, ""
	case key == "P":
		r.p = r.add(value)
	case r.p == nil:
	case key == "D":
		r.relations(&r.p.needs, value)
	case key == "p":
		r.relations(&r.p.provides, value)
	case key == "F":
		r.dir = value
	case key == "R":
		r.owners.add(r.p, path.Join(r.dir, value))
	}
}

// relations reads a list of dependencies. One that begins with "!" is a conflict.
func (r *apkReader) relations(to *[]string, list string) {
	for _, word := range strings.Fields(list) {
		if name := apkName(word); name != "" {
			r.need(to, name)
		}
	}
}

// apkName returns the name in a dependency such as "so:libz.so.1=1.3.1", "python3>3.12" or
// "gcc@edge"; "" for a conflict.
func apkName(word string) string {
	if strings.HasPrefix(word, "!") {
		return ""
	}
	if at := strings.IndexAny(word, "=<>~@"); at >= 0 {
		word = word[:at]
	}
	return word
}
