package match

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hpc3-project/hpc3/probe/facts"
)

// The variables by which an image requires something of NVIDIA's driver, with the syntax of the
// NVIDIA Container Toolkit (internal/requirements, internal/config/image/cuda_image.go): each
// variable must hold; in its value, blanks separate alternatives and commas the conditions of an
// alternative.
const (
	requirePrefix = "NVIDIA_REQUIRE_"
	// of systems on a chip; the toolkit ignores it too
	requireJetpack = "NVIDIA_REQUIRE_JETPACK"
	requireOff     = "NVIDIA_DISABLE_REQUIRE"
)

// condition is "cuda>=12.4".
type condition struct{ property, operator, value string }

//nolint:gochecknoglobals // constant once compiled; few images need it
var conditionPattern = sync.OnceValue(
	func() *regexp.Regexp { return regexp.MustCompile(`^([a-z]+)(!=|<=|>=|=|<|>)([^=<>!]+)$`) })

// require checks the requirements of the image's environment against a node. The refusal has no
// reason if they are met. Without NVIDIA's driver nothing of NVIDIA is used, so nothing can be
// required: that is a note.
func require(
	n *facts.Node, required []requirement, brings func(cuda version, relied bool) bool,
) (unmet refusal, note string) {
	if len(required) == 0 {
		return refusal{}, ""
	}
	host := requireHost{n, brings}
	if n.NVIDIA == nil && !host.unknown() {
		return refusal{}, "the image requires something of NVIDIA's driver (" + required[0].name +
			"), and this node has none"
	}
	for _, r := range required {
		if unmet := host.check(r); unmet.reason != "" {
			return unmet, ""
		}
	}
	return refusal{}, ""
}

// requirement is one variable.
type requirement struct{ name, value string }

// requirements returns the variables in the order of their names, or for an old image what
// CUDA_VERSION implies.
func requirements(env []string) []requirement {
	var found []requirement
	cuda := ""
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		switch {
		case name == requireOff:
			if off, err := strconv.ParseBool(value); err == nil && off {
				return nil
			}
		case name == "CUDA_VERSION":
			cuda = value
		case strings.HasPrefix(name, requirePrefix) && !strings.HasPrefix(name, requireJetpack) &&
			strings.TrimSpace(value) != "":
			found = append(found, requirement{name, value})
		}
	}
	hasCUDA := slices.ContainsFunc(found,
		func(r requirement) bool { return r.name == requirePrefix+"CUDA" })
	if v := parseVersion(cuda); !hasCUDA && len(v) >= 2 {
		found = append(found,
			requirement{requirePrefix + "CUDA", fmt.Sprintf("cuda>=%d.%d", v[0], v[1])})
	}
	slices.SortFunc(found, func(a, b requirement) int { return strings.Compare(a.name, b.name) })
	return found
}

// requireHost answers requirements for a node.
type requireHost struct {
	node *facts.Node
	// Tells whether the image's cuda-compat brings a CUDA release; relied: the choice relies on
	// that. NVIDIA's tools ask the driver alone.
	brings func(cuda version, relied bool) bool
}

func (h requireHost) unknown() bool {
	return slices.ContainsFunc(h.node.Unknown, func(u facts.Unknown) bool {
		first, _, _ := strings.Cut(u.What, ".")
		return first == "nvidia" || first == "gpus"
	})
}

// check says why no alternative of a requirement holds; without a reason if one does, or if there
// is none.
func (h requireHost) check(r requirement) refusal {
	var failed []string
	about := kindEntry
	for _, alternative := range strings.Fields(r.value) {
		conditions, err := readConditions(alternative)
		if err != nil {
			return refusal{
				kind:   kindEntry,
				reason: fmt.Sprintf("%s of the image cannot be read: %v", r.name, err),
			}
		}
		if len(conditions) == 0 {
			continue
		}
		at := slices.IndexFunc(conditions,
			func(c condition) bool { holds, _ := h.holds(c); return !holds })
		if at < 0 {
			h.rely(conditions)
			return refusal{}
		}
		c := conditions[at]
		_, has := h.holds(c)
		if len(failed) == 0 {
			about = c.about(has)
		}
		failed = append(failed, fmt.Sprintf("%s%s%s (%s=%s)", c.property, c.operator, c.value,
			c.property, has))
	}
	if len(failed) == 0 {
		return refusal{}
	}
	return refusal{kind: about, reason: fmt.Sprintf("requires of NVIDIA's driver, by %s: %s",
		r.name, firstFew(failed))}
}

// rely notes which of the conditions hold by the image's cuda-compat alone.
func (h requireHost) rely(conditions []condition) {
	has := parseVersion(h.version("cuda"))
	for _, c := range conditions {
		wanted := parseVersion(c.value)
		if c.property == "cuda" && c.operator == ">=" && has.compare(wanted) < 0 {
			h.brings(wanted, true)
		}
	}
}

// about is the subject of a condition that does not hold; has is the node's value.
func (c condition) about(has string) kind {
	switch {
	case has == "unknown":
		return kindUnknown
	case c.property == "cuda":
		return kindCUDA
	case c.property == "driver":
		return kindDriver
	}
	return kindNVIDIA
}

// readConditions parses "brand=tesla,driver>=470". Conditions on unknown properties are ignored.
func readConditions(alternative string) ([]condition, error) {
	var conditions []condition
	for word := range strings.SplitSeq(alternative, ",") {
		m := conditionPattern().FindStringSubmatch(word)
		if m == nil {
			return nil, fmt.Errorf("%s is no condition", clip(word))
		}
		c := condition{m[1], m[2], m[3]}
		switch c.property {
		case "brand":
		case "cuda", "driver", "arch":
			if parseVersion(c.value) == nil {
				return nil, fmt.Errorf("%s is no version", clip(c.value))
			}
		default:
			continue
		}
		conditions = append(conditions, c)
	}
	return conditions, nil
}

// holds reports whether a condition holds, and the node's value. An unknown value does not hold.
func (h requireHost) holds(c condition) (holds bool, has string) {
	if c.property == "brand" {
		brands := h.brands()
		if len(brands) == 0 {
			return false, "unknown"
		}
		is := slices.Contains(brands, strings.ToLower(c.value))
		return is == (c.operator == "=") && (c.operator == "=" || c.operator == "!="), brands[0]
	}
	has = h.version(c.property)
	v := parseVersion(has)
	if v == nil {
		return false, "unknown"
	}
	order := v.compare(parseVersion(c.value))
	switch c.operator {
	case "=":
		return order == 0, has
	case "!=":
		return order != 0, has
	case "<":
		return order < 0, has
	case "<=":
		return order <= 0, has
	case ">":
		return order > 0, has
	}
	return order >= 0 || c.property == "cuda" && h.brings(parseVersion(c.value), false), has
}

// version returns a property of the node; for the compute capability, the lowest of its GPUs.
func (h requireHost) version(property string) string {
	nvidia := h.node.NVIDIA
	switch {
	case property == "arch":
		return h.lowestArch()
	case nvidia == nil:
		return ""
	case property == "driver":
		return nvidia.Driver
	case nvidia.CUDA != "":
		return nvidia.CUDA
	}
	return cudaOfDriver(parseVersion(nvidia.Driver)).String()
}

func (h requireHost) lowestArch() string {
	lowest := ""
	for _, g := range h.node.GPUs {
		if g.Vendor == "nvidia" && (lowest == "" ||
			parseVersion(g.Arch).compare(parseVersion(lowest)) < 0) {
			lowest = g.Arch
		}
	}
	return lowest
}

// brands returns the possible brands of the GPUs in the driver's terms, by their names. Newer
// drivers say "nvidia" where older ones said "tesla", so a data center GPU is both.
func (h requireHost) brands() []string {
	for _, g := range h.node.GPUs {
		if g.Vendor != "nvidia" || g.Name == "" {
			continue
		}
		name := strings.ToLower(g.Name)
		for _, brand := range []string{"geforce", "titan", "quadro rtx", "quadro", "rtx", "tesla"} {
			if !strings.Contains(name, brand) {
				continue
			}
			switch brand {
			case "tesla":
				return []string{"tesla", "nvidia"}
			case "rtx":
				return []string{"nvidiartx"}
			}
			return []string{strings.ReplaceAll(brand, " ", "")}
		}
		return []string{"tesla", "nvidia"}
	}
	return nil
}
