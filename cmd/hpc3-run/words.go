package main

import (
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/habit"
	"github.com/hpc3-project/hpc3/launcher/option"
)

// wrongOption says that an option is unknown, and which one is meant.
func (w *walker) wrongOption(n string) error {
	words := w.args[min(1, len(w.args)):]
	typed := habit.FindTyped(words, n)
	failed := fault.New(fault.Usage, "no option is called %s", typed.Name)
	if typed.Hint() != "" {
		return translated(failed, words)
	}
	known := append([]string{"help", "version"}, option.Names()...)
	if near := habit.Nearest(n, known); near != "" {
		failed = failed.Hint("the nearest is --%s", near)
	}
	return failed.Hint("see %s --help", name)
}

// translated adds what the options of other programs are here, for all of them at once.
func translated(err *fault.Error, words []string) error {
	t := habit.Translate(words)
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

// notAnImage refuses a first word behind the options that cannot be an image: a command of another
// program, or the value of an option that takes none here.
func (w *walker) notAnImage(image string, rest []string) error {
	before := len(w.args) - len(rest) - 2 // the word before the image
	if before > 0 && w.args[before] == "-v" && habit.LooksLikeBind(image) {
		err := fault.New(fault.Usage, "-v is --verbose, and %q is no image", image)
		return translated(err, w.args[1:])
	}
	command := habit.FirstWord(image)
	if command == nil {
		return nil
	}
	hint := command.Hint(image, rest)
	if t := habit.Translate(rest); command.Starts() && t.Line != "" {
		hint = "here it is " + t.Line
	}
	return fault.New(fault.Usage, "%s has no command %q: its first word is the image", name, image).
		Hint("%s", hint).
		Hint("an image of this name is docker://%s, or %s:latest", image, image)
}

// lateOption refuses a command that looks like an option. Behind -- it is a command, and the
// image's own ENTRYPOINT may take it.
func lateOption(entrypoint option.Entrypoint, image string, rest []string) error {
	isOption := len(rest) > 0 && len(rest[0]) > 1 && rest[0][0] == '-' && rest[0] != "--"
	if !isOption || entrypoint == option.Image {
		return nil
	}
	hint := "options of " + name + " stand before the image"
	options := rest[:len(rest)-len(habit.Translate(rest).Rest)]
	inOrder := slices.Concat(options, []string{image}, rest[len(options):])
	if t := habit.Translate(inOrder); t.Line != "" {
		hint += ": " + t.Line
	}
	return fault.New(fault.Usage,
		"%q stands behind the image, where the command is expected", rest[0]).
		Hint("%s", hint).
		Hint("options for the image's own ENTRYPOINT: --container-entrypoint image")
}
