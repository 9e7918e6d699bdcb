package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/run/process"
)

// noImage are the classes of faults because of which a module's image cannot be had.
var noImage = []fault.Class{ //nolint:gochecknoglobals // a constant list
	fault.Registry, fault.Network, fault.Auth, fault.Reference, fault.NoMatch,
}

// ofModule adds to an error what its user typed: the command of a module, behind which they see
// neither hpc3-run nor an image.
func (w *walker) ofModule(err error) error {
	full := os.Getenv(option.Shim)
	if full == "" || len(w.args) < 3 {
		return err
	}
	loaded := os.Getenv("LOADEDMODULES")
	err = fault.WithHint(err, "%s", option.OfModule(w.args[2], full, loaded))
	if !slices.Contains(noImage, fault.ClassOf(err)) {
		return err
	}
	name := full[:max(0, strings.LastIndexByte(full, '/'))]
	if option.IsLoaded(full, loaded) {
		return fault.WithHint(err, "if its image is gone for good: module unload %s, "+
			"or load another version, which module avail %s lists", full, name)
	}
	return fault.WithHint(err, "if its image is gone for good, load another version of the module, "+
		"which module avail %s lists", name)
}

// onHostPath finds a command of the node. Under --no-container the shim of a module has called
// hpc3-run for a command that is not to be the image's, and so not the shim again.
func onHostPath(command string) (string, error) {
	if os.Getenv(option.Shim) == "" || strings.Contains(command, "/") {
		return exec.LookPath(command)
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		dir = filepath.Clean(dir)
		if process.HasShims(dir) {
			continue
		}
		path, err := exec.LookPath(dir + "/" + command)
		if err == nil || errors.Is(err, exec.ErrDot) {
			return path, err
		}
	}
	return "", exec.ErrNotFound
}
