package launcher

import (
	"context"

	"github.com/hpc3-project/hpc3/launcher/doctor"
	"github.com/hpc3-project/hpc3/launcher/upkeep"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// Node returns the facts of the node that an image is chosen for.
func (r *Road) Node(ctx context.Context) (facts.Node, error) {
	r.tellFiles()
	return r.nodes().One(ctx)
}

// Stated returns the site's platform-features for that node, list by list.
func (r *Road) Stated() [][]string { return r.nodes().Stated() }

// Doctor looks at all that the road needs on this node.
func (r *Road) Doctor(ctx context.Context) doctor.Diagnosis {
	r.tellFiles()
	return doctor.Doctor{Finder: r.nodes(), Keeper: r.Upkeep()}.Examine(ctx)
}

// Upkeep looks after the caches.
func (r *Road) Upkeep() upkeep.Keeper {
	return upkeep.Keeper{Settings: r.Settings, Notes: r.Notes, Caches: r.caches()}
}

// First tells whether nobody has asked for these words before, among those who share the user's
// cache.
func (r *Road) First(words string) (bool, error) {
	s, err := r.caches().Own()
	if err != nil {
		return false, err
	}
	return s.First(words)
}
