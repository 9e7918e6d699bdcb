package launcher

import (
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/habit"
	"github.com/hpc3-project/hpc3/launcher/option"
)

// variables are those that belong to no option, written as options are.
var variables = []string{ //nolint:gochecknoglobals // a constant list
	"apptainer-bind", "auth-file", "cachedir", "config", "image-digest", "image-ref", "index-digest", "labels",
}

// tellMisspelt names the HPC3_ variables that do nothing, and are nearly one that does. Others may be a site's own.
func (r *Road) tellMisspelt() {
	known := slices.Concat(option.Names, variables)
	for _, v := range r.Host.Environ {
		name, _, _ := strings.Cut(v, "=")
		word, ours := strings.CutPrefix(name, "HPC3_")
		word = strings.ToLower(strings.ReplaceAll(word, "_", "-"))
		if !ours || slices.Contains(known, word) {
			continue
		}
		if near := habit.Misspelt(word, known); near != "" {
			r.waiting("warning: the variable " + name + " does nothing; the nearest is " + option.Variable(near))
		}
	}
}
