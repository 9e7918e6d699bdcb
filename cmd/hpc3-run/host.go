package main

import (
	"errors"
	"os"
	"os/exec"
	"syscall"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

// onHost executes the command on this node, without a container; by default the shell of the caller.
// It returns only with an error.
func onHost(command []string) error {
	if len(command) == 0 {
		shell := os.Getenv("SHELL")
		if shell == "" {
			shell = "/bin/sh"
		}
		command = []string{shell}
	}
	path, err := exec.LookPath(command[0])
	if errors.Is(err, exec.ErrDot) {
		err = nil
	}
	if err == nil {
		err = syscall.Exec(path, command, os.Environ())
	}
	failed := fault.New(fault.Exec, "running %q on the host: %w", command[0], err)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
		return failed.Exit(fault.StatusNotFound)
	}
	return failed.Exit(fault.StatusNotExecutable)
}
