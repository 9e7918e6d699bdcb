package fetch

import "github.com/hpc3-project/hpc3/launcher/fault"

// What the caller of this package can tell by errors.Is, beside oci.ErrUnusable.
var (
	// ErrUnreachable: the registry could not be reached.
	ErrUnreachable = fault.Sentinel(fault.Network, "the registry could not be reached")
	// ErrNotFound: the reference names nothing that can be fetched.
	ErrNotFound = fault.Sentinel(fault.Reference, "the reference names no image")
)
