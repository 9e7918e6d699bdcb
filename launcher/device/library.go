package device

import (
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/outside"
	"github.com/hpc3-project/hpc3/probe"
)

// libraries binds libraries of the node, by the beginning of their names, beside the image's libc:
// its loader finds them there whatever LD_LIBRARY_PATH holds.
func (a *Ask) libraries(f *Found, names []string) {
	found := a.find(names)
	if len(found) == 0 {
		f.note("NVIDIA: the driver's libraries are not on this node")
		return
	}
	libc, ok := a.loader(f)
	if !ok {
		return
	}
	sonames := slices.Sorted(maps.Keys(found))
	var files []string
	for _, soname := range sonames {
		f.Mounts = append(f.Mounts,
			Mount{Source: a.at(found[soname]), Target: path.Join(libc.Dir, soname), ReadOnly: true})
		files = append(files, found[soname])
	}
	f.note("NVIDIA: libraries in " + libc.Dir + ": " + strings.Join(sonames, " "))
	a.checkGlibc(f, "the node's GPU driver", files, libc)
}

// loader returns the image's libc, or warns that the driver's libraries cannot be used with it.
func (a *Ask) loader(f *Found) (Libc, bool) {
	libc := a.Libc()
	switch {
	case libc.Dir != "":
		return libc, true
	case libc.Musl:
		f.warn("the image is made with musl instead of glibc: " +
			"the GPU driver's libraries cannot be used in it")
	default:
		f.warn("the image has no glibc: the GPU driver's libraries cannot be used in it")
	}
	return libc, false
}

// find returns the paths of libraries by soname: from the node's loader cache, else from its
// directories.
func (a *Ask) find(names []string) map[string]string {
	found := map[string]string{}
	for soname, file := range a.known() {
		if isLibrary(soname, names) && a.exists(file) {
			found[soname] = file
		}
	}
	if len(found) > 0 {
		return found
	}
	for _, dir := range a.libraryDirs() {
		for _, sub := range []string{"", "/nvidia", "/nvidia/current"} {
			// Sorted; the pattern is well formed.
			files, _ := filepath.Glob(a.at(dir + sub + "/lib*.so*"))
			for _, file := range files {
				soname := path.Base(file)
				if _, dup := found[soname]; !dup && isLibrary(soname, names) {
					found[soname] = path.Join(dir+sub, soname)
				}
			}
		}
	}
	return found
}

// known returns the node's loader cache: paths by soname.
func (a *Ask) known() map[string]string {
	all := map[string]string{}
	found, err := probe.Libraries(os.DirFS(a.Root), a.Arch, nil)
	if err == nil {
		for soname, file := range found {
			all[soname] = "/" + file
		}
	}
	return all
}

// libraryDirs returns the directories of the node's loader, absolute.
func (a *Ask) libraryDirs() []string {
	var dirs []string
	for _, dir := range probe.LibraryDirs(a.Arch) {
		dirs = append(dirs, "/"+dir)
	}
	return dirs
}

// checkGlibc warns of files that need a newer glibc than the image has: the image's programs would
// fail to load them. It reports whether there are none.
func (a *Ask) checkGlibc(f *Found, what string, files []string, libc Libc) bool {
	worst, name := libc.Minor, ""
	for _, file := range files {
		r, err := outside.Open(a.at(file))
		if err != nil {
			continue
		}
		minor, err := probe.GlibcNeeded(r, a.Arch)
		_ = r.Close() // it was only read from
		if err == nil && minor > worst {
			worst, name = minor, path.Base(file)
		}
	}
	if name != "" {
		f.warn(fmt.Sprintf("%s will not work in this image: %s needs glibc 2.%d, and the image "+
			"has 2.%d. Use an image with glibc 2.%d or newer",
			what, name, worst, libc.Minor, worst))
	}
	return name == ""
}
