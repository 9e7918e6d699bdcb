package module

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/option"
)

// checkOptions tells what of a module's options is wrong. The error has no class.
func checkOptions(options map[string][]string) error {
	for _, key := range slices.Sorted(maps.Keys(options)) {
		o, known := optionOf(key)
		if !known {
			return fmt.Errorf("a module has no option %q", key)
		}
		var s option.Settings
		for _, value := range options[key] {
			if strings.ContainsAny(value, "\x00\n") { // lines separate the values of some variables
				return fmt.Errorf("the option %s of a module holds a line break or a NUL byte", key)
			}
			if err := s.Set(o.Name, value); err != nil {
				return fmt.Errorf("the option %s of a module: %w", key, err)
			}
		}
		if len(options[key]) != 1 && o.Kind != option.List {
			return fmt.Errorf("the option %s of a module takes one value, and has %d", key,
				len(options[key]))
		}
	}
	return nil
}

// optionOf returns the option of a key of hpc3.toml. A module whose commands do not run is none.
func optionOf(key string) (option.Option, bool) {
	o, known := option.Find(strings.ReplaceAll(key, "_", "-"))
	known = known && option.KeyOf(o.Name) == key && o.Kind != option.Opposite
	return o, known && key != "dry_run" && key != "json"
}
