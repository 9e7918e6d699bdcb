package option

import (
	"iter"
	"strings"
)

// Kind is how an option is written and what it does to its key.
type Kind int

// The kinds.
const (
	Switch   Kind = iota // stands alone, and sets its key to true
	Opposite             // stands alone, and sets the key of its counterpart to false
	Value                // takes one value, of which the last one given counts
	List                 // takes a value each time it is given, and all of them count
)

// Option is an option of hpc3-run. It counts on its command line, as a variable and in the settings
// files; where Slurm has a text, in srun, sbatch and salloc as well.
type Option struct {
	Name    string // without its dashes
	Short   string // one letter; "" = none
	Kind    Kind
	Metavar string // of the value; "" = the words that it may be
	Key     string // in hpc3.toml; "" = the name with underscores, of an opposite its counterpart's
	Against string // a switch that excludes this one; of an opposite its counterpart
	Help    string // "" = the option shares the line of the next one
	Slurm   string // its line in the help of srun; "" = srun does not have it
}

// Section is a part of the help.
type Section struct {
	Title   string // "" = none
	Options []Option
}

// Sections are all options, in the order of the help.
var Sections = []Section{ //nolint:gochecknoglobals // a constant table
	{"What the container has", []Option{
		{
			Name: "container-mounts", Short: "B", Kind: List, Metavar: "SRC[:DST[:OPTS]]",
			Help: "bind a file or directory of the node; OPTS are ro rw nosuid nodev noexec, " +
				"joined by +; tmpfs:DST is an empty directory in memory",
			Slurm: "bind files or directories; a list is joined by commas, OPTS by +",
		},
		{
			Name: "container-workdir", Short: "w", Kind: Value, Metavar: "DIR",
			Help:  "working directory (default: the current one)",
			Slurm: "working directory in the container",
		},
		{
			Name: "container-env", Short: "e", Kind: List, Metavar: "NAME[=VALUE]",
			Help:  "set a variable, or pass the caller's",
			Slurm: "set a variable in the container, or pass the job's",
		},
		{
			Name: "container-env-file", Kind: List, Metavar: "FILE",
			Help:  "set or pass the variables of FILE, which is docker's",
			Slurm: "set or pass the variables of a file, in docker's format",
		},
		{
			Name:  "container-clean-env",
			Slurm: "of the job's variables only those of a login and of the job",
		},
		{
			Name: "no-container-clean-env", Kind: Opposite, Against: "container-clean-env",
			Help: "of the caller's variables pass those of a login and of the job alone, " +
				"or all (default)",
			Slurm: "the job's variables are passed on (default)",
		},
		{
			Name:  "container-mount-home",
			Slurm: "bind the home directory (default)",
		},
		{
			Name: "no-container-mount-home", Kind: Opposite, Against: "container-mount-home",
			Help:  "the home directory is bound (default), or not",
			Slurm: "do not bind the home directory",
		},
		{
			Name:  "container-writable",
			Slurm: "a throw-away writable layer",
		},
		{
			Name: "container-readonly", Kind: Opposite, Against: "container-writable",
			Help:  "a writable layer that is thrown away, or none (default)",
			Slurm: "no writable layer (default)",
		},
		{
			Name: "keep-privs",
			Help: "root keeps its capabilities",
		},
	}},
	{"How COMMAND starts", []Option{
		{
			Name: "container-entrypoint", Kind: Value,
			Help: "in a login shell (default), by the image's own ENTRYPOINT and CMD, " +
				"or as it is",
			Slurm: "login (default), image or none; without MODE: image",
		},
		{
			Name:  "container-dotfiles",
			Slurm: "the login shell reads your own files (~/.bash_profile)",
		},
		{
			Name: "no-container-dotfiles", Kind: Opposite, Against: "container-dotfiles",
			Help:  "the login shell reads ~/.bash_profile or ~/.profile, or not (default)",
			Slurm: "it reads the image's alone (default)",
		},
		{
			Name: "prompt", Kind: Value, Metavar: "TEXT",
			Help: "what stands before the shell's prompt, or no",
		},
		{
			Name: "container-share",
		},
		{
			Name: "no-container-share", Kind: Opposite, Against: "container-share",
			Help:  "the tasks of a step on a node share a container (default), or have one each",
			Slurm: "each task has a container of its own",
		},
		{
			Name: "no-container", Kind: Opposite, Key: "container",
			Help: "run COMMAND on the node, without IMAGE",
		},
	}},
	{"Which image it is", []Option{
		{
			Name: "platform", Kind: Value, Metavar: "P",
			Help: "choose for P, as linux/amd64:zen3, not for this node",
		},
		{
			Name: "nodes-file", Kind: Value, Metavar: "FILE",
			Help: "one choice for all nodes that FILE describes",
		},
		{
			Name: "variant", Kind: Value, Metavar: "POSITION|DIGEST",
			Help: "take this entry; hpc3 explain IMAGE lists them",
		},
		{
			Name: "variants", Kind: Value,
			Help: "look for variants in the index, else among the tags (default), " +
				"or in one of these only",
		},
		{
			Name: "force",
			Help: "run an entry even if it is not for this node",
		},
		{
			Name: "pull", Kind: Value,
			Help: "ask the registry for what the cache lacks (default), each time, or not at all",
		},
		{
			Name: "authfile", Kind: Value, Metavar: "FILE",
			Help: "registry credentials (default: docker's, podman's)",
		},
	}},
	{"How it is run", []Option{
		{
			Name: "engine", Kind: Value,
			Help: "Apptainer where it works, else hpc3's own (default), or only the one named",
		},
		{
			Name: "squashfs", Kind: Value,
			Help: "what reads the image for hpc3's own engine",
		},
		{
			Name: "dry-run",
			Help: "print what would run and why, and stop there",
		},
		{
			Name: "json",
			Help: "print that as JSON",
		},
		{
			Name: "time",
			Help: "print what each step cost",
		},
	}},
	{"", []Option{
		{
			Name: "quiet", Short: "q",
			Help: "say less",
		},
		{
			Name: "verbose", Short: "v", Against: "quiet",
			Help: "say what is done, and why",
		},
		{
			Name: "debug", Short: "d",
			Help: "say more still",
		},
	}},
}

// All returns every option, in the order of the help.
func All() iter.Seq[Option] {
	return func(yield func(Option) bool) {
		for _, s := range Sections {
			for _, o := range s.Options {
				if !yield(o) {
					return
				}
			}
		}
	}
}

// Names returns the names of all options, in the order of the help.
func Names() []string {
	var names []string
	for o := range All() {
		names = append(names, o.Name)
	}
	return names
}

// Find returns the option with this name or letter, which are without dashes.
func Find(name string) (o Option, known bool) {
	for o := range All() {
		if name == o.Name || name == o.Short && name != "" {
			return o, true
		}
	}
	return Option{}, false
}

// TakesValue tells whether a value follows the option.
func (o Option) TakesValue() bool { return o.Kind == Value || o.Kind == List }

// SettingsKey returns the key that the option sets.
func (o Option) SettingsKey() string {
	switch {
	case o.Key != "":
		return o.Key
	case o.Kind == Opposite:
		return KeyOf(o.Against)
	}
	return KeyOf(o.Name)
}

// KeyOf returns a name as it is written in hpc3.toml.
func KeyOf(name string) string { return strings.ReplaceAll(name, "-", "_") }

// Variable returns the environment variable of an option, by its name or key.
func Variable(name string) string { return "HPC3_" + strings.ToUpper(KeyOf(name)) }
