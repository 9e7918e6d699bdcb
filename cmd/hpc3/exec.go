package main

import (
	"github.com/urfave/cli/v2"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/habit"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/run"
)

// exec becomes a command in a container that runs on this node. It returns only with an error.
func (t *tool) exec(c *cli.Context) error {
	if !c.Args().Present() {
		return fault.New(fault.Usage, "hpc3 exec needs a job, a step or a process").
			Hint("see %s --help", name)
	}
	first := c.Args().First()
	target, err := run.ParseTarget(first)
	if err != nil {
		if _, noImage := oci.ParseReference(first); noImage != nil {
			return err
		}
		line := habit.Line(append([]string{"hpc3-run"}, c.Args().Slice()...)...)
		return fault.New(fault.Usage, "%w", err).Hint("to run a command in an image: %s", line)
	}
	command := c.Args().Tail()
	if len(command) > 0 && command[0] == "--" {
		command = command[1:]
	}
	return run.Enter(target, command)
}
