package fetch

import "slices"

// Anonymous tells whether all that came from a source so far came from a registry that took no credentials of the user's for it, hence may
// be read by anyone who can reach the registry. A token that everybody gets is none. What lies in the file system is its owner's. A
// later request may change the answer, though only to no.
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

// registries returns those that may have been asked.
func (p *places) registries() []*registry {
	var all []*registry
	if p.own != nil {
		all = append(all, p.own.registry)
	}
	for _, m := range p.mirrors {
		all = append(all, m.registry)
	}
	return all
}
