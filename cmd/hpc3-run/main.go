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
	w := &walker{
		interruption: &interruption{stderr: os.Stderr}, clock: notes.NewClock(start),
		args: os.Args, stdout: os.Stdout, stderr: os.Stderr,
	}
	ctx, stop := interrupt.Context(w.interruption.say,
		syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	status := w.walk(ctx)
	stop()
	os.Exit(status)
}

// interruption says once that a signal has ended the walk: at the end of the walk, or earlier if
// the walk does not come to its end.
type interruption struct {
	once   sync.Once
	stderr io.Writer
}

// say returns the exit status.
func (i *interruption) say(why interrupt.SignalError) int {
	i.once.Do(func() {
		fmt.Fprintf(i.stderr, "%s: error[%s]: %s before the command started\n",
			name, fault.Engine, why)
	})
	return 128 + int(why.Signal)
}

// walk does what the command line says, and returns the exit status. It does not return if the
// command starts.
func (w *walker) walk(ctx context.Context) int {
	t, isTask, err := ociTask(w.args)
	if !isTask {
		t, isTask, err = task.Find(os.Getenv, w.args)
	}
	switch {
	case !isTask:
		err = w.startLine(ctx)
	case err == nil:
		err = w.startTask(ctx, t)
	}
	var why interrupt.SignalError
	if errors.As(context.Cause(ctx), &why) {
		return w.interruption.say(why)
	}
	if err != nil {
		stderr := w.stderr
		if isTask && w.toldByAnother(err) {
			stderr = io.Discard
		}
		if w.pin != "" {
			stderr = unpinned{stderr, w.pin}
		}
		return fault.Print(stderr, name, w.ofModule(err), fault.Engine)
	}
	return 0
}

// walker is one call of hpc3-run.
type walker struct {
	interruption   *interruption
	clock          *notes.Clock
	teller         *progress.Teller
	args           []string // of the process
	stdout, stderr io.Writer
	plugin         bool           // this is a task of a step
	pin            string         // what the plugin has added to its image: @ and a digest
	task           *launcher.Road // of that task, once it is known
}

// startLine does what the command line says.
func (w *walker) startLine(ctx context.Context) error {
	l, err := parse(w.args[min(1, len(w.args)):])
	if unknown := new(unknownError); errors.As(err, unknown) {
		return w.wrongOption(unknown.name)
	}
	switch {
	case err != nil:
		return err
	case l.help:
		fmt.Fprint(w.stdout, usage())
		return nil
	case l.version:
		fmt.Fprintln(w.stdout, name, version)
		return nil
	}
	said, err := optionsOfStep()
	if err != nil {
		return err
	}
	if said, err = l.settings(said); err != nil {
		return err
	}
	if len(l.words) == 0 || l.words[0] == "" {
		return usageError("no image given")
	}
	image, command := l.words[0], l.words[1:]
	if err := w.notAnImage(image, command); err != nil {
		return err
	}
	typed := command
	if len(command) > 0 && command[0] == "--" {
		command = command[1:]
	}
	road, err := w.road(said)
	if err != nil {
		return err
	}
	if err := lateOption(road.Option.Entrypoint, image, typed); err != nil {
		return err
	}
	if road.Option.Host {
		return onHost(command)
	}
	if err := road.ReadEnvFiles(ctx); err != nil {
		return err
	}
	if road.Option.DryRun {
		return w.dryRun(ctx, road, image, command)
	}
	if l.on("json") {
		return fault.New(fault.Usage, "--json is for --dry-run").
			Hint("leave it out, or add --dry-run")
	}
	return w.start(ctx, road, image, command)
}

// road gathers the settings and the state of the process.
func (w *walker) road(said option.Settings) (*launcher.Road, error) {
	host := settings.ThisHost(os.Environ())
	host.Plugin = w.plugin
	set, err := settings.Load(host, said)
	if err != nil {
		return nil, err
	}
	opt := set.Option
	w.teller = progress.New(w.stderr, progress.Options{
		Program: name, Quiet: opt.Quiet, Verbose: opt.Verbose || opt.Debug,
		Width: progress.Width(w.stderr, host.Getenv),
	})
	tell := notes.Notes{
		Note: w.teller.Note, Say: w.teller.Say, Clock: w.clock, Progress: new(notes.Progress),
	}
	if opt.Debug {
		tell.Detail = w.teller.Note
	}
	return &launcher.Road{Settings: set, Notes: tell, Version: version}, nil
}

func (w *walker) start(
	ctx context.Context, road *launcher.Road, image string, command []string,
) error {
	w.teller.Watch(road.Progress)
	start, err := road.Ready(ctx, image, command)
	w.teller.Stop()
	if err != nil {
		return err
	}
	defer start.Close()
	if road.Option.Time {
		w.clock.Print(w.stderr, name, progress.Columns(w.stderr))
	}
	return start.Exec(ctx)
}

func (w *walker) dryRun(
	ctx context.Context, road *launcher.Road, image string, command []string,
) error {
	planned, err := road.Plan(ctx, image, command)
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
