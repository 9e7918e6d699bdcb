package main

import (
	"strconv"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
)

// line is what the command line says.
type line struct {
	help, version bool
	given         map[string][]string // the values of each option by its name, in their order
	words         []string            // IMAGE and what follows it
}

// unknownError is an option that hpc3-run does not have.
type unknownError struct{ name string } // without its dashes

func (e unknownError) Error() string { return "no option is called " + dashed(e.name) }

// parse reads the words behind the program's name as Go's flag package does: options stand before
// the first other word, with one dash or two; a value stands behind an equals sign or is the next
// word.
func parse(words []string) (line, error) {
	l := line{given: map[string][]string{}}
	for len(words) > 0 && len(words[0]) > 1 && words[0][0] == '-' {
		word := words[0]
		words = words[1:]
		if word == "--" {
			break
		}
		name, value, joined := strings.Cut(strings.TrimPrefix(word[1:], "-"), "=")
		if name == "" || name[0] == '-' {
			return l, usageError("%q is no option", word)
		}
		o, known := find(name)
		switch {
		case !known:
			return l, unknownError{name}
		case !o.TakesValue():
			on, err := strconv.ParseBool(value)
			if joined && err != nil {
				return l, usageError("the option %s is given or not, or true or false, not %q",
					dashed(name), value)
			}
			value = strconv.FormatBool(on || !joined)
		case !joined && len(words) == 0:
			return l, usageError("the option %s needs a value", dashed(name))
		case !joined:
			value, words = words[0], words[1:]
		}
		l.given[o.Name] = append(l.given[o.Name], value)
	}
	l.words = words
	l.help, l.version = l.on("help"), l.on("version")
	return l, nil
}

// find returns an option of the table, or one of those that ask about the program itself.
func find(name string) (o option.Option, known bool) {
	switch name {
	case "help", "h":
		return option.Option{Name: "help", Short: "h"}, true
	case "version":
		return option.Option{Name: "version"}, true
	}
	return option.Find(name)
}

// on tells whether a switch is given. The last one counts.
func (l line) on(name string) bool {
	values := l.given[name]
	return len(values) > 0 && values[len(values)-1] == "true"
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

func usageError(format string, args ...any) *fault.Error {
	return fault.New(fault.Usage, format, args...).Hint("see %s --help", name)
}

// settings adds the options to those of a step. Of a switch or value that is given twice the last
// one counts; lists grow.
func (l line) settings(s option.Settings) (option.Settings, error) {
	for o := range option.All() {
		values := l.given[o.Name]
		if !o.TakesValue() {
			values = values[max(0, len(values)-1):]
		}
		for _, v := range values {
			if err := set(&s, o.Name, v); err != nil {
				return s, err
			}
		}
	}
	for o := range option.All() {
		if l.on(o.Name) && l.on(o.Against) {
			return s, fault.New(fault.Usage, "both --%s and --%s are given", o.Against, o.Name).
				Hint("leave one out")
		}
	}
	return s, nil
}

// set sets an option. Apptainer's -e takes no value: there the image follows it.
func set(s *option.Settings, n, value string) error {
	err := s.Set(n, value)
	if n == "container-env" && err == nil && isImage(value) {
		return fault.New(fault.Usage, "option --%s: %q is no name of a variable", n, value).
			Hint("-e NAME passes a variable; " +
				"Apptainer's -e, --cleanenv, is --container-clean-env here")
	}
	if err != nil {
		return usageError("option --%s: %w", n, err)
	}
	return nil
}

// isImage tells whether what stands behind -e is an image, and no variable.
func isImage(s string) bool {
	return !strings.Contains(s, "=") &&
		(strings.ContainsAny(s, "/:") || strings.HasSuffix(s, ".sif"))
}
