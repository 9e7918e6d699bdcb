package main

import (
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/habit"
	"github.com/hpc3-project/hpc3/launcher/option"
)

// wrongOption says what is wrong with an option, and which one is meant.
func (w *walker) wrongOption(err error) error {
	n, unknown := strings.CutPrefix(err.Error(), notDefined)
	if !unknown {
		return fault.New(fault.Usage, "%s", usageText(err)).Hint("see %s --help", name)
	}
	words := w.args[min(1, len(w.args)):]
	typed := habit.FindTyped(words, n)
	failed := fault.New(fault.Usage, "no option is called %s", typed.Name)
	if typed.Hint() != "" {
		return translated(failed, words)
	}
	if near := habit.Nearest(strings.TrimLeft(n, "-"), append([]string{"help", "version"}, option.Names...)); near != "" {
		failed = failed.Hint("the nearest is --%s", near)
	}
	return failed.Hint("see %s --help", name)
}

// translated adds what the options of other programs are here, all at once.
func translated(err *fault.Error, words []string) error {
	t := habit.Translate(words, ours)
	for _, hint := range t.Hints {
		if len(t.Hints) == 1 {
			_, hint, _ = strings.Cut(hint, ": ")
		}
		err = err.Hint("%s", hint)
	}
	if t.Line != "" {
		err = err.Hint("so: %s", t.Line)
	}
	return err
}

// ours tells of a name without dashes whether an option has it, and whether that takes a value.
func ours(n string) (known, valued bool) {
	for long, letter := range short {
		if n == letter {
			n = long
		}
	}
	return slices.Contains(option.Names, n), !slices.Contains(switches, n)
}

// notAnImage tells by its words alone that the first one behind the options is none: a command of another program, or the value of an option that
// has none here.
func (w *walker) notAnImage(image string, rest []string) error {
	before := len(w.args) - len(rest) - 2 // the word before the image
	if before > 0 && w.args[before] == "-v" && habit.LooksLikeBind(image) {
		return translated(fault.New(fault.Usage, "-v is --verbose, and %q is no image", image), w.args[1:])
	}
	command := habit.FirstWord(image)
	if command == nil {
		return nil
	}
	hint := command.Hint(image, rest)
	if t := habit.Translate(rest, ours); command.Starts() && t.Line != "" {
		hint = "here it is " + t.Line
	}
	return fault.New(fault.Usage, "%s has no command %q: its first word is the image", name, image).Hint("%s", hint).
		Hint("an image of this name is docker://%s, or %s:latest", image, image)
}

// lateOption refuses a command that looks like an option: it would be looked for in the image. Behind -- it is a command, and the image's own
// ENTRYPOINT may take it.
func lateOption(entrypoint option.Entrypoint, image string, rest []string) error {
	if len(rest) == 0 || len(rest[0]) < 2 || rest[0][0] != '-' || rest[0] == "--" || entrypoint == option.Image {
		return nil
	}
	hint := "options of " + name + " stand before the image"
	options := rest[:len(rest)-len(habit.Translate(rest, ours).Rest)]
	if t := habit.Translate(slices.Concat(options, []string{image}, rest[len(options):]), ours); t.Line != "" {
		hint += ": " + t.Line
	}
	return fault.New(fault.Usage, "%q stands behind the image, where the command is expected", rest[0]).
		Hint("%s", hint).Hint("options for the image's own ENTRYPOINT: --container-entrypoint image")
}
