package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
)

// short holds the one-letter names.
var short = map[string]string{ //nolint:gochecknoglobals // a constant table
	"container-mounts": "B", "container-workdir": "w", "container-env": "e", "quiet": "q", "verbose": "v", "debug": "d",
}

// switches are the options without a value.
var switches = []string{ //nolint:gochecknoglobals // a constant list
	"no-container", "container-clean-env", "no-container-clean-env", "container-writable", "container-readonly", "container-mount-home", "no-container-mount-home",
	"container-dotfiles", "no-container-dotfiles",
	"keep-privs", "container-share", "no-container-share", "force", "dry-run", "json", "time",
	"quiet", "verbose", "debug",
}

// given is what the command line says of an option. cli's own kinds split a flag's names by a regular expression at each question
// about any of them, which took an eighth of hpc3-run's whole time.
type given struct {
	isSwitch bool
	values   []string
}

func (g *given) String() string { return strings.Join(g.values, " ") }

// IsBoolFlag tells Go's flag package that the option stands alone.
func (g *given) IsBoolFlag() bool { return g.isSwitch }

func (g *given) Set(value string) error {
	if g.isSwitch {
		yes, err := strconv.ParseBool(value)
		if err != nil {
			return errNoSwitch
		}
		value = strconv.FormatBool(yes)
	}
	g.values = append(g.values, value)
	return nil
}

var errNoSwitch = errors.New("neither true nor false")

// on tells whether a switch is given; the last one counts.
func (g *given) on() bool { return len(g.values) > 0 && g.values[len(g.values)-1] == "true" }

// flagName is one name of an option, for cli.
type flagName struct {
	*given
	name string
}

func (f flagName) Names() []string { return []string{f.name} }
func (f flagName) IsSet() bool     { return len(f.values) > 0 }

func (f flagName) Apply(set *flag.FlagSet) error {
	set.Var(f.given, f.name, "")
	return nil
}

func (w *walker) app() *cli.App {
	cli.HelpPrinter = func(out io.Writer, _ string, _ any) { fmt.Fprint(out, usage) }
	w.given = make(map[string]*given, len(option.Names))
	flags := []cli.Flag{flagName{&w.version, "version"}}
	for _, n := range option.Names {
		g := &given{isSwitch: slices.Contains(switches, n)}
		w.given[n] = g
		flags = append(flags, flagName{g, n})
		if s := short[n]; s != "" {
			flags = append(flags, flagName{g, s})
		}
	}
	return &cli.App{
		Name: name, HideHelpCommand: true, HideVersion: true,
		Writer: w.stdout, ErrWriter: w.stderr, Action: w.action, Flags: flags,
		ExitErrHandler: func(*cli.Context, error) {}, // the default exits inside Run
		OnUsageError: func(_ *cli.Context, err error, _ bool) error {
			return w.wrongOption(err)
		},
	}
}

// notDefined is how Go's flag package begins, before the name.
const notDefined = "flag provided but not defined: -"

// usageText turns the words of Go's flag package into ours: it names options with a single dash.
func usageText(err error) string {
	text := err.Error()
	if n, ok := strings.CutPrefix(text, "flag needs an argument: -"); ok {
		return "the option " + dashed(n) + " needs a value"
	}
	if rest, ok := strings.CutPrefix(text, "invalid boolean value "); ok {
		if value, n, ok := strings.Cut(strings.TrimSuffix(rest, ": "+errNoSwitch.Error()), " for -"); ok {
			return "the option " + dashed(n) + " is given or not, or true or false, not " + value
		}
	}
	return text
}

func dashed(n string) string {
	n = strings.TrimPrefix(n, "-")
	if len(n) == 1 {
		return "-" + n
	}
	return "--" + n
}

// set sets an option. Apptainer's -e takes no value: what follows it there is the image.
func set(s *option.Settings, n, value string) error {
	err := s.Set(n, value)
	if n == "container-env" && err == nil && !strings.Contains(value, "=") && (strings.ContainsAny(value, "/:") || strings.HasSuffix(value, ".sif")) {
		err = fmt.Errorf("%q is no name of a variable", value)
		return fault.New(fault.Usage, "option --%s: %w", n, err).Hint("-e NAME passes a variable; Apptainer's -e, --cleanenv, is --container-clean-env here")
	}
	if err != nil {
		return fault.New(fault.Usage, "option --%s: %w", n, err).Hint("see %s --help", name)
	}
	return nil
}

// settings reads the flags once. Of an option given twice the last counts, but for the lists.
func (w *walker) settings() (option.Settings, error) {
	var s option.Settings
	for _, n := range option.Names {
		values := w.given[n].values
		if w.given[n].isSwitch {
			values = values[max(0, len(values)-1):]
		}
		for _, v := range values {
			if err := set(&s, n, v); err != nil {
				return s, err
			}
		}
	}
	for _, pair := range [][2]string{
		{"container-clean-env", "no-container-clean-env"},
		{"container-writable", "container-readonly"},
		{"container-mount-home", "no-container-mount-home"},
		{"container-dotfiles", "no-container-dotfiles"},
		{"container-share", "no-container-share"},
		{"quiet", "verbose"},
	} {
		if w.given[pair[0]].on() && w.given[pair[1]].on() {
			return s, fault.New(fault.Usage, "both --%s and --%s are given", pair[0], pair[1]).Hint("leave one out")
		}
	}
	return s, nil
}
