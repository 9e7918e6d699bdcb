package device

import (
	"debug/elf"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/hpc3-project/hpc3/probe"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// compatLib is the libcuda of NVIDIA's package cuda-compat in an image: the user's part of a driver
// that may be newer than the node's.
type compatLib struct {
	dir      string // "" if the image has none
	driver   string // of which it is a part
	cuda     string // the release that it brings
	branches []int  // of the node's driver with which it works, as it says itself; nil: it does not
}

// compat puts the image's cuda-compat before the driver's libcuda if that is of an older CUDA, and
// NVIDIA supports it on the node's driver and GPUs, as NVIDIA's container toolkit does by its hook
// enable-cuda-compat.
func (a *Ask) compat(f *Found) {
	if !f.NVIDIA || a.ImageOpen == nil || a.ImageList == nil {
		return
	}
	lib := a.compatLib()
	if lib.dir == "" && a.CUDA == "" {
		return
	}
	driver, err := probe.NVIDIADriver(os.DirFS(a.Root))
	if err != nil || driver == "" {
		driver = "" // it cannot be compared
	}
	why := a.whyNoCompat(f, lib, driver)
	switch {
	case why == "":
		f.Compat = lib.dir
		f.note(fmt.Sprintf("NVIDIA: %s of the image goes before the libcuda of driver %s: CUDA %s",
			lib.dir, driver, lib.cuda))
	case a.CUDA != "" && !reaches(driver, a.CUDA):
		f.Unmet = fmt.Sprintf("the image has to bring CUDA %s by its cuda-compat, because driver "+
			"%s lacks it; but %s", a.CUDA, orUnknown(driver), why)
	case lib.dir != "" && namesCompat(a.Libraries):
		f.warn("LD_LIBRARY_PATH, as the image or -e sets it, puts " + lib.dir + " before the " +
			"driver's libcuda, and CUDA may fail with error 803 or 804: " + why)
	case lib.dir != "":
		f.note("NVIDIA: not using " + lib.dir + " of the image: " + why)
	}
}

// namesCompat reports whether a list of directories has one of cuda-compat.
func namesCompat(list string) bool {
	return slices.ContainsFunc(strings.Split(list, ":"), func(dir string) bool {
		dir = path.Clean(dir)
		if base := path.Base(dir); base == "lib" || base == "lib.real" {
			dir = path.Dir(dir)
		}
		return path.Base(dir) == "compat" && strings.HasPrefix(path.Base(path.Dir(dir)), "cuda")
	})
}

// reaches reports whether a driver runs programs of a CUDA release by itself.
func reaches(driver, cuda string) bool {
	own, _ := facts.CUDAOfBranch(first(numbers(driver)))
	return slices.Compare(numbers(own), numbers(cuda)) >= 0
}

func orUnknown(driver string) string {
	if driver == "" {
		return "of this node"
	}
	return driver
}

// whyNoCompat says why the image's cuda-compat is not to be used; "" if it is.
func (a *Ask) whyNoCompat(f *Found, lib compatLib, driver string) string {
	branch := first(numbers(driver))
	newest, open := facts.ForwardBase(branch)
	switch {
	case lib.dir == "":
		return "it has no libcuda in /usr/local/cuda/compat"
	case driver == "":
		return "the driver of this node is unknown"
	case slices.Compare(numbers(lib.driver), numbers(driver)) <= 0:
		return fmt.Sprintf("that is of driver %s, and the node's, %s, is not older",
			lib.driver, driver)
	case a.CUDA != "" && slices.Compare(numbers(lib.cuda), numbers(a.CUDA)) < 0:
		return "that is of CUDA " + lib.cuda
	case lib.branches != nil && !slices.Contains(lib.branches, branch),
		lib.branches == nil && (newest == "" || !open &&
			slices.Compare(numbers(lib.cuda), numbers(newest)) > 0):
		return fmt.Sprintf("that does not work with drivers of branch %d", branch)
	}
	for _, g := range a.gpus(a.nodes("/dev/nvidia[0-9]*")) {
		given := slices.ContainsFunc(f.Mounts,
			func(m Mount) bool { return m.Source == a.at(g.node) })
		is, known := facts.ForDataCentres(g.model, "")
		switch {
		case !given || is:
		case known:
			return "that is for data-centre GPUs, and " + g.model + " is none"
		default:
			return "that is for data-centre GPUs, and whether " + g.node + " is one is unknown"
		}
	}
	return ""
}

// compatLib finds the cuda-compat of the image: where CUDA's link leads, in images of NGC one
// directory below, or with the newest CUDA.
func (a *Ask) compatLib() compatLib {
	dirs := []string{"/usr/local/cuda/compat", "/usr/local/cuda/compat/lib.real"}
	var versioned []string
	for _, name := range a.ImageList("/usr/local") {
		if _, is := strings.CutPrefix(name, "cuda-"); is {
			versioned = append(versioned, name)
		}
	}
	slices.SortFunc(versioned, func(a, b string) int {
		return slices.Compare(numbers(b[len("cuda-"):]), numbers(a[len("cuda-"):]))
	})
	for _, name := range versioned {
		dirs = append(dirs, "/usr/local/"+name+"/compat")
	}
	for _, dir := range dirs {
		if lib := a.compatIn(dir); lib.dir != "" {
			return lib
		}
	}
	return compatLib{}
}

// oldestCompat is the first branch of which there is a cuda-compat, that of CUDA 10.0. That of
// Tegra is called libcuda.so.1.1.
const oldestCompat = 410

// compatIn returns the newest libcuda of a directory of the image.
func (a *Ask) compatIn(dir string) (newest compatLib) {
	for _, name := range a.ImageList(dir) {
		driver, is := strings.CutPrefix(name, "libcuda.so.")
		n := numbers(driver)
		if !is || first(n) < oldestCompat || len(n) < 2 ||
			slices.Compare(n, numbers(newest.driver)) <= 0 {
			continue
		}
		if file := a.ImageOpen(path.Join(dir, name)); file != nil {
			newest = compatLib{dir: dir, driver: driver}
			newest.cuda, newest.branches = compatNote(file)
		}
	}
	if newest.dir != "" && newest.cuda == "" {
		newest.cuda, _ = facts.CUDAOfBranch(first(numbers(newest.driver)))
	}
	return newest
}

// maxNote bounds the note of a libcuda, which has some 150 bytes.
const maxNote = 64 << 10

// compatNote reads the note in which a libcuda of cuda-compat, since CUDA 12.9, says which release
// it brings, and with which branches of the driver it works; nothing if it has none. Source:
// NVIDIA/nvidia-container-toolkit, cmd/nvidia-cdi-hook/cudacompat.
func compatNote(file io.ReaderAt) (cuda string, branches []int) {
	lib, err := elf.NewFile(file)
	if err != nil {
		return "", nil
	}
	s := lib.Section(".note.cuda.fwd_compatibility")
	if s == nil || s.Type != elf.SHT_NOTE || s.Size > maxNote {
		return "", nil
	}
	raw, err := s.Data()
	if err != nil || len(raw) < 12 {
		return "", nil
	}
	nameSize, size := lib.ByteOrder.Uint32(raw), lib.ByteOrder.Uint32(raw[4:])
	from := 12 + (uint64(nameSize)+3)&^3
	if from+uint64(size) > uint64(len(raw)) ||
		strings.TrimRight(string(raw[12:12+nameSize]), "\x00") != "NVIDIA Corporation" {
		return "", nil
	}
	var note struct {
		CUDA   string `json:"CUDA version"`
		Driver []int  `json:"driver"`
	}
	text := strings.TrimRight(string(raw[from:from+uint64(size)]), "\x00")
	if json.Unmarshal([]byte(text), &note) != nil {
		return "", nil
	}
	return note.CUDA, note.Driver
}

// numbers returns the numbers of a version, "575.57.08"; nil if it is none.
func numbers(version string) []int {
	var all []int
	for part := range strings.SplitSeq(version, ".") {
		n, err := strconv.ParseUint(part, 10, 31)
		if err != nil {
			return nil
		}
		all = append(all, int(n))
	}
	return all
}

func first(version []int) int {
	if len(version) == 0 {
		return 0
	}
	return version[0]
}
