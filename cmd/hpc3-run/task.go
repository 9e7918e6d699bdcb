package main

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hpc3-project/hpc3/cmd/interrupt"
	"github.com/hpc3-project/hpc3/launcher"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/task"
)

// defaultPath is the PATH of a task that has none, and no HOME either: srun --export=NONE starts
// such tasks.
const defaultPath = "/usr/local/bin:/usr/bin:/bin"

// batchScript is the name of a job's script in slurmd's own directory, which has to be bound.
const batchScript = "slurm_script"

// startTask walks for a task of Slurm: the plugin has put this program before its command.
func (w *walker) startTask(ctx context.Context, t task.Task) error {
	tell := variantTeller(t.Variant)
	if err := completeEnvironment(ctx); err != nil {
		return err
	}
	if t.Image == task.NoImage {
		return onHost(t.Command)
	}
	if len(t.Command) > 0 && (t.Copied || filepath.Base(t.Command[0]) == batchScript) {
		bind := t.Command[0] + ":" + t.Command[0] + ":ro"
		t.Options = append(t.Options, task.Option{"container-mounts", bind})
	}
	line, err := task.Settings(t.Options)
	if err != nil {
		return fault.New(fault.Usage, "%w", err)
	}
	w.plugin = true
	road, err := w.road(line)
	if err != nil {
		return err
	}
	w.task = road
	if err := w.compareVersions(t); err != nil {
		return err
	}
	if err := road.ReadEnvFiles(ctx); err != nil {
		return err
	}
	road.TellVariant = tell
	road.Parent = os.Getppid() // slurmstepd
	if road.Parent == 1 {      // it has ended
		return interrupt.SignalError{Signal: syscall.SIGKILL}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go w.orphaned(road.Parent, cancel)
	image := t.Image
	if t.Digest != "" {
		image += "@" + t.Digest
		w.pin = image[len(t.Image):]
	}
	road.Say = w.onceInStep("", sayOfNode(w.teller.Say))
	if road.Option.Verbose || road.Option.Debug {
		road.Note = w.onceInStep(ofNode(), w.teller.Note)
	}
	if road.Detail != nil {
		road.Detail = w.onceInStep(ofNode(), w.teller.Note)
	}
	err = w.start(ctx, road, image, t.Command)
	if fault.ClassOf(err) == fault.Network {
		return fault.WithHint(err, `where nodes have no way to a registry, `+
			`pull_at = "submit" in hpc3.toml fetches images when jobs are submitted`)
	}
	return err
}

// completeEnvironment removes the variables that are for this program alone, and adds those that
// every command has.
func completeEnvironment(ctx context.Context) error {
	for _, name := range task.Own {
		if err := os.Unsetenv(name); err != nil {
			return err
		}
	}
	for name, value := range map[string]func() string{
		"PATH": func() string { return defaultPath },
		"HOME": func() string { return launcher.AccountHome(ctx) },
	} {
		if os.Getenv(name) == "" {
			if err := os.Setenv(name, value()); err != nil {
				return err
			}
		}
	}
	return nil
}

// compareVersions refuses a step of a plugin whose variables have another meaning, and warns once
// in a job of another version.
func (w *walker) compareVersions(t task.Task) error {
	if !t.Plugin {
		return nil
	}
	of, err := task.Submitter(os.Getenv)
	if err != nil {
		return protocolsDiffer(err)
	}
	if of != version {
		text := "warning: the plugin that submitted this is of " + cmp.Or(of, "another version") +
			", hpc3-run on this node of " + version + "; they agree, but install one version"
		if !w.saidByAnother(task.Job(os.Getenv), text) {
			w.teller.Say(text)
		}
	}
	return nil
}

// optionsOfStep returns the options that srun was given with the command of a module. That has an
// image of its own, so the plugin puts nothing before it.
func optionsOfStep() (option.Settings, error) {
	if os.Getenv(option.Shim) == "" {
		return option.Settings{}, nil
	}
	if _, err := task.Submitter(os.Getenv); err != nil {
		return option.Settings{}, protocolsDiffer(err)
	}
	list, err := task.Options(os.Getenv)
	if err != nil {
		return option.Settings{}, fault.New(fault.Usage, "%w", err)
	}
	said, err := task.Settings(list)
	if err != nil {
		return said, fault.New(fault.Usage, "%w", err)
	}
	return said, nil
}

// protocolsDiffer says that the plugin which submitted this is too old or too new.
func protocolsDiffer(err error) error {
	return fault.New(fault.Config, "starting a task with hpc3 %s: %w", version, err).
		Hint("install one version of hpc3 where jobs are submitted and on their nodes; " +
			"submit jobs anew that an update has overtaken")
}

// orphaned ends the walk when slurmstepd is killed: nothing else does.
func (w *walker) orphaned(parent int, cancel context.CancelCauseFunc) {
	for os.Getppid() == parent {
		time.Sleep(time.Second)
	}
	interrupt.End(cancel, interrupt.SignalError{Signal: syscall.SIGKILL}, nil, w.interruption.say)
}

// stepwide are the classes of faults that every task of a step has. One task prints them: the first
// that leaves a note in the cache, or without a cache the first one of each node.
var stepwide = []fault.Class{ //nolint:gochecknoglobals // a constant list
	fault.Usage, fault.Config, fault.Reference, fault.Auth, fault.Network, fault.Registry,
	fault.NoMatch, fault.Policy, fault.Cache, fault.Convert,
}

// toldByAnother tells whether another task of the step prints the same error.
func (w *walker) toldByAnother(err error) bool {
	if !slices.Contains(stepwide, fault.ClassOf(err)) {
		return false
	}
	return w.saidByAnother(task.Step(os.Getenv), err.Error())
}

// unpinned writes messages without the digest that the plugin has added to the image.
type unpinned struct {
	out io.Writer
	pin string
}

func (u unpinned) Write(p []byte) (int, error) {
	if _, err := u.out.Write(bytes.ReplaceAll(p, []byte(u.pin), nil)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// onceInStep lets one task of a step say what each of them would say, with a word in front.
func (w *walker) onceInStep(front string, say func(text string)) func(text string) {
	return func(text string) {
		if !w.saidByAnother(task.Step(os.Getenv), text) {
			say(front + text)
		}
	}
}

// sayOfNode begins a warning with the node: it may be true of this one only.
func sayOfNode(say func(text string)) func(text string) {
	return func(text string) {
		if strings.HasPrefix(text, "warning: ") {
			text = ofNode() + text
		}
		say(text)
	}
}

// ofNode returns the name of this node in front of a message, if the step has several nodes.
func ofNode() string {
	node := os.Getenv("SLURMD_NODENAME")
	if n := os.Getenv("SLURM_STEP_NUM_NODES"); n == "" || n == "1" || node == "" {
		return ""
	}
	return node + ": "
}

// saidByAnother tells whether another task of the step or job prints the same words.
func (w *walker) saidByAnother(of, text string) bool {
	if of != "" && w.task != nil {
		if first, noCache := w.task.First(of + "\n" + text); noCache == nil {
			return !first
		}
	}
	local := os.Getenv("SLURM_LOCALID")
	return local != "" && local != "0"
}
