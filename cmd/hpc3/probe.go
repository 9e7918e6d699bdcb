package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/hpc3-project/hpc3/cmd/progress"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/nodes"
	"github.com/hpc3-project/hpc3/launcher/notes"
	"github.com/hpc3-project/hpc3/launcher/outside"
	"github.com/hpc3-project/hpc3/probe/facts"
)

func (t *tool) probe(c *cli.Context) error {
	if c.NArg() > 0 {
		return fault.New(fault.Usage,
			"probe takes no argument, and %q was given", c.Args().First()).
			Hint("see %s --help", name)
	}
	road, err := t.road(c)
	if err != nil {
		return err
	}
	road.ProbeRoot = c.String("root")
	node, err := road.Node(c.Context)
	if err != nil {
		return err
	}
	switch {
	case c.Bool("nfd"):
		return t.printNFD(facts.NFDOf(node), c.Bool("json"))
	case c.Bool("json"):
		return t.json(node)
	case c.Bool("features"):
		for _, f := range node.CPU.Features {
			fmt.Fprintln(t.stdout, f)
		}
		return nil
	}
	t.printNode(node)
	for _, words := range road.Stated() {
		t.fact("stated", strings.Join(words, ", ")+" (platform-features of "+road.Site.File+")")
	}
	return nil
}

// printNFD prints the node in the names of Node Feature Discovery.
func (t *tool) printNFD(f facts.NFD, asJSON bool) error {
	if asJSON {
		return t.json(f)
	}
	for _, line := range f.Lines() {
		fmt.Fprintln(t.stdout, fault.OneLine(line))
	}
	return nil
}

// fact prints a line of what a node is, if there is something to say.
func (t *tool) fact(what, value string) {
	if strings.TrimSpace(value) != "" {
		head, width := fmt.Sprintf("%-9s ", what), progress.Columns(t.stdout)
		fmt.Fprint(t.stdout, notes.Fold(head, fault.OneLine(value), width))
	}
}

func (t *tool) printNode(n facts.Node) {
	line := t.fact
	line("node", n.Hostname)
	line("system", strings.TrimSpace(fmt.Sprintf("%s/%s, kernel %s", n.OS, n.Arch, n.Kernel)))
	line("glibc", n.Glibc)
	line("cpu", n.CPU.Name)
	line("target", target(n.CPU))
	line("also runs", strings.Join(n.CPU.Compatible, ", "))
	if n.CPU.SVEBits > 0 {
		line("sve", fmt.Sprintf("vectors of %d bits", n.CPU.SVEBits))
	}
	for _, g := range n.GPUs {
		line("gpu", gpu(g))
	}
	if n.NVIDIA != nil {
		line("nvidia", "driver "+n.NVIDIA.Driver+", CUDA "+n.NVIDIA.CUDA)
	}
	for _, m := range n.MPI {
		line("mpi", m.Implementation+" "+m.Version+" "+m.Soname)
	}
	for _, m := range n.PMI {
		where := m.Soname
		if m.Slurm {
			where = "in Slurm"
		}
		line("pmi", strings.Join(strings.Fields(m.Implementation+" "+m.Version+" "+where), " "))
	}
	line("fabric", strings.Join(n.Fabric, ", "))
	line("labels", strings.Join(n.Labels, ", "))
	if n.Container != nil {
		line("container", container(*n.Container))
	}
	for _, u := range n.Unknown {
		line("unknown", u.What+": "+u.Why)
	}
}

// container says what engines find here, and what they lack.
func container(c facts.Container) string {
	var has, lacks []string
	for _, f := range []struct {
		name string
		here bool
	}{
		{"user namespaces", c.UserNamespaces},
		{"FUSE", c.FUSE},
		{"overlay", c.Overlay},
		{"SquashFS", c.SquashFS},
		{"Apptainer", c.Apptainer != ""},
	} {
		if f.here {
			has = append(has, f.name)
		} else {
			lacks = append(lacks, f.name)
		}
	}
	s := strings.Join(has, ", ")
	if len(has) == 0 {
		s = "nothing"
	}
	if len(lacks) > 0 {
		s += "; not here: " + strings.Join(lacks, ", ")
	}
	return s
}

// gpu leaves out what is not known.
func gpu(g facts.GPU) string {
	s := strings.Join(strings.Fields(g.Vendor+" "+g.Name+" "+g.Arch), " ")
	if g.MemoryBytes > 0 {
		s += fmt.Sprintf(", %.0f GB", float64(g.MemoryBytes)/1e9)
	}
	return s
}

// target says what the choice follows, and how it was found.
func target(c facts.CPU) string {
	s := c.Target
	if c.Level > 0 {
		s += fmt.Sprintf(" (x86-64-v%d)", c.Level)
	}
	if c.Rule == facts.RuleSite {
		s += ", stated by the site"
	}
	if c.Strict != "" && c.Strict != c.Target {
		how := ", told by family and model: "
		switch c.Rule {
		case "relaxed":
			how = ", told without flags that only special code uses: "
		case facts.RuleSite:
			how = ": "
		}
		s += how + "by all its flags it would be " + c.Strict
	}
	if len(c.Missing) > 0 {
		s += "; not shown here: " + strings.Join(c.Missing, " ")
	}
	if c.Emulated {
		s += "; emulated"
	}
	return s
}

// node reads a node file; "-" is standard input.
func (t *tool) node(ctx context.Context, file string) (facts.Node, error) {
	if file == "-" {
		return nodes.Read("-", t.stdin)
	}
	f, err := outside.Stream(ctx, file)
	if err != nil {
		return facts.Node{}, cannotRead("the node file", file, err)
	}
	defer f.Close()
	return nodes.Read(file, f)
}
