package main

import (
	"errors"
	"os"
	"os/exec"
	"syscall"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
)

// onHost executes the command, by default the caller's shell, on this node without a container. It
// returns only with an error.
func onHost(command []string) error {
	if len(command) == 0 {
		shell := os.Getenv("SHELL")
		if shell == "" {
			shell = "/bin/sh"
		}
		command = []string{shell}
	}
	path, err := onHostPath(command[0])
	if errors.Is(err, exec.ErrDot) {
		err = nil
	}
	if err == nil {
		err = os.Unsetenv(option.Shim) // the command may use modules
	}
	if err == nil {
		err = syscall.Exec(path, command, os.Environ())
	}
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
		return fault.New(fault.Exec,
			"running %q on the host: there is no such command", command[0]).
			Hint("--no-container runs it without the image; leave that out if the image has it").
			Exit(fault.StatusNotFound)
	}
	return fault.New(fault.Exec, "running %q on the host: %w", command[0], fault.Reason(err)).
		Hint("look at its mode, its first line and its architecture").
		Exit(fault.StatusNotExecutable)
}
