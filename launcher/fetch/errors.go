package fetch

import "github.com/hpc3-project/hpc3/launcher/fault"

// What callers can tell apart by errors.Is, beside oci.ErrUnusable.
var (
	// ErrUnreachable says that the registry could not be reached.
	ErrUnreachable = fault.Sentinel(fault.Network, "the registry could not be reached")
	// ErrNotFound says that the reference names nothing that can be fetched.
	ErrNotFound = fault.Sentinel(fault.Reference, "the reference names no image")
)
