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

// The variables by which an image requires something of NVIDIA's driver, and their syntax, are those of the NVIDIA Container Toolkit
// (internal/requirements, internal/config/image/cuda_image.go): each variable must hold; in its value a blank parts alternatives and a
// comma conditions of one alternative.
const (
	requirePrefix  = "NVIDIA_REQUIRE_"
	requireJetpack = "NVIDIA_REQUIRE_JETPACK" // of systems on a chip; the toolkit leaves them out as well
	requireOff     = "NVIDIA_DISABLE_REQUIRE"
)

// condition is "cuda>=12.4".
type condition struct{ property, operator, value string }

//nolint:gochecknoglobals // constant once compiled; few images need it
var conditionPattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([a-z]+)(!=|<=|>=|=|<|>)([^=<>!]+)$`) })

// require holds the requirements of an image's environment against a node. The refusal has no reason where they are met. On a node
// without NVIDIA's driver nothing of NVIDIA is used, so nothing can be required: that is a note.
func require(n *facts.Node, required []requirement) (unmet refusal, note string) {
	if len(required) == 0 {
		return refusal{}, ""
	}
	host := requireHost{node: n}
	if n.NVIDIA == nil && !host.unknown() {
		return refusal{}, "the image requires something of NVIDIA's driver (" + required[0].name + "), and this node has none"
	}
	for _, r := range required {
		if unmet := host.hold(r); unmet.reason != "" {
			return unmet, ""
		}
	}
	return refusal{}, ""
}

// requirement is one variable.
type requirement struct{ name, value string }

// requirements returns the variables in the order of their names, or for an old image what CUDA_VERSION implies.
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
		case strings.HasPrefix(name, requirePrefix) && !strings.HasPrefix(name, requireJetpack) && strings.TrimSpace(value) != "":
			found = append(found, requirement{name, value})
		}
	}
	hasCUDA := slices.ContainsFunc(found, func(r requirement) bool { return r.name == requirePrefix+"CUDA" })
	if v := parseVersion(cuda); !hasCUDA && len(v) >= 2 {
		found = append(found, requirement{requirePrefix + "CUDA", fmt.Sprintf("cuda>=%d.%d", v[0], v[1])})
	}
	slices.SortFunc(found, func(a, b requirement) int { return strings.Compare(a.name, b.name) })
	return found
}

// requireHost is what a node says to requirements.
type requireHost struct{ node *facts.Node }

func (h requireHost) unknown() bool {
	return slices.ContainsFunc(h.node.Unknown, func(u facts.Unknown) bool {
		first, _, _ := strings.Cut(u.What, ".")
		return first == "nvidia" || first == "gpus"
	})
}

// hold says why none of the alternatives of a requirement holds; without a reason where one does, or where there is none.
func (h requireHost) hold(r requirement) refusal {
	var failed []string
	about := kindEntry
	for _, alternative := range strings.Fields(r.value) {
		conditions, err := readConditions(alternative)
		if err != nil {
			return refusal{kind: kindEntry, reason: fmt.Sprintf("%s of the image cannot be read: %v", r.name, err)}
		}
		if len(conditions) == 0 {
			continue
		}
		at := slices.IndexFunc(conditions, func(c condition) bool { holds, _ := h.holds(c); return !holds })
		if at < 0 {
			return refusal{}
		}
		c := conditions[at]
		_, has := h.holds(c)
		if len(failed) == 0 {
			about = c.about(has)
		}
		failed = append(failed, fmt.Sprintf("%s%s%s (%s=%s)", c.property, c.operator, c.value, c.property, has))
	}
	if len(failed) == 0 {
		return refusal{}
	}
	return refusal{kind: about, reason: fmt.Sprintf("requires of NVIDIA's driver, by %s: %s", r.name, some(failed))}
}

// about is what a condition is about that does not hold, as the node has it.
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

// readConditions reads "brand=tesla,driver>=470". Conditions on properties that nobody knows are left out.
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

// holds tells whether a condition holds, and what the node has. What is not known does not hold.
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
	return order >= 0, has
}

// version returns a property of the node; of the compute capabilities of several GPUs the lowest.
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
		if g.Vendor == "nvidia" && (lowest == "" || parseVersion(g.Arch).compare(parseVersion(lowest)) < 0) {
			lowest = g.Arch
		}
	}
	return lowest
}

// brands returns what the driver may call the brand of the GPUs, by their names. Newer drivers say "nvidia" of what older ones called
// "tesla", so a GPU for data centres is both.
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
