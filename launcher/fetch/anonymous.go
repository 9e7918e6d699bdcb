package fetch

import "slices"

// Anonymous reports whether everything that came from a source so far came from a registry without
// credentials of the user's: then anyone who can reach the registry may read it. A token that
// everybody gets is not a credential. Local files are never anonymous. A later request may change
// the answer to no, never to yes.
func Anonymous(src Source) bool {
	var asked []*registry
	switch s := src.(type) {
	case *registry:
		asked = []*registry{s}
	case tagged:
		asked = []*registry{s.registry}
	case *mirrored:
		asked = s.registries()
	case taggedMirrored:
		asked = s.registries()
	default:
		return false
	}
	return !slices.ContainsFunc(asked, func(r *registry) bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.secret
	})
}

// registries returns the registries that may have been asked.
func (p *places) registries() []*registry {
	var all []*registry
	if p.origin != nil {
		all = append(all, p.origin.registry)
	}
	for _, m := range p.mirrors {
		all = append(all, m.registry)
	}
	return all
}
