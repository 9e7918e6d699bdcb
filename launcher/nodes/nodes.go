// Package nodes is which nodes an image is chosen for, and what is known of them: this node as it
// was probed, with the words that Slurm, the site and the user have for it, or those of files.
package nodes

import (
	"context"
	"fmt"
	"slices"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/match"
	"github.com/hpc3-project/hpc3/launcher/notes"
	"github.com/hpc3-project/hpc3/launcher/settings"
	"github.com/hpc3-project/hpc3/probe"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// Finder finds the nodes that an image is chosen for.
type Finder struct {
	settings.Settings
	notes.Notes
	Given   *facts.Node          // this node instead of a probed one
	Root    string               // probe the recorded node below this directory
	Answers func() probe.Answers // where those of the GPU helper are kept; it may return nil
}

// One returns the node that an image is chosen for.
func (f Finder) One(ctx context.Context) (facts.Node, error) {
	if f.Option.Platform != "" {
		node, err := match.NodeFor(f.Option.Platform)
		f.Clock.Done("probe", "--platform "+f.Option.Platform)
		return node, err
	}
	if f.Given != nil {
		return *f.Given, nil
	}
	node, err := f.Probe(ctx)
	if err != nil {
		if f.Root != "" {
			return facts.Node{}, fault.New(fault.Usage, "reading the recorded node %s: %w", f.Root,
				fault.Reason(err)).
				Hint("it is a directory with proc/cpuinfo, sys … of that node")
		}
		return facts.Node{}, fault.New(fault.Engine, "probing this node: %w", err).
			Hint("report this together with /proc/cpuinfo")
	}
	if node, err = f.Labelled(node); err != nil {
		return facts.Node{}, err
	}
	f.Clock.Done("probe", node.CPU.Target)
	return node, nil
}

// All returns the nodes that the choice is for: those of --nodes-file, else the one. If the command
// runs here, this node is one of them, whether or not the file knows it.
func (f Finder) All(ctx context.Context) ([]facts.Node, error) {
	if f.Option.NodesFile == "" || f.Option.Platform != "" || f.Given != nil {
		if n := f.Host.Getenv("SLURM_STEP_NUM_NODES"); n != "" && n != "1" && !f.Host.NoStart {
			f.Notef("each of the %s nodes of this step chooses for itself; "+
				"--nodes-file makes one choice for all", n)
		}
		node, err := f.One(ctx)
		return []facts.Node{node}, err
	}
	nodes, err := ReadAll(ctx, f.Option.NodesFile)
	if err != nil {
		return nil, err
	}
	f.Clock.Done("nodes", fmt.Sprintf("%d of %s", len(nodes), f.Option.NodesFile))
	here := func(n facts.Node) bool { return n.Hostname != "" && n.Hostname == f.Host.Name }
	if !f.Host.NoStart && !slices.ContainsFunc(nodes, here) {
		node, err := f.One(ctx)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, node)
	}
	return nodes, nil
}

// Probe returns what the probe finds, without words of Slurm, the site and the user. Without a
// cache the GPU helper is asked each time.
func (f Finder) Probe(ctx context.Context) (facts.Node, error) {
	opt := probe.Options{Root: f.Root, Labels: f.Site.LabelsOf(f.Host.Name), Env: f.Host.Getenv}
	if f.Answers != nil {
		opt.Answers = f.Answers()
	}
	return probe.Node(ctx, opt)
}
