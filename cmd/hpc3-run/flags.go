package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
)

const usage = `Usage: hpc3-run [OPTION...] IMAGE [--] [COMMAND [ARG...]]

Runs COMMAND in the image of an index that suits this node best; without COMMAND, an interactive login shell.

IMAGE is a name in a registry (qnib/gromacs:2021.5, host:port/name:tag@sha256:...), docker://..., oci:DIR[:TAG],
oci-archive:FILE, docker-archive:FILE, or a SIF (sif:FILE, or a path that ends in .sif).

Container:
  -B, --container-mounts SRC[:DST[:OPTS]]   bind a file or directory; OPTS are joined by +: ro rw nosuid nodev noexec
  -w, --container-workdir DIR               working directory (default: the current one, else the image's)
  -e, --container-env NAME[=VALUE]          set a variable, or pass the caller's
      --container-entrypoint login|image|none
                                            login (default): a login shell runs COMMAND with exact arguments;
                                            image: the image's ENTRYPOINT and CMD; none: COMMAND as it is
      --container-writable, --container-readonly
                                            a throw-away writable layer, or none (default)
      --container-mount-home, --no-container-mount-home
                                            bind the home directory (default), or not
      --container-share, --no-container-share
                                            one container for the tasks of a step on a node (default), or one for each
      --keep-privs                          root keeps capabilities in the container
Choice:
      --platform P                          match against P, e.g. linux/amd64:zen3:nv-compute-8-0, not this node
      --nodes-file FILE                     one choice for all nodes of a job: what hpc3 probe --json says of each
      --variant POSITION|DIGEST             take this entry of the index; see hpc3 explain IMAGE
      --variants auto|index|tags            where variants are looked for: in the index; where there is none among tags,
                                            2021.5_zen3 beside 2021.5 (default: auto)
      --force                               run an entry even if it is not for this node
      --pull missing|always|never           when the registry is asked (default: for what the cache lacks)
      --authfile FILE                       registry credentials, as docker and podman keep them
Run:
      --engine auto|apptainer|native        what runs the image (default: Apptainer where it works, else native)
      --squashfs auto|builtin|squashfuse|kernel
                                            what reads the image for the native engine (default: auto, see the manual)
      --dry-run                             print what would run and why, and stop before fetching
      --time                                print what each step cost
  -q, --quiet    -v, --verbose    -d, --debug
      --version      --help

Every option is also a variable, HPC3_CONTAINER_MOUNTS and so on, and a key of hpc3.toml.
Exit status: the command's own; 125 hpc3-run failed, 126 not executable, 127 not found, 128+N signal.
`

// short holds the one-letter names.
var short = map[string]string{ //nolint:gochecknoglobals // a constant table
	"container-mounts": "B", "container-workdir": "w", "container-env": "e", "quiet": "q", "verbose": "v", "debug": "d",
}

// switches are the options without a value.
var switches = []string{ //nolint:gochecknoglobals // a constant list
	"container-writable", "container-readonly", "container-mount-home", "no-container-mount-home",
	"keep-privs", "container-share", "no-container-share", "force", "dry-run", "time",
	"quiet", "verbose", "debug",
}

func (w *walker) app() *cli.App {
	cli.HelpPrinter = func(out io.Writer, _ string, _ any) { fmt.Fprint(out, usage) }
	app := &cli.App{
		Name: name, HideHelpCommand: true, HideVersion: true, DisableSliceFlagSeparator: true,
		Writer: w.stdout, ErrWriter: w.stderr, Action: w.action,
		Flags:          []cli.Flag{&cli.BoolFlag{Name: "version"}},
		ExitErrHandler: func(*cli.Context, error) {}, // the default exits inside Run
		OnUsageError: func(_ *cli.Context, err error, _ bool) error {
			return fault.New(fault.Usage, "%s", usageText(err)).Hint("see %s --help", name)
		},
	}
	for _, n := range option.Names {
		var aliases []string
		if s := short[n]; s != "" {
			aliases = []string{s}
		}
		if slices.Contains(switches, n) {
			app.Flags = append(app.Flags, &cli.BoolFlag{Name: n, Aliases: aliases})
			continue
		}
		app.Flags = append(app.Flags, &cli.StringSliceFlag{Name: n, Aliases: aliases, KeepSpace: true})
	}
	return app
}

// usageText turns the words of Go's flag package into ours: it names options with a single dash.
func usageText(err error) string {
	text := err.Error()
	if n, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		return "no option is called " + dashed(n)
	}
	if n, ok := strings.CutPrefix(text, "flag needs an argument: -"); ok {
		return "the option " + dashed(n) + " needs a value"
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

// settings reads the flags once. Of an option given twice the last counts, but for the lists.
func settings(c *cli.Context) (option.Settings, error) {
	var s option.Settings
	for _, n := range option.Names {
		if !c.IsSet(n) {
			continue
		}
		values := c.StringSlice(n)
		if slices.Contains(switches, n) {
			values = []string{fmt.Sprint(c.Bool(n))}
		}
		for _, v := range values {
			if err := s.Set(n, v); err != nil {
				return s, fault.New(fault.Usage, "option --%s: %w", n, err).Hint("see %s --help", name)
			}
		}
	}
	for _, pair := range [][2]string{
		{"container-writable", "container-readonly"},
		{"container-mount-home", "no-container-mount-home"},
		{"container-share", "no-container-share"},
		{"quiet", "verbose"},
	} {
		if c.Bool(pair[0]) && c.Bool(pair[1]) {
			return s, fault.New(fault.Usage, "both --%s and --%s are given", pair[0], pair[1]).Hint("leave one out")
		}
	}
	return s, nil
}
