package settings

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/habit"
	"github.com/hpc3-project/hpc3/launcher/option"
)

// variables are those that belong to no option, written as options are.
var variables = []string{ //nolint:gochecknoglobals // a constant list
	"apptainer-bind", "auth-file", "cachedir", "config", "image-digest", "image-ref",
	"index-digest", "labels", "shim", "shim-inside",
}

// Misspelt returns a warning for each HPC3_ variable that does nothing and is nearly one that does.
// Others may be a site's own.
func (h Host) Misspelt() (warnings []string) {
	known := slices.Concat(option.Names(), variables)
	for _, v := range h.Environ {
		name, _, _ := strings.Cut(v, "=")
		word, ours := strings.CutPrefix(name, "HPC3_")
		word = strings.ToLower(strings.ReplaceAll(word, "_", "-"))
		if !ours || slices.Contains(known, word) {
			continue
		}
		if near := habit.Misspelt(word, known); near != "" {
			warnings = append(warnings, fmt.Sprintf("warning: the variable %s does nothing; "+
				"the nearest is %s", name, option.Variable(near)))
		}
	}
	return warnings
}
