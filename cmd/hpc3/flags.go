package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/habit"
)

// ofRun are the options that commands which choose an image share with hpc3-run.
//
//nolint:gochecknoglobals // a constant list
var ofRun = []string{"platform", "nodes-file", "authfile", "pull", "variants"}

// toggle is an option without a value.
func toggle(name string, aliases ...string) cli.Flag {
	return &cli.BoolFlag{Name: name, Aliases: aliases}
}

// value is an option with a value.
func value(name string, aliases ...string) cli.Flag {
	return &cli.StringFlag{Name: name, Aliases: aliases}
}

func (t *tool) app() *cli.App {
	onUsage := func(c *cli.Context, err error, _ bool) error {
		return t.wrongOption(c.Command, err)
	}
	say := []cli.Flag{toggle("verbose", "v"), toggle("debug", "d")}
	image := []cli.Flag{toggle("json"), value("node")}
	for _, n := range ofRun {
		image = append(image, value(n))
	}
	image = append(image, say...)
	app := &cli.App{
		Name: name, HideHelp: true, HideVersion: true, DisableSliceFlagSeparator: true,
		Writer: t.stdout, ErrWriter: t.stderr, Flags: []cli.Flag{toggle("version")},
		ExitErrHandler: func(*cli.Context, error) {}, OnUsageError: onUsage, Action: t.bare,
		Commands: []*cli.Command{
			{Name: "probe", Action: t.probe, Flags: append([]cli.Flag{
				toggle("json"), value("root"), toggle("features"), toggle("nfd"),
			}, say...)},
			{Name: "explain", Action: t.explain, Flags: append([]cli.Flag{
				value("index"),
			}, image...)},
			{Name: "pull", Action: t.pull, Flags: append([]cli.Flag{
				value("o", "output"), toggle("all-variants"), toggle("deep"),
				toggle("quiet", "q"),
			}, image...)},
			t.moduleCommand(image),
			t.cacheCommand(say),
			{Name: "doctor", Action: t.doctor, Flags: append([]cli.Flag{toggle("json")}, say...)},
			{Name: "exec", Action: t.exec},
			{Name: "help", Action: t.help},
		},
	}
	t.commands = app.Commands
	for _, c := range app.Commands {
		for _, c := range append(slices.Clone(c.Subcommands), c) {
			c.OnUsageError, c.HideHelp = onUsage, true
		}
	}
	return app
}

func (t *tool) bare(c *cli.Context) error {
	if c.Bool("version") {
		fmt.Fprintln(t.stdout, name, version)
		return nil
	}
	if c.NArg() > 0 {
		return t.noCommand(nil, c.Args().First(), c.Args().Tail())
	}
	return fault.New(fault.Usage, "no command given").Hint("see %s --help", name)
}

// wrongOption turns the words of Go's flag package into ours: it writes options with a single dash.
func (t *tool) wrongOption(command *cli.Command, err error) error {
	see := strings.Join(append([]string{name}, t.named()...), " ")
	text := err.Error()
	if n, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		typed := habit.FindTyped(t.args[min(1, len(t.args)):], n)
		failed := fault.New(fault.Usage, "no option is called %s", typed.Name)
		if near := habit.Nearest(strings.TrimPrefix(n, "-"), optionsOf(command)); near != "" {
			failed = failed.Hint("the nearest is --%s", near)
		} else if hint := typed.Hint(); hint != "" && !strings.HasPrefix(see, name+" cache") {
			failed = failed.Hint("%s", hint)
		}
		return failed.Hint("see %s --help", see)
	}
	if n, ok := strings.CutPrefix(text, "flag needs an argument: -"); ok {
		n = strings.TrimPrefix(n, "-")
		text = "the option " + "--"[:min(len(n), 2)] + n + " needs a value"
	}
	return fault.New(fault.Usage, "%s", text).Hint("see %s --help", see)
}

// named are the words of the command line that name a command.
func (t *tool) named() (words []string) {
	commands := t.commands
	for _, arg := range t.args[min(1, len(t.args)):] {
		c := commandIn(commands, arg)
		if c == nil {
			break
		}
		words, commands = append(words, arg), c.Subcommands
	}
	return words
}

// optionsOf are the long names of a command's options.
func optionsOf(command *cli.Command) (names []string) {
	for _, f := range command.Flags {
		for _, n := range f.Names() {
			if len(n) > 1 {
				names = append(names, n)
			}
		}
	}
	return append(names, "help")
}

// reorder moves the options of a command before its arguments, where the flag package expects them:
// people write "hpc3 pull IMAGE -o FILE". What follows "--" stays.
func reorder(app *cli.App, args []string) []string {
	if len(args) < 3 {
		return args
	}
	command := app.Command(args[1])
	if command == nil || command.Name == "exec" { // behind exec they are another command's
		return args
	}
	words := slices.Clone(args[:2])
	var options, rest []string
	for i := 2; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			rest = append(rest, args[i+1:]...)
			break
		}
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			sub := commandIn(command.Subcommands, arg)
			if sub != nil && len(rest) == 0 {
				command, words = sub, append(words, arg)
			} else {
				rest = append(rest, arg)
			}
			continue
		}
		options = append(options, arg)
		if !takesValue(command, arg) {
			continue
		}
		if i++; i == len(args) { // "--" would become its value
			return slices.Concat(words, options)
		}
		options = append(options, args[i])
	}
	return slices.Concat(words, options, []string{"--"}, rest)
}

// takesValue tells whether the word after an option is its value.
func takesValue(command *cli.Command, arg string) bool {
	n := strings.TrimLeft(arg, "-")
	for _, f := range command.Flags {
		if _, isSwitch := f.(*cli.BoolFlag); !isSwitch && slices.Contains(f.Names(), n) {
			return true
		}
	}
	return false
}
