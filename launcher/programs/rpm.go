package programs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// rpmQuery prints of each package its name, what it requires and provides, and its files.
const rpmQuery = `P%{NAME}\n[R%{REQUIRENAME}\n][V%{PROVIDENAME}\n][F%{FILENAMES}\n]`

// errNoRpm is why the data base of rpm is not read.
var errNoRpm = errors.New("rpm's can be read by the image's own rpm alone, which is not run here")

// rpm asks the image's rpm: its data base has had several formats, each of which its own version
// reads.
func (i Image) rpm(t *tree, o *owners) (*system, error) {
	if !t.hasRpm() {
		return nil, fs.ErrNotExist
	}
	if i.Rpm == nil {
		return nil, errNoRpm
	}
	out, err := i.Rpm("-qa", "--qf", rpmQuery)
	if err != nil {
		return nil, fmt.Errorf("its rpm: %w", err)
	}
	s := newSystem()
	s.readRpm(out, o)
	if len(s.packages) == 0 {
		return nil, errors.New("its rpm names no package")
	}
	return s, nil
}

// hasRpm tells whether there is a data base of rpm.
func (t *tree) hasRpm() bool {
	for _, dir := range []string{"/var/lib/rpm", "/usr/lib/sysimage/rpm", "/usr/share/rpm"} {
		for _, file := range []string{"rpmdb.sqlite", "Packages.db", "Packages"} {
			if _, _, err := t.trace(dir + "/" + file); err == nil {
				return true
			}
		}
	}
	return false
}

// readRpm reads what rpmQuery prints.
func (s *system) readRpm(out []byte, o *owners) {
	var p *pkg
	for line := range bytes.Lines(out) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		if len(line) < 2 {
			continue
		}
		value := string(line[1:])
		switch {
		case line[0] == 'P':
			if p = s.add(value); p != nil {
				p.base = p.base || rpmBase(value)
			}
		case p == nil:
		case line[0] == 'R':
			s.need(&p.needs, rpmRelations(value)...)
		case line[0] == 'V':
			s.need(&p.provides, value)
		case line[0] == 'F':
			o.add(p, value)
		}
	}
}

// rpmRelations returns the names in what a package requires: one, or those of a rich dependency
// such as "(a or b)". What rpm itself has to be able to do is no package.
func rpmRelations(value string) (names []string) {
	if strings.HasPrefix(value, "rpmlib(") {
		return nil
	}
	if !strings.HasPrefix(value, "(") {
		return []string{value}
	}
	for _, word := range strings.Fields(value) {
		switch word = strings.Trim(word, "()"); word {
		case "and", "or", "with", "without":
		case "if", "unless", "else":
			return names // what follows is a condition
		default:
			names = append(names, word)
		}
	}
	return names
}
