package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

const usage = `Usage: hpc3 COMMAND [OPTION...] [ARGUMENT...]

  probe [--root DIR] [--features|--nfd] [--json]
                                                what this node is
  explain IMAGE [--node FILE|-] [--nodes-file FILE] [--platform P] [--json]
  explain --index FILE [...]                    which entry of an index this node gets, and why not each other one
  pull IMAGE [-o FILE.sif] [--node FILE] [--nodes-file FILE] [--all-variants]
                                                fetch and convert, into the cache or a file
  exec JOB[.STEP]|PID [COMMAND [ARG...]]        into the container of a running step or process of yours on this node
  doctor [--json]                               what is missing on this node, and how to mend it
  cache list [--json]                           what the caches hold, of the site and of the user
  cache verify [IMAGE|DIGEST...] [--repair] [--dir DIR] [--json]
                                                whether files of the cache are what they should be
  cache gc [--max-size SIZE] [--max-age DAYS] [--dry-run] [--dir DIR] [--json]
                                                remove what is not needed and what exceeds limits; never what runs
  --version   --help

explain and pull take --variants auto|index|tags, --pull and --authfile as hpc3-run does.
IMAGE is what hpc3-run takes. A node file is what hpc3 probe --json prints; a nodes file holds
several of them, one after another, or is a directory of node files: one choice is made that runs on all.
Exit status: 0 yes or done, 1 no, 2 usage, 3 could not be found out.
`

func (t *tool) app() *cli.App {
	cli.HelpPrinter = func(out io.Writer, _ string, _ any) { fmt.Fprint(out, usage) }
	onUsage := func(_ *cli.Context, err error, _ bool) error {
		return fault.New(fault.Usage, "%s", usageText(err)).Hint("see %s --help", name)
	}
	image := []cli.Flag{
		&cli.StringFlag{Name: "node"}, &cli.StringFlag{Name: "nodes-file"}, &cli.StringFlag{Name: "platform"}, &cli.StringFlag{Name: "pull"}, &cli.StringFlag{Name: "variants"},
		&cli.StringFlag{Name: "authfile"}, &cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}},
	}
	asJSON := &cli.BoolFlag{Name: "json"}
	app := &cli.App{
		Name: name, HideHelpCommand: true, HideVersion: true, DisableSliceFlagSeparator: true,
		Writer: t.stdout, ErrWriter: t.stderr, Flags: []cli.Flag{&cli.BoolFlag{Name: "version"}},
		ExitErrHandler: func(*cli.Context, error) {}, OnUsageError: onUsage, Action: t.bare,
		Commands: []*cli.Command{
			{Name: "probe", Action: t.probe, Flags: []cli.Flag{asJSON, &cli.StringFlag{Name: "root"}, &cli.BoolFlag{Name: "features"}, &cli.BoolFlag{Name: "nfd"}}},
			{Name: "explain", Action: t.explain, Flags: append([]cli.Flag{asJSON, &cli.StringFlag{Name: "index"}}, image...)},
			{Name: "pull", Action: t.pull, Flags: append([]cli.Flag{
				asJSON, &cli.StringFlag{Name: "o", Aliases: []string{"output"}}, &cli.BoolFlag{Name: "all-variants"}, &cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}},
			}, image...)},
			t.cacheCommand(),
			{Name: "doctor", Action: t.doctor, Flags: []cli.Flag{asJSON}},
			{Name: "exec", Action: t.exec},
		},
	}
	for _, c := range app.Commands {
		for _, c := range append(slices.Clone(c.Subcommands), c) {
			c.OnUsageError, c.HideHelpCommand = onUsage, true
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
		return fault.New(fault.Usage, "no command is called %q", c.Args().First()).Hint("see %s --help", name)
	}
	return fault.New(fault.Usage, "no command given").Hint("see %s --help", name)
}

// usageText turns the words of Go's flag package into ours: it names options with a single dash.
func usageText(err error) string {
	text := err.Error()
	if n, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		return "no option is called --" + strings.TrimPrefix(n, "-")
	}
	if n, ok := strings.CutPrefix(text, "flag needs an argument: -"); ok {
		return "the option --" + strings.TrimPrefix(n, "-") + " needs a value"
	}
	return text
}

// reorder moves the options of a command in front of its arguments, where the flag package looks for them: people write
// "hpc3 pull IMAGE -o FILE". What follows "--" stays.
func reorder(app *cli.App, args []string) []string {
	if len(args) < 3 {
		return args
	}
	command := app.Command(args[1])
	if command == nil || command.Name == "exec" { // whose options would be those of another command
		return args
	}
	words := 2
	for _, sub := range command.Subcommands {
		if sub.Name == args[2] {
			command, words = sub, 3
		}
	}
	var options, rest []string
	for i := words; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			rest = append(rest, args[i+1:]...)
			break
		}
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			rest = append(rest, arg)
			continue
		}
		options = append(options, arg)
		if takesValue(command, arg) && i+1 < len(args) {
			i++
			options = append(options, args[i])
		}
	}
	return slices.Concat(args[:words], options, []string{"--"}, rest)
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
