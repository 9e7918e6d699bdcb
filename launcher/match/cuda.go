package match

import (
	"fmt"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// cudaOfDriver returns the CUDA version of an NVIDIA driver by its branch, for nodes that report
// only the driver; for an unknown branch, the version of the branch below. It is nil for drivers
// older than all.
func cudaOfDriver(driver version) version {
	cuda, _ := facts.CUDAOfBranch(driver.at(0))
	return parseVersion(cuda)
}

// cudaNeed is what an entry needs of CUDA.
type cudaNeed struct {
	version  version // the release that its programs were made with
	compiled bool    // the driver has to compile PTX
	compat   cudaCompat
}

// cudaCompat is NVIDIA's package cuda-compat in an image: the user's part of a newer driver.
type cudaCompat struct {
	carried bool
	version version // the release whose package it is; nil: that of the programs
}

// of returns the release of the package for programs of a release.
func (c cudaCompat) of(wanted version) version {
	if c.version != nil {
		return c.version
	}
	return wanted
}

// cudaRule is a rule by which a driver runs the programs of a CUDA release. Where it does not hold
// although the image was made for it, it says why, and whether because of something unknown.
type cudaRule struct {
	name  string
	check func(h *host, n cudaNeed) (holds bool, whyNot string, unknown bool)
}

// cudaRules are all rules there are, of NVIDIA's guide "CUDA Compatibility": the first that holds
// counts. There is none the other way: without cuda-compat, no driver runs the programs of a later
// major version, nor does it compile the PTX of a later release.
//
//	rule           the driver runs programs of …            section of the guide
//	driver         its own CUDA release and all before      Why CUDA Compatibility
//	minor version  later releases of its major version,     Minor Version Compatibility
//	               but compiles none of their PTX
//	forward        the release of the image's cuda-compat,  Forward Compatibility
//	               on data-centre GPUs and some branches
//
//nolint:gochecknoglobals // a constant table
var cudaRules = []cudaRule{
	{"driver", (*host).byDriver},
	{"minor version", (*host).byMinorVersion},
	{forward, (*host).byCompat},
}

const forward = "forward"

func (h *host) byDriver(n cudaNeed) (holds bool, whyNot string, unknown bool) {
	return h.cuda != nil && h.cuda.compare(n.version) >= 0, "", false
}

func (h *host) byMinorVersion(n cudaNeed) (holds bool, whyNot string, unknown bool) {
	oldest := parseVersion(facts.MinorCompatible(n.version[0]))
	return !n.compiled && h.cuda.major(n.version[0]) && oldest != nil && h.driver != nil &&
		h.driver.compare(oldest) >= 0, "", false
}

// byCompat holds if the package's release serves the programs as a driver of that release would,
// and NVIDIA supports the package on the driver and on all GPUs of the node.
func (h *host) byCompat(n cudaNeed) (holds bool, whyNot string, unknown bool) {
	if !n.compat.carried {
		return false, "", false
	}
	has := n.compat.of(n.version)
	newest, open := facts.ForwardBase(h.driver.at(0))
	switch {
	case has.compare(n.version) < 0 && (n.compiled || !has.major(n.version[0])):
		return false, fmt.Sprintf("is that of CUDA %s", has), false
	case h.driver == nil:
		return false, "depends on the driver, which is unknown", true
	case newest == "":
		return false, fmt.Sprintf("does not work with drivers of branch %d", h.driver.at(0)), false
	case !open && has.compare(parseVersion(newest)) > 0:
		return false, fmt.Sprintf("works with drivers of branch %d up to CUDA %s", h.driver.at(0),
			newest), false
	case len(h.nvidia) == 0:
		return false, "is for data-centre GPUs, and none is visible here", false
	}
	for _, g := range h.nvidia {
		is, known := facts.ForDataCentres(h.node.GPUs[g.index].Name, g.capability.String())
		switch {
		case !known:
			return false, fmt.Sprintf("is for data-centre GPUs, and whether %s is one is unknown",
				h.called(g)), true
		case !is:
			return false, fmt.Sprintf("is for data-centre GPUs, and %s is none", h.called(g)), false
		}
	}
	return true, "", false
}

// called names a GPU in a sentence.
func (h *host) called(g gpu) string {
	if name := h.node.GPUs[g.index].Name; name != "" {
		return fmt.Sprintf("GPU %d (%s)", g.index, name)
	}
	return fmt.Sprintf("GPU %d", g.index)
}

// checkCUDA checks a CUDA version. It returns the release that the image's cuda-compat has to
// bring; nil if the driver needs none.
func (h *host) checkCUDA(n cudaNeed, refuse refuser) (byCompat version) {
	compat, about := "", kindCUDA
	for _, rule := range cudaRules {
		holds, whyNot, unknown := rule.check(h, n)
		switch {
		case holds && rule.name == forward:
			return n.compat.of(n.version)
		case holds:
			return nil
		case whyNot != "":
			compat = "; its cuda-compat " + whyNot
		}
		if unknown {
			about = kindUnknown
		}
	}
	why, notAsked := h.unknown("nvidia")
	switch {
	case h.cuda == nil && (notAsked || h.node.NVIDIA != nil):
		refuse(kindUnknown, "needs CUDA %s; the version of this node's driver is unknown%s",
			n.version, because(why))
	case h.node.NVIDIA == nil:
		refuse(kindCUDA, "needs CUDA %s, the node has no NVIDIA driver", n.version)
	case n.compiled && h.cuda.major(n.version[0]):
		refuse(about, "needs CUDA %s to compile its PTX, the node's driver %s has %s%s", n.version,
			h.node.NVIDIA.Driver, h.cuda, compat)
	default:
		refuse(about, "needs CUDA %s, the node's driver %s has %s%s", n.version,
			h.node.NVIDIA.Driver, h.cuda, compat)
	}
	return nil
}

// compatEnv is a variable of the images nvidia/cuda: "cuda-compat-12-4".
const compatEnv = "NV_CUDA_COMPAT_PACKAGE="

// compatOf returns the cuda-compat of which an entry's words or its image's own config speak.
func compatOf(demands []*demand, config *oci.Config) cudaCompat {
	var found cudaCompat
	for _, d := range demands {
		if d.kind == kindCompat {
			found.carried = true
			found.version = later(found.version, d.version)
		}
	}
	if config == nil || found.carried {
		return found
	}
	for _, e := range config.Env {
		// "cuda-compat-12-4", or "cuda-compat-12-4=1:550.54.15-1"
		name, is := strings.CutPrefix(e, compatEnv)
		name, _, _ = strings.Cut(name, "=")
		if d, ok := readPattern(name); is && ok && d.kind == kindCompat {
			return cudaCompat{true, d.version}
		}
	}
	return found
}

// later returns the greater of two versions; nil is the least.
func later(a, b version) version {
	if a == nil || b != nil && a.compare(b) < 0 {
		return b
	}
	return a
}
