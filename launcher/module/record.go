package module

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

// schema is the version of the record's form that is written here. A higher one may mean something
// else.
const schema = 1

// record returns what is kept of a module.
func (m Module) record() []byte {
	m.SchemaVersion = schema
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	_ = e.Encode(m) // text and lists of text: nothing that JSON cannot say
	return b.Bytes()
}

// read reads a record of the tree and makes sure that it is that of its place. What it holds goes
// into scripts, so it is checked as what a user types is.
func (t Tree) read(name string) (Module, error) {
	file := filepath.Join(t.dir, name)
	raw, _, err := t.look(name)
	if err != nil {
		return Module{}, t.fault("reading", file, err)
	}
	var m Module
	if err := json.Unmarshal(raw, &m); err != nil {
		return Module{}, damaged(file, err)
	}
	if m.SchemaVersion > schema {
		return Module{}, fault.New(fault.Config, "%s was written by a newer hpc3", file).
			Hint("use that one")
	}
	if path.Join(room(m), record) != path.Clean(filepath.ToSlash(name)) {
		return Module{}, damaged(file, fmt.Errorf("it is that of %q", m.FullName()))
	}
	if err := m.check(); err != nil {
		return Module{}, damaged(file, err)
	}
	return m, nil
}

func damaged(file string, err error) error {
	return fault.New(fault.Config, "the record %s is of no use: %w", file, fault.Reason(err)).
		Hint("write the module again by hpc3 module")
}
