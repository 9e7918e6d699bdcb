package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// Each command has its help, which names each of its options.
func TestHelpNamesEveryOption(t *testing.T) {
	seen := 0
	var look func(words []string, commands []*cli.Command)
	look = func(words []string, commands []*cli.Command) {
		for _, c := range commands {
			words := append(slices.Clone(words), c.Name)
			text := topic(words)
			if text == overview && c.Name != "help" || c.Subcommands == nil && !strings.Contains(overview, "\n  "+strings.Join(words, " ")) {
				t.Errorf("hpc3 help %v: the command is not there", words)
			}
			for _, f := range c.Flags {
				for _, n := range f.Names() {
					dashed := "-" + n
					if len(n) > 1 {
						dashed = " --" + n + " "
					}
					if !strings.Contains(strings.ReplaceAll(text, "\n", " "), dashed) {
						t.Errorf("hpc3 help %v lacks %s", words, dashed)
					}
					seen++
				}
			}
			look(words, c.Subcommands)
		}
	}
	look(nil, (&tool{}).app().Commands)
	if seen < 30 {
		t.Errorf("only %d names of options were looked at", seen)
	}
}
