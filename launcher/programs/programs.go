// Package programs finds the commands that an image offers beyond its base system. The package data
// bases of the image tell what belongs to that.
package programs

import (
	"cmp"
	"slices"

	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// Image is what is known of an image.
type Image struct {
	FS *squashfs.FS
	// Rpm asks the image's own rpm, which alone knows its data base; nil where nothing of the image
	// may be run
	Rpm func(args ...string) ([]byte, error)
}

// Beyond returns the commands in the directories of path that the base system does not have,
// sorted. If several directories have one of a name, the first counts. A package's commands count
// if the image's author asked for the package, rather than for another that needs it; so do files
// that no package owns, unless Spack or conda know better. notes says what could not be found out.
// An error means that the image cannot be read.
func (i Image) Beyond(path []string) (commands, notes []string, err error) {
	t := newTree(i.FS)
	found, err := t.scan(path)
	if err != nil {
		return nil, nil, err
	}
	owners := newOwners(t, found)
	system, err := i.system(t, owners)
	if err != nil {
		return nil, nil, err
	}
	if t.cut {
		system.note("there are more than %d files in its PATH, of which the first were looked at",
			maxFiles)
	}
	commands, tools := system.judge(found, owners)
	if len(commands) == 0 {
		commands = tools // they are all that the image has
	}
	slices.Sort(commands)
	return commands, system.notes, nil
}

// Find returns the file that a command is, by the directories of path; "" for none.
func (i Image) Find(path []string, command string) string {
	t := newTree(i.FS)
	for _, dir := range path {
		file, ref, err := t.trace(dir + "/" + command)
		if err == nil && t.executable(ref) {
			return file
		}
	}
	return ""
}

// Real returns the path of a file without symlinks. The error is fs.ErrNotExist if there is no such
// file.
func (i Image) Real(file string) (string, error) {
	real, _, err := newTree(i.FS).trace(file)
	if err != nil {
		return "", absent(err)
	}
	return real, nil
}

// Files returns the files of all commands in the directories of path, without symlinks, each once
// and sorted. An error means that the image cannot be read.
func (i Image) Files(path []string) ([]string, error) {
	found, err := newTree(i.FS).scan(path)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, c := range found {
		files = append(files, cmp.Or(c.target, c.file))
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// judge returns the commands beyond the base system. Apart from them it returns those of tools that
// images are mostly built with rather than for, those that every system has, and those that Spack
// or conda installed because others need them.
func (s *system) judge(found []command, owners *owners) (commands, tools []string) {
	s.decide()
	installed := newPrefixes(owners.tree)
	for _, c := range found {
		of := owners.of(c)
		switch {
		case c.admin() || entrypoint(c.name):
		case of == "" && s.unread && c.ofSystem():
		case of != "" && !s.wanted[of]:
		case isTool(of), basic(c.name), of == "" && installed.implied(c):
			tools = append(tools, c.name)
		default:
			commands = append(commands, c.name)
		}
	}
	return commands, tools
}
