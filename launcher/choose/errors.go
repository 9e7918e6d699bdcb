package choose

import (
	"errors"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/fetch"
)

// What the callers and the Source of this package tell by errors.Is, beside match.ErrNoMatch.
var (
	// ErrNotCached is for a Source that may not ask: no cache has what was wanted.
	ErrNotCached = fault.Sentinel(fault.Cache, "it is not in the cache, and nobody may be asked")
	// ErrNotImage is in the chain of an error if what a digest names is no image.
	ErrNotImage = fault.Sentinel(fault.Reference, "it is no image")
)

// notImageError is in the chain beside ErrNotImage, and says what it is instead.
type notImageError struct{ why string }

func (e notImageError) Error() string { return e.why }

// namesNone tells whether an error says that a reference names no image.
func namesNone(err error) bool {
	return errors.Is(err, fetch.ErrNotFound) || errors.Is(err, ErrNotImage)
}
