package nodes

import (
	"os"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/match"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/settings"
	"github.com/hpc3-project/hpc3/launcher/slurm"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// Labelled adds to a probed node what Slurm, the site and the user say of it, in this order: the
// site may take away what Slurm says, the user only adds. They speak of this node, so a recorded
// one stays as it was recorded.
func (f Finder) Labelled(n facts.Node) (facts.Node, error) {
	if f.Root != "" {
		return n, nil
	}
	own, err := f.userLabels()
	if err != nil {
		return facts.Node{}, err
	}
	features, err := f.slurmFeatures()
	if err != nil {
		n.Unknown = append(n.Unknown, facts.Unknown{What: "labels.slurm", Why: err.Error()})
	}
	n.Labels = append(n.Labels, f.Site.SlurmLabels(features)...)
	for _, words := range f.Stated() {
		if n, err = match.Describe(n, words); err != nil {
			return facts.Node{}, fault.New(fault.Config, "%s: platform-features for %s: %w",
				f.Site.File, f.Host.Name, err).
				Hint("words for some nodes only belong into a [[host]] table; " +
					"what the probe finds without them: HPC3_CONFIG=/dev/null hpc3 probe")
		}
	}
	n.Labels = append(n.Labels, own...)
	slices.Sort(n.Labels)
	n.Labels = slices.Compact(n.Labels)
	return n, nil
}

// Stated returns the site's platform-features for the node that One returns, list by list; none for
// any node but this one.
func (f Finder) Stated() [][]string {
	if f.Root != "" || f.Option.Platform != "" || f.Given != nil {
		return nil
	}
	return f.Site.FeaturesOf(f.Host.Name)
}

// slurmFeatures returns the words that slurm.conf gives this node; none if the site does not want
// them.
func (f Finder) slurmFeatures() ([]string, error) {
	if !f.Site.ReadsSlurm() {
		return nil, nil
	}
	return slurm.Features(os.DirFS("/"), f.Host.SlurmConf(), Slurm(f.Host))
}

// Slurm names this node as Slurm may know it.
func Slurm(h settings.Host) slurm.Node {
	return slurm.Node{Name: h.Getenv("SLURMD_NODENAME"), Host: h.Name}
}

// userLabels returns the words of HPC3_LABELS, a comma list.
func (f Finder) userLabels() ([]string, error) {
	var labels []string
	for word := range strings.SplitSeq(f.Host.Getenv("HPC3_LABELS"), ",") {
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		label, ok := oci.Token(word)
		if !ok {
			return nil, fault.New(fault.Usage,
				"environment variable HPC3_LABELS: %.80q is no word "+
					"of letters, digits, dots, hyphens and underscores", word).
				Hint("it is a comma list of words that entries ask for: HPC3_LABELS=rack_b,efa")
		}
		labels = append(labels, label)
	}
	return labels, nil
}
