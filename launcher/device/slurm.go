package device

import (
	"debug/elf"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/outside"
)

// Client holds the files of Slurm's client on a node besides its programs, if the site lets
// containers have it. The munge socket is there in any case.
type Client struct {
	Conf  string   // slurm.conf
	Files []string // those that plugstack.conf names, and others
}

// clientPrograms are the programs that users call.
var clientPrograms = []string{ //nolint:gochecknoglobals // a constant list
	"srun", "sbatch", "salloc", "scancel", "squeue", "sinfo", "scontrol", "sacct", "sstat",
	"sattach", "sbcast",
}

// clientPlugins are the plugins of Slurm that its client needs. Each srun of Slurm 26.05 loads
// those for HTTP and compression, squeue --json the serializers.
var clientPlugins = []string{ //nolint:gochecknoglobals // a constant list
	"auth_*.so", "cred_*.so", "hash_*.so", "mpi_*.so", "http_parser_*.so", "compress_*.so",
	"serializer_*.so",
}

// slurm adds Slurm's client: programs, in /usr/bin, so that the image's PATH finds them; its own
// libraries and plugins, at the node's paths; the libraries that these need and the image lacks;
// and the configuration.
func (a *Ask) slurm(f *Found) {
	if a.Client == nil {
		return
	}
	programs := a.clientPrograms()
	if len(programs) == 0 {
		f.note("Slurm: its client is not on this node")
		return
	}
	libc := a.Libc()
	if libc.Dir == "" {
		f.warn("the image has no glibc: the node's Slurm client cannot be used in it")
		return
	}
	n := needed{ask: a, libraries: map[string]string{}, checked: map[string]bool{}}
	n.add(programs...)
	n.add(a.Client.Files...)
	for i := 0; i < len(n.dirs); i++ { // a plugin may add a directory
		for _, pattern := range clientPlugins { // well formed
			files, _ := filepath.Glob(a.at(path.Join(n.dirs[i], pattern)))
			for _, file := range files {
				n.add(path.Join(n.dirs[i], path.Base(file)))
			}
		}
	}
	if !a.checkGlibc(f, "the node's Slurm client", n.files, libc) {
		return // the image's own client may work
	}
	for _, p := range programs {
		f.client(a, p, path.Join("/usr/bin", path.Base(p)))
	}
	for _, p := range append(n.dirs, a.Client.Files...) {
		f.client(a, p, p)
	}
	for _, soname := range slices.Sorted(maps.Keys(n.libraries)) {
		if at := path.Join(libc.Dir, soname); a.ImageHas == nil || !a.ImageHas(at) {
			f.client(a, n.libraries[soname], at)
		}
	}
	f.client(a, path.Dir(a.Client.Conf), path.Dir(a.Client.Conf))
	f.note("Slurm: " + strings.Join(programs, " "))
}

func (f *Found) client(a *Ask, source, target string) {
	if a.exists(source) {
		f.Client = append(f.Client, Mount{Source: a.at(source), Target: target, ReadOnly: true})
	}
}

// clientPrograms finds the programs in the caller's PATH and in the usual places.
func (a *Ask) clientPrograms() []string {
	dirs := append(filepath.SplitList(a.getenv("PATH")), "/usr/bin", "/usr/local/bin",
		"/opt/slurm/bin")
	var found []string
	for _, name := range clientPrograms {
		for _, dir := range dirs {
			if file := path.Join(dir, name); path.IsAbs(file) && a.exists(file) {
				found = append(found, file)
				break
			}
		}
	}
	if len(found) == 0 || path.Base(found[0]) != "srun" {
		return nil
	}
	return found
}

// needed collects the libraries that files need, and those that these need, without those of glibc.
type needed struct {
	ask       *Ask
	cache     map[string]string // of the loader: paths by soname
	dirs      []string          // directories that the files themselves name
	libraries map[string]string // others by soname
	files     []string          // all files looked at
	checked   map[string]bool   // by path
}

// ofGlibc are the beginnings of the names of libraries that come with the image's libc.
var ofGlibc = []string{ //nolint:gochecknoglobals // a constant list
	"libc", "libm", "libdl", "libpthread", "librt", "libresolv", "libutil", "libnsl",
	"ld-linux-x86-64", "ld-linux-aarch64", "ld64",
}

func (n *needed) add(files ...string) {
	for _, file := range files {
		if n.checked[file] {
			continue
		}
		n.checked[file] = true
		opened, err := outside.Open(n.ask.at(file))
		if err != nil {
			continue // it does not exist
		}
		f, err := elf.NewFile(opened)
		if err != nil {
			_ = opened.Close() // it was only read from
			continue           // a script
		}
		sonames, _ := f.ImportedLibraries() // an unreadable list counts as empty
		var places []string
		for _, tag := range []elf.DynTag{elf.DT_RUNPATH, elf.DT_RPATH} {
			paths, _ := f.DynString(tag)
			for _, p := range paths {
				origin := strings.NewReplacer("$ORIGIN", path.Dir(file), "${ORIGIN}",
					path.Dir(file))
				places = append(places, filepath.SplitList(origin.Replace(p))...)
			}
		}
		_ = opened.Close() // it was only read from
		n.files = append(n.files, file)
		for _, soname := range sonames {
			if !isLibrary(soname, ofGlibc) {
				n.resolve(soname, append(places, n.dirs...))
			}
		}
	}
}

func (n *needed) resolve(soname string, places []string) {
	for _, dir := range places {
		if file := path.Join(dir, soname); path.IsAbs(file) && n.ask.exists(file) {
			if !slices.Contains(n.dirs, path.Clean(dir)) {
				n.dirs = append(n.dirs, path.Clean(dir))
			}
			n.add(file)
			return
		}
	}
	if n.libraries[soname] != "" {
		return
	}
	if n.cache == nil {
		n.cache = n.ask.known()
	}
	file := n.cache[soname]
	if file == "" {
		for _, dir := range n.ask.libraryDirs() {
			if n.ask.exists(path.Join(dir, soname)) {
				file = path.Join(dir, soname)
				break
			}
		}
	}
	if file != "" {
		n.libraries[soname] = file
		n.add(file)
	}
}
