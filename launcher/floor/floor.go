// Package floor finds what the code of an image needs of a CPU, out of what is cheap to read and
// true: the marks of the loader, the C library, the login shell and the image's own program, what
// the distribution and the package data base say, and what Go has written into its programs. It
// never decodes instructions: an image of which it finds nothing may need more than it says.
//
// It knows amd64. The other architectures have no such marks.
package floor

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/programs"
	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// Find reads what the code of an image needs. With deep it looks at all programs in PATH. An error
// means that a part of the image could not be read; what was found besides is returned.
func Find(img *squashfs.FS, config oci.Config, deep bool) (oci.Floor, error) {
	if config.Architecture != "amd64" {
		return oci.Floor{Deep: deep}, nil
	}
	f := finder{fs: img, shown: map[string][]string{}, seen: map[string]bool{}}
	f.distribution()
	f.packages()
	f.started(config)
	if deep {
		f.all(searchPath(config))
	}
	return oci.Floor{Needs: f.needs(), Deep: deep}, f.err
}

// finder collects what shows each need.
type finder struct {
	fs    *squashfs.FS
	shown map[string][]string // by the word of a need
	seen  map[string]bool     // programs
	err   error               // the first
}

func (f *finder) failed(err error) {
	if f.err == nil {
		f.err = err
	}
}

// show notes that something shows a need.
func (f *finder) show(word, format string, args ...any) {
	f.shown[word] = append(f.shown[word], fmt.Sprintf(format, args...))
}

// level notes that something shows a level of x86-64; those below 2 are none.
func (f *finder) level(level int, format string, args ...any) {
	if level > 1 {
		f.show(fmt.Sprintf("x86-64-v%d", level), format, args...)
	}
}

// maxNeeds and maxShown bound what is kept.
const (
	maxNeeds = 16
	maxShown = 400
)

// needs returns what was found: levels first, the greatest first of all. Each is shown by what was
// looked at first, as the loader is.
func (f *finder) needs() []oci.Need {
	var needs []oci.Need
	for word, shown := range f.shown {
		by := shown[0]
		if len(by) > maxShown {
			by = by[:maxShown] + "…"
		}
		switch more := len(shown) - 1; {
		case more == 1:
			by += ", and one more sign"
		case more > 1:
			by += fmt.Sprintf(", and %d more signs", more)
		}
		needs = append(needs, oci.Need{Word: word, By: by})
	}
	isLevel := func(n oci.Need) int {
		if strings.HasPrefix(n.Word, "x86-64-v") {
			return 1
		}
		return 0
	}
	slices.SortFunc(needs, func(a, b oci.Need) int {
		return cmp.Or(isLevel(b)-isLevel(a), strings.Compare(b.Word, a.Word))
	})
	return needs[:min(len(needs), maxNeeds)]
}

// loginShells are those of which the first that an image has is looked at.
var loginShells = []string{"/bin/bash", "/bin/sh"} //nolint:gochecknoglobals // a constant list

// started looks at what starts in every container: the login shell or the image's own program, with
// its loader and C library.
func (f *finder) started(config oci.Config) {
	for _, shell := range loginShells {
		if f.withLoader(shell, "login shell") {
			break
		}
	}
	own := slices.Concat(config.Entrypoint, config.Cmd)
	if len(own) == 0 {
		return
	}
	file := own[0]
	if !strings.Contains(file, "/") {
		file = programs.Image{FS: f.fs}.Find(searchPath(config), file)
	} else if !path.IsAbs(file) {
		file = path.Join("/", config.WorkingDir, file)
	}
	if file != "" {
		f.withLoader(file, "program")
	}
}

// withLoader looks at a program, its loader and the C library beside that; false if the program
// does not exist, or is none.
func (f *finder) withLoader(file, what string) bool {
	loader, ok := f.program(file, what)
	if !ok || loader == "" {
		return ok
	}
	f.program(loader, "loader")
	// A loader is mostly reached by a symlink, from a directory without a C library.
	real, err := programs.Image{FS: f.fs}.Real(loader)
	if err != nil {
		return true
	}
	f.program(path.Join(path.Dir(real), "libc.so.6"), "C library")
	return true
}

// program looks at an ELF file of amd64, and returns its loader. Each is looked at once.
func (f *finder) program(file, what string) (loader string, ok bool) {
	r, ref := f.open(file)
	if r == nil {
		return "", false
	}
	p, ok := readProgram(r)
	key := fmt.Sprint(ref)
	if !ok || f.seen[key] {
		return p.loader, ok
	}
	f.seen[key] = true
	f.level(p.level, "its %s %s is marked so", what, name(file))
	f.level(p.goLevel, "its %s %s was built by Go with GOAMD64=v%d", what, name(file), p.goLevel)
	return p.loader, true
}

// all looks at all programs in PATH.
func (f *finder) all(dirs []string) {
	files, err := programs.Image{FS: f.fs}.Files(dirs)
	if err != nil {
		f.failed(err)
	}
	for _, file := range files {
		f.program(file, "program")
	}
}

// searchPath returns the directories of PATH, as the image sets it.
func searchPath(config oci.Config) []string {
	return slices.DeleteFunc(strings.Split(config.Path(), ":"),
		func(dir string) bool { return !path.IsAbs(dir) })
}

// name is a path of the image in a message.
func name(file string) string {
	if strings.ContainsFunc(file, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Sprintf("%.120q", file)
	}
	return fmt.Sprintf("%.120s", file)
}
