// Command planrun executes a plan for the tests of package run: planrun PLAN [COMMAND...]. It stands for hpc3-run.
package main

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"os"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/run"
)

func main() {
	if status, handled := run.Reenter(os.Args); handled {
		os.Exit(status)
	}
	f, err := os.Open(os.Args[1])
	if err != nil {
		panic(err)
	}
	var p run.Plan
	if err := errors.Join(gob.NewDecoder(f).Decode(&p), f.Close()); err != nil {
		panic(err)
	}
	p.Command, p.HostEnv, p.Home, p.ErrorPrefix = os.Args[2:], os.Environ(), os.Getenv("HOME"), "hpc3-run"
	if p.Cwd, err = os.Getwd(); err != nil {
		p.Cwd = ""
	}
	p.Note = func(text string) { fmt.Fprintln(os.Stderr, "note:", text) }
	p.Warn = func(text string) { fmt.Fprintln(os.Stderr, "warning:", text) }
	os.Exit(fault.Print(os.Stderr, "hpc3-run", run.Exec(context.Background(), p, nil), fault.Engine))
}
