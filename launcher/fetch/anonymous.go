package fetch

import "context"

// Anonymous tells whether all that came from a source came from a registry that asked for no credentials of the user's, hence may be
// read by anyone who can reach the registry. A token that everybody gets is none. What lies in the file system is its owner's. A source
// that was not asked for anything yet makes its first contact; a later request may still change the answer, though only to no.
func Anonymous(ctx context.Context, src Source) bool {
	var r *registry
	switch s := src.(type) {
	case *registry:
		r = s
	case tagged:
		r = s.registry
	default:
		return false
	}
	if _, err := r.connect(ctx); err != nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.secret
}
