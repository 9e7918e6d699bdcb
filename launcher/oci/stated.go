package oci

import "strings"

// statements are the keys by which images describe themselves, the canonical key of each group
// first. Sources: the annotations of container-in-hpc/container-hpc-conformance, the label set of
// CANOPIE 2019, the OCI compatibility working group, compspec.
var statements = [][]string{ //nolint:gochecknoglobals // a constant table
	microarchKeys,
	{
		"org.supercontainers.hardware.gpu.available", "org.supercontainers.gpu",
		"hardware.gpu.enabled",
	},
	mpiKeys,
	mpiVersionKeys,
	mpiModeKeys,
	{"org.supercontainers.mpi.portability.optimized", "mpi.portability.optimization"},
	{"org.supercontainers.libfabric.abi.version", "org.supercontainers.libfabric.abi"},
	{"org.supercontainers.libc.provider"},
	{"org.supercontainers.glibc.version", "org.supercontainers.glibc"},
	{"org.supercontainers.pmi.version"},
	{AnnotationFeatures},
}

// Statement is what annotations or labels say under one key.
type Statement struct {
	Key   string // the canonical key
	Value string // lower case, without blanks around it
}

// Stated returns what annotations or labels say of an image, by the canonical keys and in their
// order. An empty value and "unknown" say nothing, nor does a mere architecture in place of a
// microarchitecture. Of two aliases, the first of its group counts.
func Stated(pairs map[string]string) []Statement {
	var stated []Statement
	for _, group := range statements {
		for _, key := range group {
			value := strings.ToLower(strings.TrimSpace(pairs[key]))
			if value == "" || value == "unknown" || group[0] == microarchKeys[0] &&
				isArchitecture(value) {
				continue
			}
			stated = append(stated, Statement{group[0], value})
			break
		}
	}
	return stated
}
