// Package inside settles what a command sees of an image and a node: its words, environment, files,
// devices and names.
package inside

import (
	"github.com/hpc3-project/hpc3/launcher/device"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/option"
)

// Image is what is known of an image before it is looked into.
type Image struct {
	SIF       string     // absolute path
	Cached    bool       // the SIF is one of a cache, which may be cleared while it runs
	Offset    int64      // of the SquashFS in it, in bytes
	Overlay   bool       // another partition of the SIF is to lie over it
	Sums      Checksums  // of the SquashFS
	Aside     Aside      // what becomes of the SIF if it is damaged
	Config    oci.Config // of the image, if HasConfig
	HasConfig bool       // false: a SIF that hpc3 did not make, with its environment in scripts
}

// Command is what is executed, and what it is given and allowed.
type Command struct {
	Args        []string // empty: a login shell
	Entrypoint  option.Entrypoint
	Dotfiles    bool     // the login shell reads the user's own files
	Prompt      string   // what stands before the prompt of a login shell; "" = nothing
	Workdir     string   // "" = Cwd if it exists in the container, else the image's
	SetEnv      []string // NAME=VALUE; wins over all else
	CleanEnv    bool     // of HostEnv the command gets only what a login and a job have
	KeepPrivs   bool     // root keeps capabilities
	Parent      int      // the process with which the command is to end; 0: none
	ErrorPrefix string   // of messages that come after hpc3-run has become the command
}

// Place is where the command is started: the node, what the container has of it, and with whom it
// is shared.
type Place struct {
	HostEnv   []string // NAME=VALUE
	Home      string   // "" = none
	Cwd       string   // "" = none
	Mounts    []option.Mount
	MountHome bool
	// more directories of the node that are to be in the container, if they exist
	Extra      []string
	Writable   bool
	Client     *device.Client // Slurm's, for the container; nil for none
	ClientUser string         // its SlurmUser, whose name the client looks up
	Share      Share          // what was asked of the tasks of a step
}

// Listener is told what happens before the command starts. Each function may be nil.
type Listener struct {
	Note   func(text string) // what -v shows
	Detail func(text string) // what -d shows beside it
	Warn   func(text string) // what every user is shown
}

// View is what a command sees: all that an engine needs to know of the image, the command and the
// place.
type View struct {
	Image
	Command
	Place
	Engine  option.Engine
	Sharing Sharing // decided for the engine
	To      Listener

	HomeShown bool  // the home directory is bound
	Named     named // what comes of variables that name files
}

// Settle checks the binds, and settles what of the node's files the container has.
func (v *View) Settle(img Files) error {
	if err := v.checkMounts(); err != nil {
		return err
	}
	if u := v.Config.User; u != "" {
		v.Note("the image asks for user " + u +
			"; the command runs as the caller, as shared file systems need it")
	}
	if s := v.Config.StopSignal; s != "" {
		v.Note("the image asks to be stopped by " + s +
			"; the command gets the signals that are sent to it")
	}
	v.HomeShown = v.bindsHome(img)
	v.Named = v.nameFiles(img)
	if v.MountHome && !v.HomeShown {
		v.Note("there is no home directory to bind; HOME is " + HomeIn(v.Home))
	}
	return nil
}

// Note tells what -v shows.
func (v *View) Note(text string) {
	if v.To.Note != nil {
		v.To.Note(text)
	}
}

// Detail tells what -d shows beside it.
func (v *View) Detail(text string) {
	if v.To.Detail != nil {
		v.To.Detail(text)
	}
}

// Warn tells what every user is shown.
func (v *View) Warn(text string) {
	if v.To.Warn != nil {
		v.To.Warn(text)
	}
}
