package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/habit"
)

// overview is what hpc3 --help prints. This and the topics fit 80 columns.
const overview = `Usage: hpc3 COMMAND [OPTION...] [ARGUMENT...]

The tools around hpc3-run, which runs images.

  probe                     what this node is
  explain IMAGE             which variant this node gets, and why not each other
  pull IMAGE                fetch and convert now, run later
  module IMAGE              a module file whose commands run in IMAGE
  module check DIR          whether the modules of a tree still work
  exec JOB[.STEP]|PID [COMMAND [ARG...]]
                            into the container of a running step or process of
                            yours on this node
  doctor                    what is missing on this node, and how to mend it
  cache list                what the caches hold, of the site and of yourself
  cache verify              whether their files are what they should be
  cache gc                  remove what is not needed; never what runs
  cache rm                  remove images; never what runs
  cache init                make a cache that all users of a site read
  help COMMAND              what a command does and takes; so does
                            hpc3 COMMAND --help

      --version             print the version
  -h, --help                print this

IMAGE is what hpc3-run takes: a name in a registry, oci:DIR, oci-archive:FILE,
docker-archive:FILE or FILE.sif.
Exit status: 0 yes or done, 1 no, 2 wrong usage, 3 it could not be found out.
More: man hpc3.
`

// forImages are the options of commands that choose an image.
const forImages = choosing + asking + credentials

const (
	choosing = `      --node FILE|-         choose for the node that hpc3 probe --json described
      --nodes-file FILE     one choice for all nodes that FILE describes: what
                            hpc3 probe --json prints of each, one after another,
                            or a directory of such files
      --platform P          choose for P, as linux/amd64:zen3
      --variants auto|index|tags
                            look for variants in the index, else among the tags
                            (default), or in one of these only
`
	asking = `      --pull missing|always|never
                            when the registry is asked
`
	credentials = "      --authfile FILE       registry credentials (default: docker's, podman's)\n"
)

const (
	inJSON  = "      --json                print JSON\n"
	verbose = "  -v, --verbose             say what is done, and why\n" +
		"  -d, --debug               say more still\n"
	quiet = "  -q, --quiet               show no progress\n"
	inDir = "      --dir DIR             that cache, not your own\n"
	help  = "  -h, --help                print this\n"
)

// topics are what hpc3 COMMAND --help prints. A test checks that each names the command's options.
var topics = []struct{ command, text string }{ //nolint:gochecknoglobals // a constant table
	{"probe", `Usage: hpc3 probe [OPTION...]

What this node is: its CPU, GPUs, driver, MPI and fabric, and the words that the
site gave it. Images are chosen by this.

      --json                print JSON: a node file for --node, --nodes-file
      --features            print the CPU's features, one a line
      --nfd                 print the names of Node Feature Discovery
      --root DIR            read DIR/proc and DIR/sys of a recorded node instead
` + verbose + help + `
  hpc3 probe --json > node.json
`},
	{"explain", `Usage: hpc3 explain [OPTION...] IMAGE
       hpc3 explain [OPTION...] --index FILE|-

Which variant of IMAGE this node gets, or another node, and why not each other
one. No layer is fetched for it. The exit status is 1 where none fits.

      --index FILE|-        read the index from a file
` + forImages + inJSON + verbose + help + `
  hpc3 explain qnib/gromacs:2021.5
  hpc3 explain --node node.json qnib/gromacs:2021.5
`},
	{"pull", `Usage: hpc3 pull [OPTION...] IMAGE

Fetches the variant for this node and makes it a SIF: in the cache, from which
hpc3-run starts without asking a registry, or in a file. Prints the path.

  -o, --output FILE.sif     write a file, not into the cache
      --all-variants        bring every variant into the cache
      --deep                look at all programs for what they need of a CPU
` + forImages + inJSON + quiet + verbose + help + `
  hpc3 pull qnib/gromacs:2021.5
  hpc3 pull qnib/gromacs:2021.5 -o gromacs.sif
`},
	{"module", `Usage: hpc3 module [OPTION...] IMAGE
       hpc3 module [OPTION...] --update DIR

Writes a module file for Environment Modules and Lmod, and for each command of
IMAGE a small script, which runs it by hpc3-run on the node where it is called:
one module serves every type of node. Prints the path of the module file.

      --name NAME/VERSION   what users load (default: by the image's name, tag)
  -o, --output DIR          the tree of modules that it is put into
                            (default: ~/.local/share/hpc3/modules)
      --commands A,B        the commands (default: those that the image's label
                            names, else all)
      --all                 all that the image has beyond its base system
      --pin                 the index that the name means now, for good
      --default             the version that "module load NAME" loads
      --tcl --lua           its language, or both (default: Tcl, also for Lmod)
      --dry-run             print what was found, and write nothing
      --update DIR          write what DIR/modules.toml lists, and remove what
                            it lists no more
` + forImages + inJSON + quiet + verbose + help + `
  hpc3 module qnib/gromacs:2021.5 --commands gmx
  module use ~/.local/share/hpc3/modules && module load gromacs/2021.5
  hpc3 module --update /sw/modules
`},
	{"module check", `Usage: hpc3 module check [OPTION...] DIR

Whether every module of the tree DIR still works: its image is there, the image
has the commands, and the files are as hpc3 module wrote them. Names those that
do not work, with the reason; the exit status is 1 then, and 3 where it could
not be found out.

` + choosing + credentials + inJSON + quiet + verbose + help + `
  hpc3 module check /sw/modules
`},
	{"exec", `Usage: hpc3 exec JOB[.STEP]|PID [COMMAND [ARG...]]

Runs COMMAND in the container of a running step or process of yours on this
node, with the environment and in the directory of its task; without COMMAND, a
shell.
To start a new container: hpc3-run IMAGE COMMAND.

` + help + `
  hpc3 exec 123.0 top
  srun --overlap --jobid=123 --pty hpc3 exec 123.0
`},
	{"doctor", `Usage: hpc3 doctor [OPTION...]

What is missing on this node for hpc3-run, and how to mend it. The exit status
is 1 where images cannot run.

` + inJSON + verbose + help},
	{"cache", `Usage: hpc3 cache COMMAND [OPTION...]

  list                      what the caches hold, of the site and of yourself
  verify                    whether their files are what they should be
  gc                        remove what is not needed; never what runs
  rm                        remove images; never what runs
  init                      make a cache that all users of a site read

hpc3 help cache gc says more of one of them.
`},
	{"cache list", `Usage: hpc3 cache list [OPTION...]

Every image of the caches, the site's and your own, the one that was used last
first.

` + inJSON + verbose + help},
	{"cache verify", `Usage: hpc3 cache verify [OPTION...] [IMAGE|DIGEST...]

Reads your cache, or what of it belongs to an image, and holds it against its
digests. The exit status is 1 where something is broken.

      --repair              remove what is broken; the next run makes it anew
` + inDir + inJSON + verbose + help},
	{"cache gc", `Usage: hpc3 cache gc [OPTION...]

Removes from your cache what nothing leads to and what dead processes left, then
what exceeds the limits. What runs stays; where other nodes may use the cache,
as in a home on NFS, so does what was used within the hour.

      --max-age DAYS        remove what was not used for so long: 30, or none
      --max-size SIZE       then what was used least recently, until at most
                            SIZE is left: 20GB, 500MB, or none
      --dry-run             only say what would go
` + inDir + inJSON + verbose + help + `
  hpc3 cache gc --max-age 30 --max-size 50GB --dry-run
`},
	{"cache init", `Usage: hpc3 cache init [OPTION...] --site DIR

Makes DIR, and what is above it, a cache that all users of a site read, or mends
the modes of one. Prints the table that hpc3.toml needs for it, as lines that
can be appended. The exit status is 1 where others cannot read it.

      --site DIR            the directory, of a file system that all nodes have
      --owner USER          who fills it (default: you)
      --group GROUP         only its members read it (default: everybody)
      --write               owners put there what they run, too
` + inJSON + verbose + help + `
  hpc3 cache init --site /sw/hpc3 >>/etc/hpc3/hpc3.toml
  HPC3_CACHEDIR=/sw/hpc3 hpc3 pull qnib/gromacs:2021.5
`},
	{"cache rm", `Usage: hpc3 cache rm [OPTION...] IMAGE|DIGEST|FILE...
       hpc3 cache rm [OPTION...] --all

Removes images from your cache, by a name or digest that hpc3 cache list prints,
with all that was fetched for them and that no other image needs. What runs
stays, and the exit status is 1 then.

      --all                 all that the cache holds
      --dry-run             only say what would go
` + inDir + inJSON + verbose + help + `
  hpc3 cache rm qnib/gromacs:2021.5
`},
}

// helpAsked returns what hpc3 ... --help prints; "" = nobody asked. cli itself would take the words
// behind --help for commands.
func helpAsked(app *cli.App, args []string) string {
	var words []string
	commands := app.Commands
	for i, arg := range args[min(1, len(args)):] {
		command := commandIn(commands, arg)
		switch {
		case slices.Contains([]string{"-h", "-help", "--help"}, arg):
			return topic(words)
		case len(words) == i && command != nil:
			words, commands = append(words, arg), command.Subcommands
		case arg == "--" || len(words) == 0:
			return ""
		case words[0] == "exec": // the words behind it are another command's
			return ""
		}
	}
	return ""
}

func commandIn(commands []*cli.Command, word string) *cli.Command {
	for _, c := range commands {
		if c.Name == word {
			return c
		}
	}
	return nil
}

// topic returns the help of the command that these words begin with; without one, the overview.
func topic(words []string) string {
	for n := len(words); n > 0; n-- {
		for _, t := range topics {
			if t.command == strings.Join(words[:n], " ") {
				return t.text
			}
		}
	}
	return overview
}

// help prints what a command does: hpc3 help cache gc.
func (t *tool) help(c *cli.Context) error {
	commands, words := t.commands, c.Args().Slice()
	for i, word := range words {
		command := commandIn(commands, word)
		if command == nil {
			return t.noCommand(words[:i], word, nil)
		}
		commands = command.Subcommands
	}
	fmt.Fprint(t.stdout, topic(words))
	return nil
}

// noCommand says that no command behind these words has this name, and which one may be meant.
func (t *tool) noCommand(behind []string, word string, rest []string) error {
	commands := t.commands
	for _, b := range behind {
		commands = commandIn(commands, b).Subcommands
	}
	var known []string
	for _, c := range commands {
		known = append(known, c.Name)
	}
	command := strings.Join(append([]string{name}, behind...), " ")
	called := strings.Join(append(slices.Clone(behind), word), " ")
	err := fault.New(fault.Usage, "no command is called %q", called)
	if c := habit.FindCommand(called); c != nil {
		return err.Hint("%s", c.Hint(called, rest))
	}
	if near := habit.Nearest(word, known); near != "" {
		err = err.Hint("the nearest is %s %s", command, near)
	}
	return err.Hint("see %s --help", command)
}
