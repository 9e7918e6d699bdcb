package match

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hpc3-project/hpc3/probe/facts"
)

// checkGPUs checks that every visible GPU runs some of the code, and returns how well the worst GPU
// does.
func (h *host) checkGPUs(needs gpuNeeds, refuse refuser) int {
	exact := runsArchitecture
	if len(needs.nvidia) > 0 {
		exact = min(exact, h.checkNVIDIA(needs, refuse))
	}
	if len(needs.amd) > 0 {
		exact = min(exact, h.checkAMD(needs, refuse))
	}
	return exact
}

func (h *host) checkNVIDIA(needs gpuNeeds, refuse refuser) int {
	if why, unknown := h.unknown("gpus", "gpu", "nvidia"); unknown && len(h.nvidia) == 0 {
		refuse(kindUnknown, "built for NVIDIA GPUs (%s); GPU state unknown: %s", needs.kinds(), why)
		return 0
	}
	if len(h.nvidia) == 0 {
		refuse(kindNVIDIA, "built for NVIDIA GPUs (%s), %s", needs.kinds(), h.noGPU())
		return 0
	}
	worst := runsArchitecture
	lacking := map[string][]int{} // GPUs that run none of the code, by capability
	for _, g := range h.nvidia {
		if !g.known {
			refuse(kindUnknown,
				"built for NVIDIA GPUs (%s), and the compute capability of GPU %d is unknown",
				needs.kinds(), g.index)
			return 0
		}
		best := needs.bestOn(g.capability)
		if has := g.capability.String(); best == 0 {
			lacking[has] = append(lacking[has], g.index)
		}
		worst = min(worst, best)
	}
	for _, has := range byFirst(lacking) {
		refuse(kindNVIDIA, "built for GPUs of compute capability %s, %s %s", needs.kinds(),
			gpuNumbers(lacking[has], "has", "have"), has)
	}
	return worst
}

// byFirst returns the keys in the order of their first GPU.
func byFirst(gpus map[string][]int) []string {
	if len(gpus) == 0 {
		return nil // of most entries, which cost nothing then
	}
	return slices.SortedFunc(maps.Keys(gpus), func(a, b string) int {
		return cmp.Compare(gpus[a][0], gpus[b][0])
	})
}

// gpuNumbers names GPUs by their numbers, in order, and puts a verb in singular or plural behind:
// "GPU 0 has", "GPUs 0 to 7 have", "GPUs 0, 2 have".
func gpuNumbers(numbers []int, one, several string) string {
	first, last := numbers[0], numbers[len(numbers)-1]
	switch {
	case len(numbers) == 1:
		return fmt.Sprintf("GPU %d %s", first, one)
	case len(numbers) > 2 && last-first == len(numbers)-1:
		return fmt.Sprintf("GPUs %d to %d %s", first, last, several)
	}
	words := make([]string, len(numbers))
	for i, n := range numbers {
		words[i] = strconv.Itoa(n)
	}
	return "GPUs " + strings.Join(words, ", ") + " " + several
}

func (h *host) noGPU() string {
	if h.node.NVIDIA != nil {
		return "none is visible here, though the driver is loaded"
	}
	return "none is visible here"
}

func (h *host) checkAMD(needs gpuNeeds, refuse refuser) int {
	list := strings.Join(needs.amd, ", ")
	if why, unknown := h.unknown("gpus", "gpu", "amd"); unknown && len(h.amd) == 0 {
		refuse(kindUnknown, "built for AMD GPUs (%s); GPU state unknown: %s", list, why)
		return 0
	}
	if len(h.amd) == 0 {
		refuse(kindAMD, "built for AMD GPUs (%s), none is visible here", list)
		return 0
	}
	if unheard := needs.unknownGeneric(); len(unheard) > 0 {
		list += "; hpc3 does not know which those of " + strings.Join(unheard, " and ") + " are"
	}
	worst := runsSame
	lacking := map[string][]int{}
	for _, g := range h.amd {
		best := needs.amdOn(g.arch)
		switch {
		case !g.known:
			refuse(kindUnknown,
				"built for AMD GPUs (%s), and the architecture of GPU %d is unknown", list,
				g.index)
		case best == 0:
			lacking[g.arch] = append(lacking[g.arch], g.index)
		}
		worst = min(worst, best)
	}
	for _, arch := range byFirst(lacking) {
		refuse(kindAMD, "built for AMD GPUs (%s), %s %s", list,
			gpuNumbers(lacking[arch], "is", "are"), arch)
	}
	return worst
}

// checkVendor checks that there is a GPU of a vendor, whichever. A label of the node with the same
// name counts, as for flags.
func (h *host) checkVendor(d *demand, refuse refuser) {
	gpus, vendor := h.nvidia, "NVIDIA"
	if d.name == "amd" {
		gpus, vendor = h.amd, "AMD"
	}
	why, unknown := h.unknown("gpus", "gpu", d.name)
	switch {
	case len(gpus) > 0 || slices.Contains(h.labels, d.token):
	case unknown:
		refuse(kindUnknown, "needs a GPU of %s (%s); GPU state unknown: %s", vendor, d.token, why)
	default:
		refuse(kindGPU, "needs a GPU of %s (%s), none is visible here", vendor, d.token)
	}
}

func (h *host) checkDriver(d *demand, refuse refuser) {
	why, unknown := h.unknown("nvidia")
	switch {
	case h.driver == nil && (unknown || h.node.NVIDIA != nil):
		refuse(kindUnknown, "needs NVIDIA driver %s or newer; the driver of this node is unknown%s",
			d.version, because(why))
	case h.driver == nil:
		refuse(kindDriver, "needs NVIDIA driver %s or newer, the node has none", d.version)
	case h.driver.compare(d.version) < 0:
		refuse(kindDriver, "needs NVIDIA driver %s or newer, the node has %s", d.version,
			h.node.NVIDIA.Driver)
	}
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

func (h *host) checkGlibc(d *demand, refuse refuser) {
	has := parseVersion(h.node.Glibc)
	why, unknown := h.unknown("glibc")
	switch {
	case has == nil && (unknown || h.node.Glibc != ""):
		refuse(kindUnknown, "needs glibc %s; the version on this node is unknown%s", d.version,
			because(why))
	case has == nil:
		refuse(kindGlibc, "needs glibc %s or newer, the node has none", d.version)
	case has.compare(d.version) < 0:
		refuse(kindGlibc, "needs glibc %s or newer, the node has %s", d.version, h.node.Glibc)
	}
}

// checkMPI checks that some MPI of the node has the wanted ABI.
func (h *host) checkMPI(d *demand, refuse refuser) {
	wanted := mpiWanted(d)
	unread := false
	for _, m := range h.node.MPI {
		fits, known := mpiFits(d, m)
		if fits {
			return
		}
		unread = unread || !known
	}
	why, unknown := h.unknown("mpi")
	switch {
	case unread:
		refuse(kindUnknown, "needs %s; the version of this node's is unknown", wanted)
	case unknown:
		refuse(kindUnknown, "needs %s; the MPI of this node is unknown%s", wanted, because(why))
	default:
		refuse(kindMPI, "needs %s, the node has %s", wanted, cmp.Or(mpiList(h.node.MPI), "none"))
	}
}

// mpiFits reports whether an installed MPI serves programs built for another: of Open MPI the same
// major version, not older; of the MPICH family any, since all share libmpi.so.12.
func mpiFits(d *demand, m facts.MPI) (fits, known bool) {
	if m.Implementation != d.name && (d.name != "mpich" || m.Soname != "libmpi.so.12") {
		return false, true
	}
	if d.name != "openmpi" || len(d.version) == 0 {
		return true, true
	}
	has := parseVersion(m.Version)
	if has == nil {
		return false, false
	}
	return has.major(d.version[0]) && has.compare(d.version) >= 0, true
}

func mpiList(all []facts.MPI) string {
	words := make([]string, len(all))
	for i, m := range all {
		words[i] = strings.TrimSpace(mpiName(m.Implementation) + " " + m.Version)
	}
	return strings.Join(words, " and ")
}

func mpiName(implementation string) string {
	switch implementation {
	case "openmpi":
		return "Open MPI"
	case "mpich":
		return "an MPI with MPICH's ABI"
	case "mpiabi":
		return "an MPI with the standard ABI"
	}
	return implementation
}

// mpiWanted names what a demand for an MPI asks for.
func mpiWanted(d *demand) string {
	if d.name != "openmpi" || len(d.version) == 0 {
		return mpiName(d.name)
	}
	return fmt.Sprintf("Open MPI %s or a newer %d.x", d.version, d.version[0])
}

// isFabric reports whether a word names a kind of fabric, as probe does.
func isFabric(word string) bool {
	return slices.Contains([]string{"cxi", "efa", "infiniband", "opa", "roce"}, word)
}

// checkLabel checks any other word against the labels from the site and the fabric.
func (h *host) checkLabel(d *demand, refuse refuser) {
	if slices.Contains(h.labels, d.token) {
		return
	}
	if why, unknown := h.unknown("labels"); unknown {
		refuse(kindUnknown, "needs %s; the labels of this node are unknown%s", clip(d.token),
			because(why))
		return
	}
	if why, unknown := h.unknown("fabric"); unknown && isFabric(d.token) {
		refuse(kindUnknown, "needs %s; the fabric of this node is unknown%s", clip(d.token),
			because(why))
		return
	}
	has := "it has none"
	if len(h.labels) > 0 {
		has = fmt.Sprintf("it has %s", firstFew(h.labels))
	}
	refuse(kindLabel, "needs %s, which is not among the labels of this node: %s%s", clip(d.token),
		has, h.probably(d))
}
