package launcher

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/match"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/slurm"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// labelled adds to a probed node what Slurm, the site and the user say of it, in this order: the site may take away what Slurm says,
// the user only adds. They speak of this node, so a recorded one stays as it was recorded.
func (r *Road) labelled(n facts.Node) (facts.Node, error) {
	if r.ProbeRoot != "" {
		return n, nil
	}
	own, err := r.ownLabels()
	if err != nil {
		return facts.Node{}, err
	}
	features, err := r.slurmFeatures()
	if err != nil {
		n.Unknown = append(n.Unknown, facts.Unknown{What: "labels.slurm", Why: err.Error()})
	}
	n.Labels = append(n.Labels, r.Site.SlurmLabels(features)...)
	for _, words := range r.Stated() {
		if n, err = match.Describe(n, words); err != nil {
			return facts.Node{}, fault.New(fault.Config, "%s: platform-features for %s: %w", r.Site.File, r.Host.Name, err).
				Hint("words for some nodes only belong into a [[host]] table; what the probe finds without them: HPC3_CONFIG=/dev/null hpc3 probe")
		}
	}
	n.Labels = append(n.Labels, own...)
	slices.Sort(n.Labels)
	n.Labels = slices.Compact(n.Labels)
	return n, nil
}

// Stated returns the site's platform-features for the node that Node returns, list by list; none for any other node than this one.
func (r *Road) Stated() [][]string {
	if r.ProbeRoot != "" || r.Option.Platform != "" || r.Given != nil {
		return nil
	}
	return r.Site.FeaturesOf(r.Host.Name)
}

// slurmFeatures returns the words that slurm.conf gives this node; none where the site does not want them.
func (r *Road) slurmFeatures() ([]string, error) {
	if !r.Site.ReadsSlurm() {
		return nil, nil
	}
	return slurm.Features(os.DirFS("/"), r.slurmConf(), r.slurmNode())
}

// slurmConf is where the environment says that slurm.conf is; "" for Slurm's usual places.
func (r *Road) slurmConf() string {
	conf := r.Host.Getenv("SLURM_CONF")
	if conf != "" && !filepath.IsAbs(conf) {
		conf = filepath.Join(r.Host.Cwd, conf)
	}
	return conf
}

func (r *Road) slurmNode() slurm.Node {
	return slurm.Node{Name: r.Host.Getenv("SLURMD_NODENAME"), Host: r.Host.Name}
}

// ownLabels returns the words of HPC3_LABELS, a comma list.
func (r *Road) ownLabels() ([]string, error) {
	var labels []string
	for word := range strings.SplitSeq(r.Host.Getenv("HPC3_LABELS"), ",") {
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		label, ok := oci.Token(word)
		if !ok {
			return nil, fault.New(fault.Usage, "environment variable HPC3_LABELS: %.80q is no word of letters, digits, dots, hyphens and underscores", word).
				Hint("it is a comma list of words that entries ask for: HPC3_LABELS=rack_b,efa")
		}
		labels = append(labels, label)
	}
	return labels, nil
}
