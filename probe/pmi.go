package probe

import (
	"path"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/probe/facts"
)

// pmiOf returns the PMI of a soname; empty if it is none's.
func pmiOf(soname string) string {
	switch soname {
	case "libpmi2.so.0":
		return "pmi2"
	case "libpmix.so.2":
		return "pmix"
	}
	return ""
}

// pmi sets the PMI libraries among those that the dynamic linker finds, and Slurm's plugins.
func (p *prober) pmi(cached map[string]string) {
	for soname, name := range cached {
		if kind := pmiOf(soname); kind != "" && (p.recorded || p.exists(name)) {
			found := facts.PMI{Implementation: kind, Soname: soname}
			if kind == "pmix" {
				found.Version = p.pmixVersion(name)
			}
			p.node.PMI = append(p.node.PMI, found)
		}
	}
	for _, dir := range LibraryDirs(p.node.Arch) {
		for _, slurm := range []string{dir + "/slurm", dir + "/slurm-wlm"} {
			if p.exists(slurm) {
				p.slurmPMI(slurm)
			}
		}
	}
	slices.SortFunc(p.node.PMI, func(a, b facts.PMI) int {
		return strings.Compare(a.Implementation+" "+a.Soname+" "+a.Version,
			b.Implementation+" "+b.Soname+" "+b.Version)
	})
	p.node.PMI = slices.Compact(p.node.PMI)
}

// slurmPMI adds the plugins of mpi/pmi2 and mpi/pmix_vN in a directory of Slurm's.
func (p *prober) slurmPMI(dir string) {
	if p.exists(dir + "/mpi_pmi2.so") {
		p.node.PMI = append(p.node.PMI, facts.PMI{Implementation: "pmi2", Slurm: true})
	}
	for _, version := range []string{"1", "2", "3", "4", "5", "6"} {
		if p.exists(dir + "/mpi_pmix_v" + version + ".so") {
			p.node.PMI = append(p.node.PMI,
				facts.PMI{Implementation: "pmix", Version: version, Slurm: true})
		}
	}
}

// pmixVersion returns the version of a PMIx from its pkg-config file, else from the name of the
// library; empty if neither states it.
func (p *prober) pmixVersion(library string) string {
	if version := p.packageVersion(path.Dir(library) + "/pkgconfig/pmix.pc"); version != "" {
		return version
	}
	numbers, ok := strings.CutPrefix(path.Base(p.resolve(library)), "libpmix.so.2.")
	series, release, found := strings.Cut(numbers, ".")
	if !ok || !found {
		return ""
	}
	// Seen in Debian: libpmix.so.2.3.0 of 4.0.0, 2.6.2 of 4.2.2, 2.13.7 of 5.0.7.
	switch series {
	case "3":
		return "4.0." + release
	case "6":
		return "4.2." + release
	case "13":
		return "5.0." + release
	}
	return ""
}

// packageVersion returns the version that a pkg-config file states; empty without one.
func (p *prober) packageVersion(file string) string {
	text, err := readFile(p.fsys, file, maxSmall)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(text) {
		if version, ok := strings.CutPrefix(line, "Version:"); ok {
			return strings.TrimSpace(version)
		}
	}
	return ""
}
