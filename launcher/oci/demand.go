package oci

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Annotations that hpc3 writes on the entries of an index.
const (
	AnnotationFeatures = "org.supercontainers.hpc3.features" // comma list of tokens
	// whole number; among the fitting entries, a greater one is preferred
	AnnotationRank = "org.supercontainers.hpc3.rank"
)

// annotationAttestation marks an entry that holds build attestations instead of an image; its value
// names their kind.
const annotationAttestation = "vnd.docker.reference.type"

// Keys that state a demand in other vocabularies, the canonical key of each first.
//
//nolint:gochecknoglobals // constant lists
var (
	microarchKeys = []string{
		"org.supercontainers.hardware.cpu.target.microarch",
		"org.supercontainers.hardware.cpu.optimized.version",
		"io.archspec.cpu.target",
	}
	mpiKeys = []string{
		"org.supercontainers.mpi.implementation",
		"org.supercontainers.mpi.provider", "org.supercontainers.mpi", "library.mpi.variant",
	}
	mpiVersionKeys = []string{
		"org.supercontainers.mpi.version",
		"org.supercontainers.openmpi.version", "library.mpi.version",
	}
	mpiModeKeys = []string{"org.supercontainers.mpi.portability.mode", "mpi.portability.mode"}
)

const (
	optimizedMode = "org.supercontainers.hardware.cpu.optimized.mode"
	// a variable in a config, as MetaHub reads it
	microarchEnv = "ORG_SUPERCONTAINERS_HARDWARE_CPU_TARGET_MICROARCH"
)

// Limits of an entry's tokens: a token is a word of a vocabulary, not a text.
const (
	maxTokens = 256
	maxToken  = 128
)

// foldTokens returns the tokens in lower case, each once, in order. A plus joins words, as in a
// compiler's "armv8.2-a+sve". A malformed token is a fault.
func foldTokens(raw []string) (tokens, faults []string) {
	if len(raw) > maxTokens {
		return nil, []string{fmt.Sprintf("%d features, the limit is %d", len(raw), maxTokens)}
	}
	for _, r := range raw {
		words := strings.Split(foldToken(r), "+")
		if slices.ContainsFunc(words, func(w string) bool { return !validToken(w) }) {
			faults = append(faults, fmt.Sprintf("%.80q is no feature", r))
			continue
		}
		for _, token := range words {
			if !slices.Contains(tokens, token) {
				tokens = append(tokens, token)
			}
		}
	}
	return tokens, faults
}

// Token returns a word in the form that entries use, lower case, and whether it can be a token at
// all.
func Token(word string) (string, bool) {
	token := foldToken(word)
	return token, validToken(token)
}

// foldToken folds case and MetaHub's two spellings.
func foldToken(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	if cpu, ok := strings.CutPrefix(s, "cpu:"); ok {
		return cpu
	}
	if capability, ok := strings.CutPrefix(s, "nvcap:"); ok {
		if m := nvcapPattern().FindStringSubmatch(capability); m != nil {
			return "nv-compute-" + m[1] + "-" + m[2]
		}
	}
	return s
}

// validToken accepts words of the vocabulary's form. A colon inside separates a key and its value,
// as in "insttype:c5"; the two keys that are folded are not tokens themselves.
func validToken(s string) bool {
	if s == "cpu" || s == "nvcap" {
		return false
	}
	for word := range strings.SplitSeq(s, ":") {
		if !isWord(word) {
			return false
		}
	}
	return len(s) <= maxToken
}

// demands collects the tokens from every place in the entry that can state them, and its rank.
func (e *Entry) demands() {
	var raw []string
	if e.Platform != nil {
		raw = append(raw, e.Platform.Features...)
		// What an operating system must offer; containerd since 1.0.0-rc.4 writes finer demands
		// here.
		raw = append(raw, e.Platform.OSFeatures...)
	}
	for f := range strings.SplitSeq(e.Annotations[AnnotationFeatures], ",") {
		if f = strings.TrimSpace(f); f != "" {
			raw = append(raw, f)
		}
	}
	raw = append(raw, e.keyDemands()...)
	tokens, faults := foldTokens(raw)
	e.Tokens = tokens
	e.Faults = append(e.Faults, faults...)
	e.readRank()
}

func (e *Entry) readRank() {
	text, given := e.Annotations[AnnotationRank]
	if !given {
		return
	}
	rank, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
	if err != nil {
		e.Notes = append(e.Notes, fmt.Sprintf("rank %.40q is no whole number and counts as 0",
			text))
		return
	}
	e.Rank = int(rank)
}

// keyDemands returns the demands of the keys of other vocabularies.
func (e *Entry) keyDemands() []string {
	var tokens []string
	generic := strings.EqualFold(e.Annotations[optimizedMode], "generic")
	if target := e.key(microarchKeys); target != "" && !generic && !isArchitecture(target) {
		tokens = append(tokens, target)
	}
	// Only this mode replaces the image's MPI by the host's.
	if e.key(mpiModeKeys) == "mpi_replace" {
		if token := mpiToken(e.key(mpiKeys), e.key(mpiVersionKeys),
			e.Annotations["org.supercontainers.openmpi.version"] != ""); token != "" {
			tokens = append(tokens, token)
		}
	}
	return tokens
}

// key returns the value of the first of keys that states one, in lower case. Others that differ are
// noted.
func (e *Entry) key(keys []string) string {
	value, from := "", ""
	for _, k := range keys {
		v := strings.ToLower(strings.TrimSpace(e.Annotations[k]))
		if v == "" || v == "unknown" {
			continue
		}
		if value == "" {
			value, from = v, k
		} else if v != value {
			e.Notes = append(e.Notes, fmt.Sprintf("%s says %.80q and %s %.80q; the first counts",
				from, value, k, v))
		}
	}
	return value
}

// isArchitecture reports whether a target is just an architecture, which demands nothing more.
func isArchitecture(s string) bool {
	return slices.Contains([]string{
		"amd64", "arm64", "arm", "386", "ppc64le", "ppc64", "riscv64",
		"s390x", "generic",
	}, Architecture(s))
}

// mpiToken returns the token for an MPI implementation by its ABI: all implementations of the MPICH
// family share one.
func mpiToken(implementation, version string, openmpiVersion bool) string {
	if implementation == "" && openmpiVersion {
		implementation = "openmpi"
	}
	switch implementation {
	case "":
		return ""
	case "openmpi", "open-mpi":
		version = strings.ReplaceAll(version, ".", "-")
		if version == "" || strings.Trim(version, "0123456789-") != "" {
			return "mpi-openmpi"
		}
		return "mpi-openmpi-" + version
	case "mpich", "intel-mpi", "intelmpi", "impi", "cray-mpich", "mvapich", "mvapich2",
		"parastation", "parastationmpi":
		return "mpi-mpich"
	}
	return "mpi-" + implementation
}
