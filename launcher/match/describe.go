package match

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// misspelt matches words that can only be mistakes in a vocabulary word: as labels they would match
// nothing.
//
//nolint:gochecknoglobals // constant once compiled
var misspelt = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(nv-(compute|ptx)|amd-gfx|mpi-(openmpi|mpich|mpiabi)-|` +
		`(nvidia|cuda|glibc)-\d|cuda-compat-|x86[_-]64[_-])`)
})

// CheckWord returns what is wrong with a word for Describe; nil if it is right.
func CheckWord(word string) error {
	name, taken := strings.CutPrefix(word, "-")
	token, ok := oci.Token(name)
	if !ok {
		return fmt.Errorf("%q is no word of letters, digits, dots, hyphens and underscores",
			clipped(word))
	}
	d := newChooser(nil, Policy{}).read(token)
	switch {
	case d.kind == kindLabel && misspelt().MatchString(token):
		return fmt.Errorf(
			"%q is almost a word of the vocabulary, such as nv-compute-9-0, amd-gfx90a, "+
				"nvidia-550-54-15, cuda-12-4, mpi-openmpi-4-1, glibc-2-36 or x86_64_v3",
			clipped(word))
	case d.kind == kindCompat:
		return fmt.Errorf("%q says what an image holds; of a node say which CUDA its driver has, "+
			"such as cuda-12-4", clipped(word))
	case taken && isNormal(token):
		return fmt.Errorf("%q: only a label or a fabric can be taken away", clipped(word))
	}
	return nil
}

// isNormal reports whether a word can be no label: it is one of the vocabulary in its normal form.
// Sites have labels that are words in other spellings, "a100" and "avx512".
func isNormal(token string) bool {
	_, pattern := readPattern(token)
	return pattern || token == "generic" || found(token) != nil
}

// clipped bounds what an error quotes.
func clipped(word string) string { return word[:min(len(word), 80)] }

// Describe returns the node as the site's words describe it; n is not modified. A CPU or a level
// sets the target, whatever the probe found; words of GPU code replace that vendor's GPUs, one GPU
// each; driver, CUDA, glibc and MPI words replace what was found of the same; any other word is a
// label, and a hyphen before it removes it from labels and fabric. An error means that CheckWord
// refuses a word, or that this node cannot have the CPU.
func Describe(n facts.Node, words []string) (facts.Node, error) {
	c := newChooser(nil, Policy{})
	n.Labels, n.Fabric, n.Unknown = slices.Clone(n.Labels), slices.Clone(n.Fabric),
		slices.Clone(n.Unknown)
	if n.NVIDIA != nil {
		driver := *n.NVIDIA
		n.NVIDIA = &driver
	}
	var demands []*demand
	for _, word := range words {
		if err := CheckWord(word); err != nil {
			return facts.Node{}, err
		}
		name, taken := strings.CutPrefix(word, "-")
		token, _ := oci.Token(name)
		if taken {
			is := func(l string) bool { return strings.EqualFold(l, token) }
			n.Labels, n.Fabric = slices.DeleteFunc(n.Labels, is), slices.DeleteFunc(n.Fabric, is)
			continue
		}
		d := c.read(token)
		if oci.Architecture(n.Arch) == "ppc64le" {
			d = c.littleEndian(d)
		}
		demands = append(append(demands, d), d.also...)
	}
	replaced(&n, demands)
	for _, d := range demands {
		describe(&n, d)
	}
	slices.Sort(n.Labels)
	n.Labels = slices.Compact(n.Labels)
	err := c.stateCPU(&n, demands)
	c.describeFlags(&n, demands)
	return n, err
}

// states reports whether one of the words is of this kind.
func states(demands []*demand, k kind) bool {
	return slices.ContainsFunc(demands, func(d *demand) bool { return d.kind == k })
}

// replaced removes from a node what the words restate. It gives n slices of its own.
func replaced(n *facts.Node, demands []*demand) {
	known := func(what ...string) {
		n.Unknown = slices.DeleteFunc(n.Unknown,
			func(u facts.Unknown) bool { return slices.Contains(what, u.What) })
	}
	n.GPUs = slices.DeleteFunc(slices.Clone(n.GPUs), func(g facts.GPU) bool {
		return g.Vendor == "nvidia" && states(demands, kindNVIDIA) ||
			g.Vendor == "amd" && states(demands, kindAMD)
	})
	n.MPI = slices.DeleteFunc(slices.Clone(n.MPI), func(m facts.MPI) bool {
		return slices.ContainsFunc(demands,
			func(d *demand) bool { return d.kind == kindMPI && d.name == m.Implementation })
	})
	if states(demands, kindNVIDIA) || states(demands, kindAMD) {
		known("gpus")
	}
	if states(demands, kindGlibc) {
		known("glibc")
	}
	if states(demands, kindDriver) {
		known("nvidia", "nvidia.driver")
		nvidia(n).CUDA = "" // it was the other driver's
	}
}

// stateCPU sets the target that the words name, and CUDA and driver if they follow from them or
// stay open.
func (c *chooser) stateCPU(n *facts.Node, demands []*demand) error {
	if n.NVIDIA != nil && n.NVIDIA.CUDA == "" {
		n.NVIDIA.CUDA = cudaOfDriver(parseVersion(n.NVIDIA.Driver)).String()
	}
	if states(demands, kindNVIDIA) && (n.NVIDIA == nil || n.NVIDIA.Driver == "") &&
		!slices.ContainsFunc(n.Unknown,
			func(u facts.Unknown) bool { return strings.HasPrefix(u.What, "nvidia") }) {
		n.Unknown = append(n.Unknown,
			facts.Unknown{What: "nvidia.driver", Why: "the site does not say"})
	}
	if !states(demands, kindCPU) && !states(demands, kindGeneric) {
		return nil
	}
	e := &oci.Entry{Descriptor: oci.Descriptor{Platform: &oci.Platform{
		OS:           n.OS,
		Architecture: oci.Architecture(n.Arch),
	}}}
	cpu, err := c.oneCPU(oci.Architecture(n.Arch), e, demands)
	if err != nil || cpu == nil {
		return err
	}
	n.CPU.Target, n.CPU.Rule, n.CPU.Level, n.CPU.Missing = cpu.Name, facts.RuleSite, c.level(cpu),
		nil
	n.CPU.Compatible = nil // the site's word is the whole answer
	if len(n.CPU.Features) > 0 {
		n.CPU.Missing = slices.DeleteFunc(slices.Clone(cpu.Features),
			func(f string) bool { return slices.Contains(n.CPU.Features, f) })
	}
	n.Unknown = slices.DeleteFunc(n.Unknown, func(u facts.Unknown) bool { return u.What == "cpu" })
	return nil
}
