package probe

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/probe/facts"
)

// implementations returns the MPI of each soname. libmpi.so.12 is the ABI that MPICH, Intel MPI,
// Cray MPICH and MVAPICH2 share; Debian's MPICH calls it libmpich.so.12. The ABI of MPI 5 has
// libmpi_abi.so.1; MPICH 5.0.1 calls it .so.0 by mistake (pmodels/mpich issue 7928).
func implementations() map[string]string {
	return map[string]string{
		"libmpi.so.40": "openmpi", "libmpi.so.12": "mpich", "libmpich.so.12": "mpich",
		"libmpi_abi.so.0": "mpiabi", "libmpi_abi.so.1": "mpiabi",
	}
}

// implementationOf returns the MPI of a soname; empty if it is none's. Cray has a library for each
// compiler, libmpi_cray.so.12 and libmpi_gnu_123.so.12, and those for Fortran and C++ beside them.
func implementationOf(soname string) string {
	if compiler, ok := strings.CutPrefix(soname, "libmpi_"); ok {
		if compiler, ok = strings.CutSuffix(compiler, ".so.12"); ok {
			family, _, _ := strings.Cut(compiler, "_")
			if slices.Contains([]string{"aocc", "amd", "cray", "gnu", "intel", "nvidia"}, family) {
				return "mpich"
			}
		}
	}
	return implementations()[soname]
}

// mpi sets the MPI and PMI libraries that a program started here would find.
func (p *prober) mpi() {
	cached, err := p.cachedLibraries()
	defer p.pmi(cached)
	dirs := p.mpiDirs()
	if err != nil {
		dirs = append(dirs, LibraryDirs(p.node.Arch)...)
		if !slices.ContainsFunc(dirs, p.exists) {
			p.cannotTell("mpi",
				"there is neither a usable /etc/ld.so.cache nor a directory of libraries: %v", err)
			return
		}
	}
	for soname, name := range cached {
		// A cache may be older than the libraries; a record may hold the cache alone.
		if implementationOf(soname) != "" && (p.recorded || p.exists(name)) {
			p.addMPI(soname, name)
		}
	}
	p.crayMPI()
	for _, dir := range dirs {
		for soname := range implementations() {
			if name := dir + "/" + soname; p.exists(name) {
				p.addMPI(soname, name)
			}
		}
	}
	slices.SortFunc(p.node.MPI, func(a, b facts.MPI) int {
		return strings.Compare(a.Implementation+" "+a.Soname+" "+a.Version,
			b.Implementation+" "+b.Soname+" "+b.Version)
	})
	p.node.MPI = slices.Compact(p.node.MPI)
}

func (p *prober) addMPI(soname, name string) {
	m := facts.MPI{Implementation: implementationOf(soname), Soname: soname}
	// Open MPI before 2.0 had the soname of MPICH's ABI.
	if soname == "libmpi.so.12" && p.exists(path.Dir(name)+"/libopen-rte.so.12") {
		m.Implementation = "openmpi"
	}
	if m.Implementation == "openmpi" {
		m.Version = p.openMPIVersion(name)
	}
	p.node.MPI = append(p.node.MPI, m)
	if soname != "libmpi.so.12" && strings.HasSuffix(soname, ".so.12") {
		// Beside each of Cray's is one with MPICH's soname.
		abi := path.Join(path.Dir(p.resolve(name)), "../lib-abi-mpich/libmpi.so.12")
		if p.exists(abi) {
			p.addMPI("libmpi.so.12", abi)
		}
	}
}

// crayMPI adds Cray's libraries in the directory that its module names: they are of many names.
func (p *prober) crayMPI() {
	dir := p.env("CRAY_MPICH_DIR")
	if !path.IsAbs(dir) {
		return
	}
	dir = path.Join(dir, "lib")[1:]
	for _, name := range p.list(dir) {
		if strings.HasPrefix(name, "libmpi_") && implementationOf(name) != "" {
			p.addMPI(name, dir+"/"+name)
		}
	}
}

// openMPIVersion returns the version of an Open MPI from its pkg-config file, else from the name of
// the library; empty if neither states it. To ask the library itself would take a process that
// loads it.
func (p *prober) openMPIVersion(library string) string {
	if version := p.packageVersion(path.Dir(library) + "/pkgconfig/ompi.pc"); version != "" {
		return version
	}
	return openMPIOfLibrary(path.Base(p.resolve(library)))
}

// openMPIOfLibrary reads "libmpi.so.40.30.4" as 4.1.4. Each series of Open MPI has its own second
// number, and the third counts its releases (libmpi_so_version in the file VERSION of its sources).
func openMPIOfLibrary(name string) string {
	numbers, ok := strings.CutPrefix(name, "libmpi.so.40.")
	series, release, found := strings.Cut(numbers, ".")
	if !ok || !found {
		return ""
	}
	switch series {
	case "0":
		return "3.0." + release
	case "10":
		return "3.1." + release
	case "20":
		return "4.0." + release
	case "30":
		return "4.1." + release
	case "40":
		return "5.0." + release
	case "50":
		return "6.0." + release
	}
	return ""
}

// resolve follows the symlinks of a library's name.
func (p *prober) resolve(name string) string {
	for range 8 { // no sane chain of names is longer
		target, err := fs.ReadLink(p.fsys, name)
		if err != nil {
			return name
		}
		if path.IsAbs(target) {
			name = path.Clean(target)[1:]
		} else {
			name = path.Join(path.Dir(name), target)
		}
	}
	return name
}

// mpiDirs returns the directories in which modules put an MPI, relative to the root.
func (p *prober) mpiDirs() []string {
	var dirs []string
	prefix := func(variable string, subs ...string) {
		if dir := p.env(variable); dir != "" {
			for _, sub := range subs {
				dirs = append(dirs, path.Join(dir, sub))
			}
		}
	}
	prefix("MPI_HOME", "lib", "lib64")
	prefix("I_MPI_ROOT", "lib", "lib/release", "intel64/lib/release")
	prefix("CRAY_MPICH_DIR", "lib", "lib-abi-mpich")
	prefix("EBROOTOPENMPI", "lib", "lib64")
	prefix("EBROOTMPICH", "lib", "lib64")
	prefix("EBROOTIMPI", "mpi/latest/lib", "mpi/latest/lib/release")
	dirs = append(dirs, pathList(p.env("LD_LIBRARY_PATH"))...)
	for _, dir := range pathList(p.env("PATH")) {
		if p.exists(strings.TrimPrefix(path.Join(dir, "mpirun"), "/")) {
			dirs = append(dirs, path.Join(dir, "../lib"), path.Join(dir, "../lib64"))
			break
		}
	}
	dirs = slices.DeleteFunc(dirs, func(dir string) bool { return !path.IsAbs(dir) })
	for i, dir := range dirs {
		dirs[i] = path.Clean(dir)[1:]
	}
	return slices.DeleteFunc(dirs, func(dir string) bool { return dir == "" })
}

// pathList splits a variable such as PATH. Modules make it long: only so many directories count.
func pathList(list string) []string {
	const places = 256
	dirs := strings.Split(list, ":")
	return dirs[:min(len(dirs), places)]
}
