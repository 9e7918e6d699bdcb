package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/hpc3-project/hpc3/cmd/progress"
	"github.com/hpc3-project/hpc3/launcher"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/habit"
	"github.com/hpc3-project/hpc3/launcher/module"
)

// ofOne are the options of hpc3 module that say something of one module, so that a list says it
// instead of them.
//
//nolint:gochecknoglobals // a constant list
var ofOne = []string{"name", "tcl", "lua", "o", "commands", "all", "pin", "default"}

func (t *tool) moduleCommand(image []cli.Flag) *cli.Command {
	image = append([]cli.Flag{toggle("quiet", "q")}, image...)
	check := slices.DeleteFunc(slices.Clone(image), func(f cli.Flag) bool {
		return f.Names()[0] == "pull" // a check always asks
	})
	return &cli.Command{
		Name: "module", Action: t.module,
		Flags: append([]cli.Flag{
			value("name"), value("o", "output"), value("commands"), toggle("all"), toggle("pin"),
			toggle("default"), toggle("tcl"), toggle("lua"), toggle("dry-run"), value("update"),
		}, image...),
		Subcommands: []*cli.Command{{Name: "check", Action: t.moduleCheck, Flags: check}},
	}
}

// module writes a module, or all of a list.
func (t *tool) module(c *cli.Context) error {
	if err := t.wrongModule(c); err != nil {
		return err
	}
	if c.IsSet("update") {
		return t.moduleUpdate(c)
	}
	image, err := oneImage(c)
	if err != nil {
		return err
	}
	wanted, err := wantedModule(c, image)
	if err != nil {
		return err
	}
	tree, err := openTree(c)
	if err != nil {
		return err
	}
	start, err := launcherPath()
	if err != nil {
		return err
	}
	found, teller, err := t.findModule(c, wanted, start)
	if err != nil {
		return err
	}
	found = completed(tree, wanted, found, false)
	if !c.Bool("dry-run") {
		if _, err := tree.Write(found.Module); err != nil {
			return err
		}
	}
	return t.printModule(c, tree, found, teller)
}

// wrongModule refuses what is no call of hpc3 module, before anything is looked at.
func (t *tool) wrongModule(c *cli.Context) error {
	first := c.Args().First()
	if c.IsSet("update") {
		if c.NArg() > 0 {
			return fault.New(fault.Usage, "both --update and an image, %q, are given", first).
				Hint("--update writes what the list of the tree names; leave one out")
		}
		for _, n := range ofOne {
			if c.IsSet(n) {
				return fault.New(fault.Usage, "--update goes without %s", dashed(n)).
					Hint("the list says that of each of its modules; see %s module --help", name)
			}
		}
		return nil
	}
	if c.NArg() == 0 {
		return fault.New(fault.Usage, "no image given").Hint("see %s module --help", name)
	}
	if known := habit.FindCommand("module " + first); known != nil {
		return fault.New(fault.Usage, "no command is called %q", "module "+first).
			Hint("%s", known.Hint("module "+first, c.Args().Tail())).
			Hint("an image of this name is docker://%s", first)
	}
	return nil
}

func dashed(n string) string { return "--"[:min(len(n), 2)] + n }

// wantedModule reads the options that say something of the module.
func wantedModule(c *cli.Context, image string) (module.Wanted, error) {
	w := module.Wanted{
		Image: image, Name: c.String("name"), All: c.Bool("all"), Pin: c.Bool("pin"),
		Default: c.Bool("default"),
	}
	if c.Bool("tcl") {
		w.Formats = append(w.Formats, module.Tcl)
	}
	if c.Bool("lua") {
		w.Formats = append(w.Formats, module.Lua)
	}
	if c.IsSet("commands") {
		if w.All {
			return w, fault.New(fault.Usage, "both --commands and --all are given").
				Hint("leave one out")
		}
		var err error
		if w.Commands, err = commandsOf(c.String("commands")); err != nil {
			return w, err
		}
	}
	if c.IsSet("name") {
		if err := checkName(w.Name); err != nil {
			return w, err
		}
	}
	return w, nil
}

// commandsOf reads the value of --commands.
func commandsOf(list string) (commands []string, err error) {
	for command := range strings.SplitSeq(list, ",") {
		command = strings.TrimSpace(command)
		if command == "" {
			continue
		}
		if err := module.CheckCommand(command); err != nil {
			return nil, fault.New(fault.Usage, "option --commands: %w", err).
				Hint("it takes names of commands of the image: --commands gmx,demux.pl")
		}
		commands = append(commands, command)
	}
	if len(commands) == 0 {
		return nil, fault.New(fault.Usage, "option --commands: no command is named").
			Hint("name some, as --commands gmx,demux.pl, or leave the option out")
	}
	return commands, nil
}

// checkName refuses a value of --name. A name alone gets its version later.
func checkName(full string) error {
	check := module.CheckName
	if !strings.Contains(full, "/") {
		check = module.CheckModule
	}
	if err := check(full); err != nil {
		return fault.New(fault.Usage, "option --name: %w", err).
			Hint("write NAME or NAME/VERSION, as gromacs/2021.5")
	}
	return nil
}

// openTree opens the tree of -o, or else the user's own.
func openTree(c *cli.Context) (module.Tree, error) {
	dir := c.String("o")
	if dir == "" && c.IsSet("o") {
		return module.Tree{}, fault.New(fault.Usage, "option -o: no directory is named").
			Hint("name one for the modules, or leave the option out")
	}
	if dir == "" {
		data := os.Getenv("XDG_DATA_HOME")
		if !filepath.IsAbs(data) {
			home, err := os.UserHomeDir()
			if err != nil {
				return module.Tree{}, fault.New(fault.Usage,
					"there is no place for modules: %w", err).Hint("name one by -o DIR")
			}
			data = filepath.Join(home, ".local/share")
		}
		dir = filepath.Join(data, "hpc3/modules")
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return module.Tree{}, fault.New(fault.Usage, "option -o: %s is not a directory", dir).
			Hint("modules are put into a directory, each as NAME/VERSION")
	}
	return module.Open(dir)
}

// treeOf opens a tree that is there.
func treeOf(dir, hint string) (module.Tree, error) {
	tree, err := module.Open(dir)
	if err != nil {
		return tree, err
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		err = fault.New(fault.Usage, "the tree of modules %s cannot be read: %w",
			tree.Dir(), fault.Reason(err)).Hint("%s", hint)
	case !info.IsDir():
		err = fault.New(fault.Usage, "%s is not a directory", tree.Dir()).Hint("%s", hint)
	}
	return tree, err
}

// launcherPath returns the path of hpc3-run that shims start. If PATH leads to the hpc3-run beside
// this program, that path counts: it may lead through a symlink that updates replace.
func launcherPath() (string, error) {
	const program = "hpc3-run"
	found, err := exec.LookPath(program)
	if err != nil { // a relative path is one
		found = ""
	}
	if own, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(own), program)
		if there, err := os.Stat(beside); err == nil {
			at, err := os.Stat(found)
			if err == nil && os.SameFile(at, there) {
				return found, nil
			}
			return beside, nil
		}
	}
	if found == "" {
		return "", fault.New(fault.Engine, "hpc3-run is neither beside hpc3 nor in PATH").
			Hint("a module's commands start it: install it, or add its directory to PATH")
	}
	return found, nil
}

// findModule walks the road that finds out what a module needs of its image. The teller is for
// what follows.
func (t *tool) findModule(
	c *cli.Context, w module.Wanted, start string,
) (launcher.FoundModule, *progress.Teller, error) {
	road, err := t.road(c)
	if err != nil {
		return launcher.FoundModule{}, nil, err
	}
	teller := t.teller(c, road)
	teller.Watch(road.Progress)
	found, err := road.Module(c.Context, w, start)
	teller.Stop()
	return found, teller, lacking(err)
}

// completed adds what only the tree and the options know. A module that is there already keeps its
// formats and, unless it is of the list, stays the default.
func completed(
	tree module.Tree, w module.Wanted, found launcher.FoundModule, listed bool,
) launcher.FoundModule {
	m := &found.Module
	was, there, err := tree.Find(m.Name, m.Version)
	if err != nil { // it is written anew
		found.Notes = append(found.Notes, "what was there is lost: "+err.Error())
	}
	m.Formats, m.Default = w.Formats, w.Default
	if there && len(m.Formats) == 0 {
		m.Formats = was.Formats
	}
	if there && !listed {
		m.Default = m.Default || was.Default
	}
	if len(m.Formats) == 0 {
		m.Formats = []module.Format{module.Tcl}
	}
	if why := tree.Unread(*m); why != "" {
		found.Notes = append(found.Notes, why)
	}
	m.Listed = listed
	return found
}

// madeModule is what hpc3 module says with --json.
type madeModule struct {
	SchemaVersion int      `json:"schemaVersion"`
	Reference     string   `json:"reference"`
	IndexDigest   string   `json:"indexDigest"`
	Name          string   `json:"name"`
	Version       string   `json:"version"`
	Files         []string `json:"files"`
	Bin           string   `json:"bin"`
	Commands      []string `json:"commands"`
	CommandsFrom  string   `json:"commandsFrom"`
	Variants      []string `json:"variants"`
	Title         string   `json:"title"`
	Description   string   `json:"description"`
	Conflicts     []string `json:"conflict"`
	Needs         []string `json:"prereq"`
	Families      []string `json:"family"`
	Notes         []string `json:"notes"`
}

func (t *tool) printModule(
	c *cli.Context, tree module.Tree, found launcher.FoundModule, teller *progress.Teller,
) error {
	m := found.Module
	if c.Bool("json") {
		return t.json(madeModule{
			1, m.Image, m.IndexDigest, m.Name, m.Version, list(tree.Files(m)), tree.Bin(m),
			list(m.Commands), found.From, list(m.Variants), m.Title, m.Description,
			list(m.Conflicts), list(m.Needs), list(m.Families), list(found.Notes),
		})
	}
	if c.Bool("dry-run") {
		t.printPlanned(tree, found)
		return nil
	}
	for _, file := range tree.Files(m) {
		fmt.Fprintln(t.stdout, file)
	}
	for _, n := range found.Notes {
		teller.Say("note: " + n)
	}
	teller.Say("note: " + habit.Line("module", "use", tree.Dir()) + " && " +
		habit.Line("module", "load", m.FullName()))
	return nil
}

// list makes no list an empty one, for JSON.
func list(s []string) []string { return append([]string{}, s...) }

// printPlanned prints what was found, and what would be written.
func (t *tool) printPlanned(tree module.Tree, found launcher.FoundModule) {
	m := found.Module
	t.fact("image", m.Image)
	t.fact("index", m.IndexDigest)
	module := m.FullName()
	if m.Default {
		module += ", the default version of " + m.Name
	}
	t.fact("module", module)
	from := map[string]string{
		"label": "by the image's label", "option": "as asked for", "image": "found in the image",
	}
	t.fact("commands", strings.Join(m.Commands, ", ")+" ("+cmp.Or(from[found.From], found.From)+")")
	t.fact("variants", strings.Join(m.Variants, ", "))
	t.fact("title", m.Title)
	t.fact("about", m.Description)
	t.fact("url", m.URL)
	t.fact("help", m.Help)
	t.fact("conflict", strings.Join(m.Conflicts, ", "))
	t.fact("prereq", strings.Join(m.Needs, ", "))
	t.fact("family", strings.Join(m.Families, ", "))
	for _, file := range tree.Files(m) {
		t.fact("file", file)
	}
	t.fact("bin", tree.Bin(m))
	for _, n := range found.Notes {
		t.fact("note", n)
	}
}

// lacking makes an image's lack of a command the answer "no", and adds the command that may be
// meant.
func lacking(err error) error {
	class, hints, _ := fault.Of(err, fault.Engine)
	if err == nil || class != fault.Exec {
		return err
	}
	no := fault.New(class, "%s", err).Exit(statusNo)
	no.Hints = hints
	var missing *launcher.MissingError
	if !errors.As(err, &missing) {
		return no
	}
	for _, command := range missing.Commands {
		if near := habit.Nearest(command, missing.There); near != "" {
			no = no.Hint("the nearest to %s is %s", command, near)
		}
	}
	return no.Hint("what the image has: %s",
		habit.Line(name, "module", "--all", "--dry-run", missing.Reference))
}
