package module

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
)

// The names in a tree. Each module has a room of its own below own: its record and its shims. Lmod
// passes by names that begin with two underscores. A directory whose name begins with a dot it
// would walk at each load, would open all shims there, and warn of more than 100 files that are no
// modules.
const (
	own     = "__hpc3"
	record  = "module.json"
	binName = "bin"
	marker  = option.ShimMark // among shims, so that a shim passes by them
)

// Tree is a directory of modules.
type Tree struct{ dir string }

// Open names a tree. The directory need not exist, and is not made. Its path is made absolute, and
// keeps its symbolic links. Errors are of class fault.Usage.
func Open(dir string) (Tree, error) {
	if dir == "" {
		return Tree{}, fault.New(fault.Usage, "the name of the directory of modules is empty")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return Tree{}, fault.New(fault.Usage, "finding the directory %q: %w", dir, err)
	}
	if strings.ContainsFunc(abs, isControl) || strings.Contains(abs, ":") || !utf8.ValidString(abs) {
		return Tree{}, fault.New(fault.Usage,
			"the directory %q holds a colon or a control character, and is to be part of PATH", abs).
			Hint("give it another name")
	}
	if at := strings.IndexAny(abs, "${}"); at >= 0 {
		return Tree{}, fault.New(fault.Usage,
			"the directory %q holds %q, which Environment Modules takes for its own", abs, abs[at:at+1]).
			Hint("give it another name")
	}
	return Tree{abs}, nil
}

// Unread says which module tool does not read m in a tree of this name, and why; "" if all do.
func (t Tree) Unread(m Module) string {
	if !strings.Contains(t.dir, " ") || !m.Default && !slices.Contains(m.Formats, Tcl) {
		return ""
	}
	return "Lmod reads no file in Tcl whose path has a blank; " +
		"a module in Lua (--lua) that is no default it reads"
}

// Dir returns the path of the tree.
func (t Tree) Dir() string { return t.dir }

// Bin returns the directory of a module's shims.
func (t Tree) Bin(m Module) string { return filepath.Join(t.dir, room(m), binName) }

// Files returns the paths of a module's files for "module", one for each format.
func (t Tree) Files(m Module) []string {
	var files []string
	for _, f := range m.Formats {
		files = append(files, filepath.Join(t.dir, moduleFile(m, f)))
	}
	return files
}

// room returns where a module's record and shims are, in its tree.
func room(m Module) string { return path.Join(own, m.Name, m.Version) }

// moduleFile returns the file of a module in one format, in its tree.
func moduleFile(m Module, f Format) string {
	if f == Lua {
		return m.FullName() + ".lua"
	}
	return m.FullName()
}

// Find returns the module of this name and version, and whether the tree has it. The error says why
// its record cannot be read.
func (t Tree) Find(name, version string) (Module, bool, error) {
	if err := CheckName(name + "/" + version); err != nil {
		return Module{}, false, fault.New(fault.Usage, "%w", err)
	}
	m, err := t.read(path.Join(own, name, version, record))
	if errors.Is(err, fs.ErrNotExist) {
		return Module{}, false, nil
	}
	return m, err == nil, err
}

// Modules returns the modules of a tree, sorted by name and version. A tree that does not exist has
// none. Records that cannot be read are in the error, beside which the other modules are returned.
func (t Tree) Modules() ([]Module, error) {
	var all []Module
	var errs []error
	at := filepath.Join(t.dir, own)
	err := filepath.WalkDir(at, func(file string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			errs = append(errs, t.fault("reading", file, err))
			return nil
		case d.IsDir() && isShims(file):
			return filepath.SkipDir
		case d.IsDir() || d.Name() != record:
			return nil
		}
		rel, err := filepath.Rel(t.dir, file)
		if err != nil {
			return err
		}
		m, err := t.read(rel)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		} else if err == nil {
			all = append(all, m)
		}
		return nil
	})
	slices.SortFunc(all, func(a, b Module) int { return compare(a, b) })
	return all, errors.Join(append(errs, err)...)
}

func isShims(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, marker))
	return err == nil
}

func compare(a, b Module) int {
	if a.Name != b.Name {
		return strings.Compare(a.Name, b.Name)
	}
	return strings.Compare(a.Version, b.Version)
}

// Write writes a module, and tells whether that changed a file. Jobs use the tree meanwhile, so
// each file is replaced at once, and kept if it is as it should be. A file that hpc3 did not write
// is not replaced.
func (t Tree) Write(m Module) (changed bool, err error) {
	if err := m.check(); err != nil {
		return false, err
	}
	w, err := t.writer()
	if err != nil {
		return false, err
	}
	defer w.close()
	if err := w.free(m); err != nil {
		return false, err
	}
	for _, f := range t.parts(m) {
		w.put(f)
	}
	w.settle(m)
	return w.changed, w.err
}

// Remove removes a module's files, those of its record and its shims last, and directories that are
// empty then. A file that is not hpc3's stays.
func (t Tree) Remove(m Module) error {
	if err := CheckName(m.FullName()); err != nil {
		return fault.New(fault.Usage, "%w", err)
	}
	if _, err := os.Stat(t.dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	w, err := t.writer()
	if err != nil {
		return err
	}
	defer w.close()
	for _, f := range []Format{Tcl, Lua} {
		w.dropOurs(moduleFile(m, f))
	}
	w.undefault(m)
	w.dropAll(room(m))
	w.prune(path.Dir(room(m)))
	w.prune(m.Name)
	return w.err
}

// Verify tells what of a module's files is not as Write would write it; nil if all are.
func (t Tree) Verify(m Module) error {
	if err := m.check(); err != nil {
		return err
	}
	for _, f := range t.parts(m) {
		why := ""
		switch raw, mode, err := t.look(f.name); {
		case errors.Is(err, fs.ErrNotExist):
			why = "is missing"
		case err != nil:
			return t.fault("reading", filepath.Join(t.dir, f.name), err)
		case string(raw) != string(f.content):
			why = "is not as hpc3 writes it"
		case f.mode&0o100 != 0 && mode&0o100 == 0:
			why = "is not executable"
		default:
			continue
		}
		return fault.New(fault.Config, "the file %s %s", filepath.Join(t.dir, f.name), why).
			Hint("write the module again by hpc3 module")
	}
	return nil
}

// part is a file of a module.
type part struct {
	name    string // in the tree
	content []byte
	mode    fs.FileMode
}

// parts returns all files of a module in the order in which they are written: what others name is
// there first.
func (t Tree) parts(m Module) []part {
	bin := path.Join(room(m), binName)
	parts := []part{{path.Join(bin, marker), nil, 0o644}}
	for _, c := range m.Commands {
		parts = append(parts, part{path.Join(bin, c), m.Shim(c), 0o755})
	}
	parts = append(parts, part{path.Join(room(m), record), m.record(), 0o644})
	for _, f := range m.Formats {
		text := m.Tcl
		if f == Lua {
			text = m.Lua
		}
		parts = append(parts, part{moduleFile(m, f), text(t.Bin(m)), 0o644})
	}
	if m.Default {
		parts = append(parts, part{path.Join(m.Name, versionFile), m.versionFile(), 0o644})
	}
	return parts
}

// fault makes one sentence of the file system's answer, with a hint.
func (t Tree) fault(doing, file string, err error) error {
	if known := new(fault.Error); errors.As(err, &known) {
		return err
	}
	return fault.New(fault.Config, "%s %s: %w", doing, file, cause(err)).Hint("%s", hint(err))
}

// check refuses a module that cannot be written. Errors are of class fault.Usage.
func (m Module) check() error {
	errs := []error{
		CheckName(m.FullName()), checkOptions(m.Options),
		checkWords(m.Commands, slices.Concat(m.Conflicts, m.Needs), m.Families),
	}
	if len(m.Commands) == 0 {
		errs = append(errs, fmt.Errorf("the module %s has no commands", m.FullName()))
	}
	if len(m.Formats) == 0 || m.Image == "" {
		errs = append(errs, fmt.Errorf("the module %s has no format or no image", m.FullName()))
	}
	for _, f := range m.Formats {
		if f != Tcl && f != Lua {
			errs = append(errs, fmt.Errorf("%q is no format of modules: it is tcl or lua", f))
		}
	}
	for _, err := range errs {
		if err != nil {
			return fault.New(fault.Usage, "%w", err)
		}
	}
	return nil
}
