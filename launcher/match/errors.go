package match

import "github.com/hpc3-project/hpc3/launcher/fault"

// ErrNoMatch is in the chain if no image fits the nodes. Best does not return it: its Result says
// why nothing fits. The callers that turn that into an error do.
var ErrNoMatch = fault.Sentinel(fault.NoMatch, "no image fits")
