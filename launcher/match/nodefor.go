package match

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// NodeFor returns the node that a platform describes,
// "linux/amd64:broadwell:nv-compute-5-2:nvidia-396-44": the CPU is the deepest of its targets and
// levels, else any of the architecture; each word of GPU code is one GPU; words outside the
// vocabulary are labels. What the words leave open, such as the driver beside a GPU, is unknown.
// Errors are of class fault.Usage.
func NodeFor(platform string) (facts.Node, error) {
	p, _, err := oci.ParsePlatform(platform)
	if err != nil {
		return facts.Node{}, err
	}
	c := newChooser(nil, Policy{})
	e := &oci.Entry{Descriptor: oci.Descriptor{Platform: &p}, Tokens: p.Features}
	demands := c.demandsOf(e)
	n := facts.Node{SchemaVersion: facts.SchemaVersion, OS: p.OS, Arch: p.Architecture}
	for _, d := range demands {
		describe(&n, d)
	}
	if err := c.setCPU(&n, e, demands); err != nil {
		return facts.Node{}, fault.New(fault.Usage, "platform %q: %w", platform, err).
			Hint("name the CPU as archspec or a compiler does: zen3, skylake_avx512, " +
				"neoverse_v2, x86_64_v3")
	}
	c.describeFlags(&n, demands)
	completeNVIDIA(&n)
	slices.Sort(n.Labels)
	return n, nil
}

// setCPU sets the target of the node, and refuses combinations that no single CPU can have.
func (c *chooser) setCPU(n *facts.Node, e *oci.Entry, demands []*demand) error {
	cpu, err := c.oneCPU(n.Arch, e, demands)
	if err != nil || cpu == nil {
		return err
	}
	n.CPU = facts.CPU{Target: cpu.Name, Strict: cpu.Name, Level: c.level(cpu)}
	return nil
}

// oneCPU returns the target that meets all demands; nil if the architecture has no targets.
func (c *chooser) oneCPU(arch string, e *oci.Entry, demands []*demand) (*target, error) {
	cpu := c.targetOf(e, demands)
	for _, d := range demands {
		switch {
		case d.kind != kindCPU:
		case d.target == nil:
			return nil, fmt.Errorf("%q is no level or CPU of %s", d.token, arch)
		case d.target.root != facts.FamilyOf(arch):
			return nil, fmt.Errorf("%s is not a CPU of %s", named(d), arch)
		case !cpu.is(d.target):
			return nil, fmt.Errorf("no CPU is both %s and %s", cpu.Name, named(d))
		}
	}
	return cpu, nil
}

// level returns the x86-64 level of a target, 0 on other architectures.
func (c *chooser) level(cpu *target) int {
	level := 0
	for i, name := range []string{"x86_64", "x86_64_v2", "x86_64_v3", "x86_64_v4"} {
		if t := c.lookup(name); t != nil && cpu.is(t) {
			level = i + 1
		}
	}
	return level
}

// describe adds to the node what one word says.
func describe(n *facts.Node, d *demand) {
	switch d.kind {
	case kindNVIDIA:
		n.GPUs = append(n.GPUs, facts.GPU{Vendor: "nvidia", Arch: d.code.capability.String()})
	case kindAMD:
		n.GPUs = append(n.GPUs, facts.GPU{Vendor: "amd", Arch: d.name})
	case kindGPU:
		if !slices.ContainsFunc(n.GPUs, func(g facts.GPU) bool { return g.Vendor == d.name }) {
			n.GPUs = append(n.GPUs, facts.GPU{Vendor: d.name})
		}
	case kindDriver:
		nvidia(n).Driver = d.version.String()
		if number, as := strings.CutPrefix(d.token, "nvidia-"); as { // with its leading zeros
			nvidia(n).Driver = strings.ReplaceAll(number, "-", ".")
		}
	case kindCUDA:
		nvidia(n).CUDA = d.version.String()
	case kindMPI:
		n.MPI = append(n.MPI, facts.MPI{Implementation: d.name, Version: d.version.String()})
	case kindGlibc:
		n.Glibc = d.version.String()
	case kindLabel:
		n.Labels = append(n.Labels, d.token)
	}
}

func nvidia(n *facts.Node) *facts.NVIDIA {
	if n.NVIDIA == nil {
		n.NVIDIA = &facts.NVIDIA{}
	}
	return n.NVIDIA
}

// completeNVIDIA derives CUDA from the driver, and records what a platform with a GPU leaves open.
func completeNVIDIA(n *facts.Node) {
	if n.NVIDIA != nil && n.NVIDIA.CUDA == "" {
		n.NVIDIA.CUDA = cudaOfDriver(parseVersion(n.NVIDIA.Driver)).String()
	}
	hasGPU := slices.ContainsFunc(n.GPUs, func(g facts.GPU) bool { return g.Vendor == "nvidia" })
	if hasGPU && (n.NVIDIA == nil || n.NVIDIA.Driver == "") {
		n.Unknown = append(n.Unknown,
			facts.Unknown{What: "nvidia.driver", Why: "the platform does not say"})
	}
	if n.Glibc == "" {
		n.Unknown = append(n.Unknown,
			facts.Unknown{What: "glibc", Why: "the platform does not say"})
	}
}
