package habit

import (
	"slices"
	"strings"
)

// Command is a command of other programs, or one of hpc3's own in the wrong place, and what it is
// here.
type Command struct {
	Names []string // behind the program's own name; two words for "cache clean"
	From  string   // the programs that have it
	Here  string   // what to write here, with %s for the words that follow; "" = nothing
	Why   string   // why nothing is to be written, or what else is to be known

	args func(rest []string) (words []string, ok bool) // turns the words that follow into ours
}

// Commands are the commands of other programs. Of several with a name the first counts.
var Commands = []Command{ //nolint:gochecknoglobals // a constant table
	{
		Names: words("exec run shell start"),
		From:  "docker, podman, Apptainer, Charliecloud, enroot", Here: "hpc3-run %s",
	},
	{
		Names: words("pull import convert"), From: "Apptainer, podman, enroot",
		Here: "hpc3 pull %s", args: pulled,
	},
	{
		Names: words("build"), From: "Apptainer, docker, podman", Here: "hpc3 pull %s",
		args: pulled,
		Why: "that makes a SIF of an image; images are built with docker, podman, buildah or " +
			"apptainer build",
	},
	{Names: words("probe explain doctor"), From: "hpc3", Here: "hpc3 %s", args: withName},
	{
		Names: words("modulefile modulefiles install"), From: "shpc, spack, Lmod",
		Here: "hpc3 module %s",
		Why:  "that writes a module file whose commands run in the image",
	},
	{Names: words("module"), From: "hpc3", Here: "%s", args: ofModule},
	{
		Names: []string{
			"module load", "module unload", "module avail", "module list", "module spider",
			"module swap", "module use",
		},
		From: "Environment Modules, Lmod", Here: "%s", args: spread,
		Why: "hpc3 module writes module files, and module loads them",
	},
	{
		Names: []string{"module update", "module upgrade"}, From: "shpc",
		Here: "hpc3 module --update %s", args: treeOf,
	},
	{Names: words("images ls list"), From: "docker, podman, enroot", Here: "hpc3 cache list"},
	{
		Names: []string{"cache ls", "cache show", "cache info"}, From: "Apptainer",
		Here: "hpc3 cache list",
	},
	{Names: words("gc prune clean"), From: "podman, shifter", Here: "hpc3 cache gc"},
	{
		Names: []string{"cache clean", "cache prune", "cache clear", "cache purge"},
		From:  "Apptainer", Here: "hpc3 cache gc", Why: "hpc3 cache rm --all removes all at once",
	},
	{
		Names: words("rmi remove delete rm"), From: "docker, podman, enroot",
		Here: "hpc3 cache rm %s", Why: "containers need no removal, nothing is left of them",
	},
	{
		Names: []string{"cache remove", "cache delete", "cache rmi"}, From: "other programs",
		Here: "hpc3 cache rm %s",
	},
	{Names: words("verify"), From: "Apptainer", Here: "hpc3 cache verify"},
	{Names: words("cache"), From: "hpc3", Here: "hpc3 %s", args: withName},
	{
		Names: words("inspect manifest show lookup digest"), From: "docker, podman, Apptainer",
		Here: "hpc3 explain %s",
	},
	{
		Names: words("attach instance"), From: "docker, Apptainer", Here: "hpc3 exec JOB",
		Why: "that enters the container of a running job",
	},
	{
		Names: words("ps top stats logs stop kill wait"), From: "docker, podman",
		Why: "there is none: a container is a process of yours, and a job's is Slurm's: squeue, " +
			"scancel",
	},
	{
		Names: words("login logout remote registry"), From: "docker, podman, Apptainer",
		Why: "there is none: hpc3 reads what docker login, podman login or --authfile wrote",
	},
	{
		Names: words("push tag commit search create save load export cp keyserver key sign sif " +
			"overlay network volume system compose"),
		From: "docker, podman, Apptainer",
		Why: "there is none: images are made and pushed with docker, podman, buildah, skopeo or " +
			"apptainer",
	},
	{Names: words("version"), From: "docker, podman, Apptainer", Here: "hpc3 --version"},
	{
		Names: words("info check capability"), From: "docker, podman, enroot", Here: "hpc3 doctor",
		Why: "hpc3 probe says what the node is",
	},
	{
		Names: words("test oci plugin"), From: "Apptainer",
		Why: "there is none: hpc3-run IMAGE COMMAND runs what the image has",
	},
	{Names: words("help"), From: "many", Here: "hpc3-run --help"},
}

// FindCommand returns the entry of a command of other programs; nil = there is none.
func FindCommand(name string) *Command {
	for i := range Commands {
		if slices.Contains(Commands[i].Names, name) {
			return &Commands[i]
		}
	}
	return nil
}

// first are the commands that are not taken for an image as the first word of hpc3-run, though an
// image may have that name. Another one is rather a COMMAND before which IMAGE was forgotten.
//
//nolint:gochecknoglobals // a constant list
var first = words("exec run shell start pull import build images login logout push inspect " +
	"instance rmi ps attach search probe explain doctor module cache help version")

// FirstWord returns the entry of a command that stands in the place of an image; nil = it may be
// one.
func FirstWord(word string) *Command {
	if !slices.Contains(first, word) {
		return nil
	}
	return FindCommand(word)
}

// Starts tells whether the command starts a container, so that its options are those of hpc3-run.
func (c *Command) Starts() bool { return c.Here == "hpc3-run %s" }

// Hint says what a command with the words behind it is here.
func (c *Command) Hint(name string, rest []string) string {
	if c.Here == "" {
		return c.Why
	}
	args, ok := rest, true
	if c.args != nil {
		args, ok = c.args(append([]string{name}, rest...))
	}
	line := strings.TrimSpace(c.Write(args))
	if !ok {
		line = strings.TrimSpace(c.Write(nil))
	}
	if c.Why != "" {
		return "here it is " + line + "; " + c.Why
	}
	return "here it is " + line
}

// maxShown bounds what is shown of a command line.
const maxShown = 200

// Write returns what to write here before these words; for none, before metavariables.
func (c *Command) Write(args []string) string {
	text := Line(args...)
	if text == "" || len(text) > maxShown {
		text = "IMAGE"
		if strings.Contains(c.Here, "hpc3-run") {
			text += " COMMAND"
		}
	}
	return strings.ReplaceAll(c.Here, "%s", text)
}

// withName takes all words, the command's too.
func withName(all []string) ([]string, bool) { return all, true }

// ofModule takes all words, for hpc3 or for what loads modules.
func ofModule(all []string) ([]string, bool) {
	if len(all) > 1 && slices.Contains(words("load unload avail list spider swap use"), all[1]) {
		return all, true
	}
	if len(all) == 1 {
		all = append(all, "IMAGE")
	}
	return append([]string{"hpc3"}, all...), true
}

// spread takes all words, and both of a command of two.
func spread(all []string) ([]string, bool) {
	return append(strings.Fields(all[0]), all[1:]...), true
}

// treeOf takes the words that follow; for none, a metavariable.
func treeOf(all []string) ([]string, bool) {
	if len(all) == 1 {
		return []string{"DIR"}, true
	}
	return all[1:], true
}

// pulled turns Apptainer's order, FILE.sif IMAGE, into ours.
func pulled(all []string) ([]string, bool) {
	rest := all[1:]
	if len(rest) == 2 && strings.HasSuffix(rest[1], ".sif") {
		rest = []string{rest[1], rest[0]}
	}
	if len(rest) == 2 && strings.HasSuffix(rest[0], ".sif") {
		return []string{rest[1], "-o", rest[0]}, !isRecipe(rest[1])
	}
	return rest, !slices.ContainsFunc(rest, isRecipe)
}

// isRecipe tells whether a word names something that images are built from.
func isRecipe(s string) bool {
	return s == "." || strings.HasPrefix(s, "-") ||
		strings.HasSuffix(s, ".def") || strings.HasSuffix(s, "file")
}
