package match

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/oci"
)

// Contradictions compares what the index says of an entry with the labels of the image itself,
// which are the ground truth, and returns a sentence for each key that differs. A key that only one
// of them has is not a contradiction.
func Contradictions(e oci.Entry, cfg oci.Config) []string {
	var found []string
	labels := oci.Stated(cfg.Labels)
	for _, said := range oci.Stated(e.Annotations) {
		i := slices.IndexFunc(labels, func(s oci.Statement) bool { return s.Key == said.Key })
		if i >= 0 && !sameStatement(said, labels[i]) {
			found = append(found,
				fmt.Sprintf("the index says %s is %s, the image's own label says %s", said.Key,
					clip(said.Value), clip(labels[i].Value)))
		}
	}
	return found
}

// sameStatement compares two values of one key as that key means them.
func sameStatement(a, b oci.Statement) bool {
	if a.Value == b.Value {
		return true
	}
	switch {
	case a.Key == oci.AnnotationFeatures:
		return slices.Equal(normal(words(a.Value)), normal(words(b.Value)))
	case strings.HasSuffix(a.Key, ".microarch"):
		return slices.Equal(normal([]string{a.Value}), normal([]string{b.Value}))
	case strings.HasSuffix(a.Key, "gpu.available"):
		return hasGPU(a.Value) == hasGPU(b.Value) && (plainYes(a.Value) || plainYes(b.Value) ||
			!hasGPU(a.Value))
	case strings.HasSuffix(a.Key, ".version"):
		v, w := parseVersion(a.Value), parseVersion(b.Value)
		return len(v) > 0 && len(w) > 0 && v.compare(w) == 0
	}
	return false
}

// words returns the words of a comma list in order, each once.
func words(list string) []string {
	all := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
	slices.Sort(all)
	return slices.Compact(all)
}

// hasGPU reports whether a value of gpu.available means yes: the word itself, or the name of a
// stack.
func hasGPU(value string) bool {
	return !slices.Contains([]string{"no", "false", "0", "none"},
		value)
}

// plainYes reports whether a yes names no stack.
func plainYes(value string) bool { return slices.Contains([]string{"yes", "true", "1"}, value) }
