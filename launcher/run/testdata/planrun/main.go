// Command planrun executes a plan for the tests of package run: planrun PLAN [COMMAND...]. It
// stands for hpc3-run.
package main

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"os"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/run"
	"github.com/hpc3-project/hpc3/launcher/run/apptainer"
	"github.com/hpc3-project/hpc3/launcher/run/inside"
)

func main() {
	if status, handled := run.Reenter(os.Args); handled {
		os.Exit(status)
	}
	f, err := os.Open(os.Args[1])
	if err != nil {
		panic(err)
	}
	var read struct {
		Image     inside.Image
		Command   inside.Command
		Place     inside.Place
		Engine    option.Engine
		SquashFS  option.SquashFS
		Apptainer apptainer.Program
	}
	if err := errors.Join(gob.NewDecoder(f).Decode(&read), f.Close()); err != nil {
		panic(err)
	}
	p := run.Plan{
		Image: read.Image, Command: read.Command, Place: read.Place,
		Engine: read.Engine, SquashFS: read.SquashFS, Apptainer: read.Apptainer,
	}
	p.Command.Args, p.Command.ErrorPrefix = os.Args[2:], "hpc3-run"
	p.Place.HostEnv, p.Place.Home = os.Environ(), os.Getenv("HOME")
	if p.Place.Cwd, err = os.Getwd(); err != nil {
		p.Place.Cwd = ""
	}
	p.To.Note = func(text string) { fmt.Fprintln(os.Stderr, "note:", text) }
	p.To.Warn = func(text string) { fmt.Fprintln(os.Stderr, "warning:", text) }
	os.Exit(fault.Print(os.Stderr, "hpc3-run", run.Exec(context.Background(), p, nil),
		fault.Engine))
}
