package launcher

import (
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/run"
)

// compareRanks refuses a variant that was asked for by name where another rank of the MPI job runs another: such builds rarely work together. What
// the nodes choose for themselves may differ; it is noted. The ranks find one another's word in the user's cache: where their nodes share it,
// all of them, else those of a node.
func (r *Road) compareRanks(c *Choice) error {
	job := run.MPIJob(r.Host.Getenv)
	entry, ok := c.Entry()
	forced := r.Option.Variant != "" || r.Option.Platform != ""
	// One rank of a node speaks for those that were not told.
	if job == "" || !ok || r.Option.Force || !forced && !run.FirstOfNode(r.Host.Getenv) {
		return nil
	}
	s, err := r.Store()
	if err != nil {
		return nil //nolint:nilerr // without a cache there is nobody to ask
	}
	how := "chosen"
	if forced {
		how = "forced"
	}
	mine := strings.Join([]string{how, entry.Digest, platformOf(entry)}, " ")
	theirs, err := s.Agree("variant of "+job, mine)
	if err != nil {
		r.note("not comparing the variants of this MPI job's ranks: %v", err)
		return nil
	}
	theirHow, rest, _ := strings.Cut(theirs, " ")
	digest, variant, _ := strings.Cut(rest, " ")
	switch {
	case digest == entry.Digest:
		return nil
	case forced || theirHow == "forced":
		return fault.New(fault.Usage, "this rank would run the variant %s, and another rank of its MPI job runs %s", platformOf(entry), variant).
			Hint("name one variant for all ranks, or none; --force runs them all the same")
	}
	r.note("ranks of this MPI job run different variants: %s here, %s elsewhere; --nodes-file makes one choice for all", platformOf(entry), variant)
	return nil
}
