// Command hpc3 holds the tools around the road. They tell what a node is, which image it gets and
// why, and they prepare images and nodes.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/hpc3-project/hpc3/cmd/interrupt"
	"github.com/hpc3-project/hpc3/cmd/progress"
	"github.com/hpc3-project/hpc3/launcher"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/run"
	"github.com/hpc3-project/hpc3/launcher/settings"
)

// version is set by the Makefile.
var version = "dev"

const name = "hpc3"

// Exit statuses, which are interface.
const (
	statusNo      = 1 // does not fit, is not ready
	statusUsage   = 2
	statusUnknown = 3 // could not be found out
)

func main() {
	if status, handled := run.Reenter(os.Args); handled {
		os.Exit(status)
	}
	run.BeModest()
	last := func(interrupt.SignalError) int { return interrupted(os.Stderr) }
	ctx, stop := interrupt.Context(last, syscall.SIGINT, syscall.SIGTERM)
	status := answer(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// errNo is the answer "no", which stdout has explained.
var errNo = errors.New("no")

func answer(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	t := &tool{args: args, stdin: stdin, stdout: stdout, stderr: stderr}
	app := t.app()
	if text := helpAsked(app, args); text != "" {
		fmt.Fprint(stdout, text)
		return 0
	}
	err := app.RunContext(ctx, reorder(app, args))
	switch class, _, status := fault.Of(err, fault.Engine); {
	case err == nil:
		return 0
	case errors.Is(err, errNo):
		return statusNo
	case ctx.Err() != nil:
		return interrupted(stderr)
	case class == fault.Usage:
		fault.Print(stderr, name, err, fault.Usage)
		return statusUsage
	case status == statusNo:
		fault.Print(stderr, name, err, fault.Engine)
		return statusNo
	case class == fault.NoMatch:
		fault.Print(stderr, name, err, fault.NoMatch)
		return statusNo
	default:
		fault.Print(stderr, name, err, fault.Engine)
		return statusUnknown
	}
}

func interrupted(stderr io.Writer) int {
	fmt.Fprintf(stderr, "%s: error[%s]: interrupted\n", name, fault.Engine)
	return statusUnknown
}

// tool is one call of hpc3.
type tool struct {
	args           []string // of the process
	stdin          io.Reader
	stdout, stderr io.Writer
	commands       []*cli.Command
}

// road gathers the settings and the state of the process. It reads the options of hpc3-run.
func (t *tool) road(c *cli.Context) (*launcher.Road, error) {
	host := settings.ThisHost(os.Environ())
	host.NoStart = true
	var line option.Settings
	for _, n := range ofRun {
		if !c.IsSet(n) {
			continue
		}
		if err := line.Set(n, c.String(n)); err != nil {
			return nil, fault.New(fault.Usage, "option --%s: %w", n, err)
		}
	}
	set, err := settings.Load(host, line)
	if err != nil {
		return nil, err
	}
	opt := set.Option
	road := &launcher.Road{Settings: set, Version: version}
	teller := progress.New(t.stderr, progress.Options{
		Program: name, Verbose: opt.Verbose || opt.Debug || c.Bool("verbose") || c.Bool("debug"),
	})
	road.Note = teller.Note
	if opt.Debug || c.Bool("debug") {
		road.Detail = teller.Note
	}
	if file := c.String("node"); file != "" {
		if c.IsSet("nodes-file") || c.IsSet("platform") {
			return nil, fault.New(fault.Usage,
				"--node goes with neither --nodes-file nor --platform").
				Hint("leave one out")
		}
		node, err := t.node(c.Context, file)
		if err != nil {
			return nil, err
		}
		road.Given = &node
	}
	return road, nil
}

func (t *tool) json(v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.stdout, "%s\n", raw)
	return err
}
