// Package run starts a command in the image that a SIF holds: the mounts, the environment, the login convention, exec.
//
// There are two engines. Apptainer is executed with flags that say what the plan says. The native engine is ours: no daemon, no
// setuid program, and no process of ours between the caller and the command, which gets the pid that hpc3-run had.
//
// The native engine goes through stages, each an execution of the same program under another name:
//
//	hpc3-run     checks all that can be checked, starts the others, and executes itself as
//	hpc3:join    which enters the container and executes the command, all in its first instructions (entry_amd64.s)
//	hpc3:serve   two processes: the maker, in new namespaces from its first instructions, makes the container there, and ends; the file server
//	             serves the SIF's SquashFS over FUSE until the kernel lets go of the mount, or has squashfuse_ll serve it
//
// With Apptainer there is hpc3:watch (watch.go).
//
// For root the kernel's own driver may read the SIF (kernel.go). hpc3-run mounts it then, in no directory yet, and hpc3:serve is only a helper.
package run

import (
	"context"
	"errors"
	"os"

	"github.com/hpc3-project/hpc3/launcher/device"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// The engines and entrypoint modes of a Plan are those of package option.

// Plan is a command and all that settles how it is started.
type Plan struct {
	SIF             string     // absolute path
	Cached          bool       // the SIF is one of a cache, which may be cleared while it runs
	PartitionOffset int64      // of the SquashFS in it, in bytes
	Overlay         bool       // another partition of the SIF is to lie over it
	Sums            Checksums  // of the SquashFS
	Aside           Aside      // what becomes of the SIF where it is damaged
	Config          oci.Config // of the image, where HasConfig
	HasConfig       bool       // false: a SIF that hpc3 did not make, with its environment in scripts
	Engine          option.Engine
	SquashFS        option.SquashFS // what serves the SIF, for the native engine
	Apptainer       string          // path of the program, for its engine
	Conf            ApptainerConf   // the site's settings of it
	Auto            bool            // where Apptainer cannot do what is asked, hpc3's own engine is to
	Entrypoint      option.Entrypoint
	Command         []string // empty: a login shell
	Dotfiles        bool     // the login shell reads the user's own files
	Prompt          string   // what stands before the prompt of a login shell; "" = nothing
	Mounts          []option.Mount
	Workdir         string   // "" = Cwd where it exists in the container, else the image's
	SetEnv          []string // NAME=VALUE; wins over all else
	HostEnv         []string // NAME=VALUE
	CleanEnv        bool     // of HostEnv the command gets only what a login and a job have
	Writable        bool
	MountHome       bool
	KeepPrivs       bool           // root keeps capabilities
	Parent          int            // the process with which the command is to end; 0: none
	Alone           bool           // no other task of the step shares the container
	ShareNS         bool           // Apptainer is to have them share it, too
	Home            string         // "" = none
	Cwd             string         // "" = none
	Places          []string       // directories of the node that are to be in the container, those that exist
	Client          *device.Client // Slurm's, for the container; nil for none
	ClientUser      string         // its SlurmUser, whose name the client looks up
	ErrorPrefix     string         // of messages that come after hpc3-run has become the command

	Note   func(text string) // what -v shows; may be nil
	Detail func(text string) // what -d shows beside it; may be nil
	Warn   func(text string) // what every user is shown; may be nil

	Keep func(raw []byte) (file string, err error) // writes what containers of any node have bound while they run

	Settled func(option.Engine)    // told which engine starts the command; may be nil
	Proven  func(name string) bool // whether something has worked on this node; may be nil
	Prove   func(name string)      // remembers that it has; may be nil

	homeShown bool  // the home directory is bound; settled by Exec
	named     named // what comes of variables that name files; settled by Exec

	held *os.File // see Hold
}

// Hold keeps the SIF from being cleared until whoever serves it does so, by the file that store.Hold returned; nil for nothing.
func (p *Plan) Hold(sif *os.File) { p.held = sif }

// Exec makes this process the command. It returns only with an error. The native engine takes the server that was started ahead, if not nil.
func Exec(ctx context.Context, p Plan, server *Server) error {
	img, err := p.look()
	if err != nil {
		if p.Engine == option.Native || p.Cached && errors.Is(err, squashfs.ErrCorrupt) {
			return err
		}
		p.note("looking into the image: " + err.Error())
	}
	switch {
	case p.Overlay && p.Engine == option.Native:
		return fault.New(fault.Engine, "running %s: it holds an overlay partition, which hpc3's own engine does not lay over the image", p.SIF).
			Hint("use --engine apptainer, which does; or take it out: apptainer sif list, apptainer sif del")
	case p.Overlay:
		img, p.Auto = image{}, false // what is over the image is not looked into
	}
	if err := p.checkMounts(); err != nil {
		return err
	}
	if u := p.Config.User; u != "" {
		p.note("the image asks for user " + u + "; the command runs as the caller, as shared file systems need it")
	}
	if s := p.Config.StopSignal; s != "" {
		p.note("the image asks to be stopped by " + s + "; the command gets the signals that are sent to it")
	}
	p.homeShown = p.bindsHome(img)
	p.named = p.nameFiles(img)
	if p.MountHome && !p.homeShown {
		p.note("there is no home directory to bind; HOME is " + homeIn(p.Home))
	}
	if p.Engine == option.Apptainer {
		through := p
		err := through.execApptainer(ctx, img)
		var why unfit
		if !p.Auto || !img.known || !errors.As(err, &why) || WhyNotNative() != nil {
			return err
		}
		p.note("not using Apptainer: " + why.Error())
		p.Engine, server = option.Native, nil
	}
	words, err := p.words(img)
	if damaged := p.checkImage(img); damaged != nil {
		return damaged
	}
	if err != nil {
		return err
	}
	p.settled()
	return p.execNative(ctx, img, words, server)
}

func (p *Plan) settled() {
	if p.Settled != nil {
		p.Settled(p.Engine)
	}
}

// WhyNotNative says what hpc3's own engine lacks on this node; nil for nothing.
func WhyNotNative() error {
	if err := checkNamespaces(); err != nil {
		return err
	}
	return checkFUSE()
}
