// Package run starts a command in the image that a SIF holds: the mounts, the environment, the
// login convention, exec.
//
// There are two engines. Apptainer is executed with flags that express the plan. The native engine
// is ours: it has no daemon and no setuid program, and no process of ours stays between the caller
// and the command, which gets the pid that hpc3-run had.
//
// The native engine goes through stages. Each is an execution of the same program under another
// name:
//
//	hpc3-run     checks all that can be checked, starts the others, and executes itself as
//	hpc3:join    which enters the container and executes the command, all in its first
//	             instructions (native/become.go)
//	hpc3:serve   two processes. The maker, in new namespaces from its first instructions, makes
//	             the container there and ends. The file server serves the SIF's SquashFS over
//	             FUSE until the kernel lets go of the mount, or has squashfuse_ll serve it.
//
// With Apptainer there is hpc3:watch (watch.go of run/apptainer).
//
// For root the kernel's own driver may read the SIF. hpc3-run then mounts it, in no directory yet,
// and hpc3:serve only helps.
package run

import (
	"context"
	"errors"
	"os"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/run/apptainer"
	"github.com/hpc3-project/hpc3/launcher/run/inside"
	"github.com/hpc3-project/hpc3/launcher/run/native"
	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// Plan says what is started, from which image, and where.
type Plan struct {
	Image   inside.Image
	Command inside.Command
	Place   inside.Place

	Engine    option.Engine
	SquashFS  option.SquashFS   // what serves the SIF, for the native engine
	Apptainer apptainer.Program // the program of Apptainer's engine
	Auto      bool              // if Apptainer cannot do what is asked, use hpc3's own engine

	To      inside.Listener
	Settled func(option.Engine) // called with the engine that starts the command; may be nil
	Memory  apptainer.Memory

	held *os.File // see Hold
}

// Hold keeps the SIF from being cleared until the process that serves it holds it itself. sif is
// the file that store.Hold returned; nil for none.
func (p *Plan) Hold(sif *os.File) { p.held = sif }

// Possible returns an error for a request that fails whatever the image is, so that no image is
// fetched in vain. It reads Mounts, Cwd, KeepPrivs, Entrypoint and Args.
func Possible(c inside.Command, at inside.Place) error {
	return (&inside.View{Command: c, Place: at}).Possible()
}

// Exec makes this process the command. It returns only with an error. The native engine uses the
// server that was started ahead, unless it is nil.
func Exec(ctx context.Context, p Plan, server *native.Server) error {
	v := inside.View{Image: p.Image, Command: p.Command, Place: p.Place, Engine: p.Engine, To: p.To}
	img, err := v.Look(p.held)
	if err != nil {
		if p.Engine == option.Native || v.Cached && errors.Is(err, squashfs.ErrCorrupt) {
			return err
		}
		v.Note("looking into the image: " + err.Error())
	}
	switch {
	case v.Overlay && p.Engine == option.Native:
		return noOverlay(v.SIF)
	case v.Overlay:
		img, p.Auto = inside.Files{}, false // the overlay is not read
	}
	if err := v.Settle(img); err != nil {
		return err
	}
	if p.Engine == option.Apptainer {
		err := apptainer.Exec(ctx, v, img,
			apptainer.Means{
				Program: p.Apptainer, Memory: p.Memory, Held: p.held,
				Settled: p.settled,
			})
		var why apptainer.UnfitError
		if !p.Auto || !img.Known || !errors.As(err, &why) || native.WhyNot() != nil {
			return err
		}
		v.Note("not using Apptainer: " + why.Error())
		v.Engine, server = option.Native, nil
	}
	return native.Exec(ctx, v, img,
		native.Means{SquashFS: p.SquashFS, Server: server, Settled: p.settled})
}

func noOverlay(sif string) error {
	return fault.New(fault.Engine,
		"running %s: it holds an overlay partition, which hpc3's own engine does not lay over the image", sif).
		Hint("use --engine apptainer, which does; or take it out: apptainer sif list, apptainer sif del")
}

func (p *Plan) settled(engine option.Engine) {
	if p.Settled != nil {
		p.Settled(engine)
	}
}
