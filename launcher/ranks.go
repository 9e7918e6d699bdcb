package launcher

import (
	"strings"

	"github.com/hpc3-project/hpc3/launcher/choose"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/run/inside"
)

// compareRanks refuses a variant that was asked for by name if another rank of the MPI job runs
// another: such builds rarely work together. What the nodes choose for themselves may differ; it is
// noted. The ranks leave notes for one another in the user's cache: all of them if their nodes
// share it, else those of a node.
func (r *Road) compareRanks(chosen choose.Chosen) error {
	job := inside.MPIJob(r.Host.Getenv)
	forced := r.Option.Variant != "" || r.Option.Platform != ""
	// One rank of a node speaks for those that were not told.
	speaks := forced || inside.FirstOfNode(r.Host.Getenv)
	if job == "" || !chosen.Found() || r.Option.Force || !speaks {
		return nil
	}
	s, err := r.caches().Own()
	if err != nil {
		return nil //nolint:nilerr // without a cache there is nobody to ask
	}
	how := "chosen"
	if forced {
		how = "forced"
	}
	mine := strings.Join([]string{how, chosen.Entry.Digest, chosen.Platform()}, " ")
	theirs, err := s.Agree("variant of "+job, mine)
	if err != nil {
		r.Notef("not comparing the variants of this MPI job's ranks: %v", err)
		return nil
	}
	theirHow, rest, _ := strings.Cut(theirs, " ")
	digest, variant, _ := strings.Cut(rest, " ")
	switch {
	case digest == chosen.Entry.Digest:
		return nil
	case forced || theirHow == "forced":
		return fault.New(fault.Usage,
			"this rank would run the variant %s, and another rank of its MPI job runs %s",
			chosen.Platform(), variant).
			Hint("name one variant for all ranks, or none; --force runs them all the same")
	}
	r.Notef("ranks of this MPI job run different variants: %s here, %s elsewhere; "+
		"--nodes-file makes one choice for all",
		chosen.Platform(), variant)
	return nil
}
