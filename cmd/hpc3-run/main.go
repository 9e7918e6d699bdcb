// Command hpc3-run runs a command in the image of an index that suits this node best.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hpc3-project/hpc3/cmd/interrupt"
	"github.com/hpc3-project/hpc3/cmd/progress"
	"github.com/hpc3-project/hpc3/launcher"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/notes"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/run"
	"github.com/hpc3-project/hpc3/launcher/settings"
	"github.com/hpc3-project/hpc3/launcher/task"
)

// version is set by the Makefile.
var version = "dev"

const name = "hpc3-run"

func main() {
	if status, handled := run.Reenter(os.Args); handled {
		os.Exit(status)
	}
	run.BeModest()
	start := time.Now()
	said := lastWord{stderr: os.Stderr}
	ctx, stop := interrupt.Context(said.say, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	status := walk(ctx, &said, start, os.Args, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// lastWord is what a walk that a signal ended says, once: at the end of the walk, or where that does not come.
type lastWord struct {
	once   sync.Once
	stderr io.Writer
}

// say returns the exit status.
func (l *lastWord) say(why interrupt.SignalError) int {
	l.once.Do(func() {
		fmt.Fprintf(l.stderr, "%s: error[%s]: %s before the command started\n", name, fault.Engine, why)
	})
	return 128 + int(why.Signal)
}

// walk does what the command line says, and returns the exit status. Where the command starts it does not return.
func walk(ctx context.Context, said *lastWord, start time.Time, args []string, stdout, stderr io.Writer) int {
	w := &walker{ctx: ctx, said: said, clock: notes.NewClock(start), args: args, stdout: stdout, stderr: stderr, version: given{isSwitch: true}}
	t, isTask, err := ociTask(args)
	if !isTask {
		t, isTask, err = task.Find(os.Getenv, args)
	}
	if isTask {
		if err == nil {
			err = w.startTask(t)
		}
	} else {
		err = w.app().RunContext(ctx, args)
	}
	var why interrupt.SignalError
	if errors.As(context.Cause(ctx), &why) {
		return said.say(why)
	}
	if err != nil {
		if isTask && w.toldByAnother(err) {
			stderr = io.Discard
		}
		if w.pin != "" {
			stderr = unpinned{stderr, w.pin}
		}
		return fault.Print(stderr, name, err, fault.Engine)
	}
	return 0
}

type walker struct {
	ctx            context.Context //nolint:containedctx // one walk, one context
	said           *lastWord
	clock          *notes.Clock
	teller         *progress.Teller
	args           []string // of the process
	stdout, stderr io.Writer
	plugin         bool           // this is a task of a step
	pin            string         // the digest that the plugin has added to its image, behind an @
	task           *launcher.Road // of that, once it is known
	version        given
	given          map[string]*given // the options, by name
}

func (w *walker) action(c *cli.Context) error {
	if w.version.on() {
		fmt.Fprintln(w.stdout, name, version)
		return nil
	}
	line, err := w.settings()
	if err != nil {
		return err
	}
	if c.NArg() == 0 || c.Args().First() == "" {
		return fault.New(fault.Usage, "no image given").Hint("see %s --help", name)
	}
	image, command := c.Args().First(), c.Args().Tail()
	if err := w.notAnImage(image, command); err != nil {
		return err
	}
	typed := command
	if len(command) > 0 && command[0] == "--" {
		command = command[1:]
	}
	road, err := w.road(line)
	if err != nil {
		return err
	}
	if err := lateOption(road.Option.Entrypoint, image, typed); err != nil {
		return err
	}
	if road.Option.Host {
		return onHost(command)
	}
	if err := road.ReadEnvFiles(w.ctx); err != nil {
		return err
	}
	if road.Option.DryRun {
		return w.dryRun(road, image, command)
	}
	if w.given["json"].on() {
		return fault.New(fault.Usage, "--json is for --dry-run").Hint("leave it out, or add --dry-run")
	}
	return w.start(road, image, command)
}

// road gathers the settings and the process as it is.
func (w *walker) road(line option.Settings) (*launcher.Road, error) {
	host := settings.ThisHost(os.Environ())
	host.Plugin = w.plugin
	set, err := settings.Load(host, line)
	if err != nil {
		return nil, err
	}
	opt := set.Option
	w.teller = progress.New(w.stderr, progress.Options{
		Program: name, Quiet: opt.Quiet, Verbose: opt.Verbose || opt.Debug, Width: progress.Width(w.stderr, host.Getenv),
	})
	tell := notes.Notes{Note: w.teller.Note, Say: w.teller.Say, Clock: w.clock, Progress: new(notes.Progress)}
	if opt.Debug {
		tell.Detail = w.teller.Note
	}
	return &launcher.Road{Settings: set, Notes: tell, Version: version}, nil
}

func (w *walker) start(road *launcher.Road, image string, command []string) error {
	w.teller.Watch(road.Progress)
	start, err := road.Ready(w.ctx, image, command)
	w.teller.Stop()
	if err != nil {
		return err
	}
	defer start.Close()
	if road.Option.Time {
		w.clock.Print(w.stderr, name, progress.Columns(w.stderr))
	}
	return start.Exec(w.ctx)
}

func (w *walker) dryRun(road *launcher.Road, image string, command []string) error {
	planned, err := road.Plan(w.ctx, image, command)
	if err != nil {
		return err
	}
	if !road.Option.JSON {
		fmt.Fprint(w.stdout, planned.Table(progress.Columns(w.stdout)))
	} else if raw, err := planned.JSON(); err != nil {
		return err
	} else {
		fmt.Fprintf(w.stdout, "%s\n", raw)
	}
	if road.Option.Time {
		w.clock.Print(w.stderr, name, progress.Columns(w.stderr))
	}
	return nil
}
