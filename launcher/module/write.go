package module

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/outside"
)

// versionFile says in its directory which version is the default.
const versionFile = ".version"

// temporary ends the name of a file that is being written; one older than abandoned is left over.
const (
	temporary = ".new"
	abandoned = time.Hour
)

// maxFile bounds what is read of a module's file: a record of ten thousand commands is less.
const maxFile = 4 << 20

// ours is in the second line of each file that hpc3 writes and that others could have written.
const ours = "hpc3 module"

// versionFile returns the file that makes a module's version the default.
func (m Module) versionFile() []byte {
	return []byte("#%Module\n# the default, written by " + ours + "\n" +
		"set ModulesVersion " + tclWord(m.Version) + "\n")
}

// writer changes files in a tree, and in no other place: a symbolic link that leads out of the tree
// is an error. After an error it does nothing more.
type writer struct {
	tree    Tree
	root    *os.Root
	changed bool
	err     error
}

// writer makes the tree's directory and opens it.
func (t Tree) writer() (*writer, error) {
	if err := os.MkdirAll(t.dir, 0o755); err != nil {
		return nil, t.fault("making", t.dir, err)
	}
	root, err := os.OpenRoot(t.dir)
	if err != nil {
		return nil, t.fault("opening", t.dir, err)
	}
	return &writer{tree: t, root: root}, nil
}

func (w *writer) close() { _ = w.root.Close() } // it was only a place

// failed keeps the first error, and tells whether there is one.
func (w *writer) failed(doing, name string, err error) bool {
	if err != nil && w.err == nil {
		w.err = w.tree.fault(doing, filepath.Join(w.tree.dir, name), err)
	}
	return w.err != nil
}

// look reads a file of the tree that is not a symbolic link.
func (t Tree) look(name string) ([]byte, fs.FileMode, error) {
	file := filepath.Join(t.dir, name)
	info, err := os.Lstat(file)
	if err != nil {
		return nil, 0, err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return nil, 0, outside.KindError{Kind: "a symbolic link"}
	}
	raw, err := outside.Read(file, maxFile)
	return raw, info.Mode(), err
}

// isOurs tells whether hpc3 wrote a file. One that does not exist is nobody's.
func (t Tree) isOurs(name string) (there, our bool, err error) {
	raw, _, err := t.look(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, false, nil
	case errors.As(err, new(outside.KindError)):
		return true, false, nil
	case err != nil:
		return true, false, t.fault("reading", filepath.Join(t.dir, name), err)
	}
	lines := bytes.SplitN(raw, []byte("\n"), 3)
	return true, len(lines) > 1 && bytes.Contains(lines[1], []byte(ours)), nil
}

// free refuses a module whose name leads to files of others, or into another module.
func (w *writer) free(m Module) error {
	names := []string{moduleFile(m, Tcl), moduleFile(m, Lua)}
	if !slices.Contains(m.Formats, Tcl) {
		names = names[1:]
	} else if !slices.Contains(m.Formats, Lua) {
		names = names[:1]
	}
	if m.Default {
		names = append(names, path.Join(m.Name, versionFile))
	}
	for _, name := range names {
		there, our, err := w.tree.isOurs(name)
		if err != nil {
			return err
		}
		if there && !our {
			return fault.New(fault.Usage, "hpc3 did not write what is in the place of %s",
				filepath.Join(w.tree.dir, name)).
				Hint("choose another name by --name, or another directory by -o")
		}
	}
	for name := m.Name; name != "."; name = path.Dir(name) {
		if _, err := w.root.Lstat(path.Join(own, name, record)); err == nil {
			return notBoth(m.FullName(), name)
		}
	}
	for _, name := range w.list(room(m)) {
		inner := path.Join(room(m), name)
		info, err := w.root.Lstat(inner)
		_, isModule := w.root.Lstat(path.Join(inner, record))
		if err == nil && info.IsDir() && (name != binName || isModule == nil) {
			return notBoth(m.FullName(), m.FullName()+"/"+name)
		}
	}
	return nil
}

// notBoth: a module's files would be in the room of another.
func notBoth(name, other string) error {
	return fault.New(fault.Usage, "%s cannot be a module: %s is one", name, other).
		Hint("choose another name by --name")
}

// put writes a file, unless it is as it should be.
func (w *writer) put(p part) {
	if w.err != nil {
		return
	}
	raw, mode, err := w.tree.look(p.name)
	if err == nil && bytes.Equal(raw, p.content) && (mode&0o100 == p.mode&0o100) {
		return
	}
	if w.failed("making the directory of", p.name, w.root.MkdirAll(path.Dir(p.name), 0o755)) {
		return
	}
	dir, base := path.Split(p.name)
	temp := dir + "." + base + "." + rand.Text()[:8] + temporary
	if err := w.create(temp, p); err != nil {
		_ = w.root.Remove(temp) // the error of writing it counts
		w.failed("writing", p.name, err)
		return
	}
	if err := w.root.Rename(temp, p.name); err != nil {
		_ = w.root.Remove(temp) // the error of renaming it counts
		w.failed("writing", p.name, err)
		return
	}
	w.changed = true
}

func (w *writer) create(name string, p part) error {
	f, err := w.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, p.mode)
	if err != nil {
		return err
	}
	_, err = f.Write(p.content)
	return errors.Join(err, f.Close())
}

// settle removes what an earlier form of the module has left: another format's file, the mark of
// the default version, and shims, which somebody may be about to start, last.
func (w *writer) settle(m Module) {
	for _, f := range []Format{Tcl, Lua} {
		if !slices.Contains(m.Formats, f) {
			w.dropOurs(moduleFile(m, f))
		}
	}
	if m.Default {
		w.onlyDefault(m)
	} else {
		w.undefault(m)
	}
	w.sweep(m.Name, nil)
	w.sweep(room(m), nil)
	w.sweep(path.Join(room(m), binName), append(slices.Clone(m.Commands), marker))
}

// onlyDefault takes the mark from the records of the other versions.
func (w *writer) onlyDefault(m Module) {
	for _, version := range w.list(path.Join(own, m.Name)) {
		other, found, err := w.tree.Find(m.Name, version)
		if err == nil && found && other.Default && version != m.Version {
			other.Default = false
			w.put(part{path.Join(room(other), record), other.record(), 0o644})
		}
	}
}

// undefault removes the mark of the default version if it is this module's.
func (w *writer) undefault(m Module) {
	name := path.Join(m.Name, versionFile)
	if raw, _, err := w.tree.look(name); err == nil && bytes.Equal(raw, m.versionFile()) {
		w.drop(name)
	}
}

// sweep removes abandoned temporary files of a directory and, if keep has names, all files that it
// does not name.
func (w *writer) sweep(dir string, keep []string) {
	for _, name := range w.list(dir) {
		file := path.Join(dir, name)
		if strings.HasSuffix(name, temporary) && strings.HasPrefix(name, ".") {
			info, err := w.root.Lstat(file)
			if err != nil || time.Since(info.ModTime()) < abandoned {
				continue
			}
		} else if keep == nil || slices.Contains(keep, name) {
			continue
		}
		w.dropAll(file)
	}
}

// list returns the names in a directory; none if it cannot be read.
func (w *writer) list(dir string) []string {
	f, err := w.root.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(-1) // what was read is all that is known
	slices.Sort(names)
	return names
}

// dropOurs removes a file that hpc3 wrote.
func (w *writer) dropOurs(name string) {
	if _, our, _ := w.tree.isOurs(name); our {
		w.drop(name)
	}
}

func (w *writer) drop(name string) {
	if err := w.root.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		w.failed("removing", name, err)
		w.changed = true
	}
}

// dropAll removes a file, or a directory with what is in it.
func (w *writer) dropAll(name string) {
	if _, err := w.root.Lstat(name); err == nil {
		w.failed("removing", name, w.root.RemoveAll(name))
		w.changed = true
	}
}

// prune removes a directory and those above it, as far as they are empty.
func (w *writer) prune(dir string) {
	for ; dir != "."; dir = path.Dir(dir) {
		if w.root.Remove(dir) != nil {
			return
		}
	}
}

// cause strips the operation and the path, which a message names already.
func cause(err error) error {
	var number syscall.Errno
	if errors.As(err, &number) {
		return number
	}
	if escapes(err) {
		return errors.New("a symbolic link leads out of the directory of modules")
	}
	return fault.Reason(err)
}

// escapes tells whether os.Root has met a symbolic link that leads out of it; its error is no
// value of its package.
func escapes(err error) bool { return strings.Contains(err.Error(), "escapes") }

func hint(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "free some space or quota, or write to another directory"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return "name a directory that you can write to"
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR),
		errors.Is(err, syscall.EEXIST), errors.Is(err, syscall.ELOOP),
		escapes(err):
		return "something else lies at this path: move it away, or name another directory"
	}
	return "see whether the file system works, or name another directory"
}
