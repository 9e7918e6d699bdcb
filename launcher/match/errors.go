package match

import "github.com/hpc3-project/hpc3/launcher/fault"

// ErrNoMatch is in the chain of an error if no image fits the nodes: there is none, or none for them.
// Best returns it never: it says in its result why nothing fits.
var ErrNoMatch = fault.Sentinel(fault.NoMatch, "no image fits")
