// Package inside decides what a command sees of an image and a node: its words, environment, files,
// devices and names.
package inside

import (
	"github.com/hpc3-project/hpc3/launcher/device"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/option"
)

// Image is what is known of an image before the start reads the SIF.
type Image struct {
	SIF       string     // absolute path
	Cached    bool       // the SIF is in a cache, which may be cleared while it runs
	Offset    int64      // of the SquashFS in it, in bytes
	Overlay   bool       // the SIF has an overlay partition
	Sums      Checksums  // of the SquashFS
	Aside     Aside      // what to do with the SIF if it is damaged
	Config    oci.Config // of the image, if HasConfig
	HasConfig bool       // false: hpc3 did not make the SIF; its environment is in scripts
	// The CUDA release that its cuda-compat has to bring where the driver lacks it: the image was
	// chosen for that. "" for none.
	CUDACompat string
}

// Command is what is executed, with its settings and privileges.
type Command struct {
	Args        []string // empty: a login shell
	Entrypoint  option.Entrypoint
	Dotfiles    bool     // the login shell reads the user's own files
	Prompt      string   // stands before the prompt of a login shell; may be ""
	Workdir     string   // "" = Cwd if it exists in the container, else the image's
	SetEnv      []string // NAME=VALUE; wins over all else
	CleanEnv    bool     // of HostEnv, pass only the variables of a login and a job
	KeepPrivs   bool     // root keeps capabilities
	Parent      int      // the command ends with this process; 0: none
	ErrorPrefix string   // of messages that come after hpc3-run has become the command
}

// Place is where the command is started: the node, what the container shows of it, and which tasks
// share the container.
type Place struct {
	HostEnv   []string // NAME=VALUE
	Home      string   // "" if there is none
	Cwd       string   // "" if there is none
	Mounts    []option.Mount
	MountHome bool
	// more directories of the node to show in the container, if they exist
	Extra      []string
	Writable   bool
	Client     *device.Client // Slurm's client programs; nil if the container gets none
	ClientUser string         // the SlurmUser; the client looks up this name
	Share      Share          // whether the tasks of a step share, as the user asked
}

// Listener gets the messages from before the command starts. Each function may be nil.
type Listener struct {
	Note   func(text string) // shown by -v
	Detail func(text string) // shown by -d only
	Warn   func(text string) // always shown
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

	HomeShown bool       // the home directory is bound
	Named     namedFiles // for variables that name files
}

// Settle checks the binds, and decides which files of the node the container shows.
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

// Note sends a message that -v shows.
func (v *View) Note(text string) {
	if v.To.Note != nil {
		v.To.Note(text)
	}
}

// Detail sends a message that only -d shows.
func (v *View) Detail(text string) {
	if v.To.Detail != nil {
		v.To.Detail(text)
	}
}

// Warn sends a message that is always shown.
func (v *View) Warn(text string) {
	if v.To.Warn != nil {
		v.To.Warn(text)
	}
}
