package oci

import "github.com/hpc3-project/hpc3/launcher/fault"

// ErrUnusable is in the chain of an error if a registry, an archive or an image holds or answers
// something that cannot be used.
var ErrUnusable = fault.Sentinel(fault.Registry, "what the registry or archive gave cannot be used")
