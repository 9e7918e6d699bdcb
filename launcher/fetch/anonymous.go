package fetch

// Anonymous tells whether all that came from a source so far came from a registry that took no credentials of the user's for it, hence may
// be read by anyone who can reach the registry. A token that everybody gets is none. What lies in the file system is its owner's. A
// later request may change the answer, though only to no.
func Anonymous(src Source) bool {
	var r *registry
	switch s := src.(type) {
	case *registry:
		r = s
	case tagged:
		r = s.registry
	default:
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.secret
}
