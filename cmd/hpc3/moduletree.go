package main

import (
	"context"
	"errors"
	"fmt"
	"path"

	"github.com/urfave/cli/v2"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/module"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// The states of a module after an update, and after a check. They are interface.
const (
	stateWritten   = "written"
	stateUnchanged = "unchanged"
	stateRemoved   = "removed"
	stateFailed    = "failed"
	stateResolves  = "resolves"
	stateBroken    = "broken"
	stateUnknown   = "unknown"
)

// moduleState is what was done with a module of a tree, or what was found out about it.
type moduleState struct {
	Name  string   `json:"name"` // NAME/VERSION, as far as it is known
	Image string   `json:"image"`
	State string   `json:"state"`
	Why   string   `json:"why,omitempty"`
	Hints []string `json:"hints,omitempty"`
}

// moduleStates is what hpc3 module says with --json of a tree.
type moduleStates struct {
	SchemaVersion int           `json:"schemaVersion"`
	Tree          string        `json:"tree"`
	List          string        `json:"list,omitempty"` // the file that names the modules
	DryRun        bool          `json:"dryRun,omitempty"`
	Modules       []moduleState `json:"modules"`
}

// moduleUpdate writes the modules that the list of a tree names, and removes those that it names no
// more. A module that cannot be made stays as it is.
func (t *tool) moduleUpdate(c *cli.Context) error {
	tree, err := treeOf(c.String("update"), "--update takes the directory of modules.toml")
	if err != nil {
		return err
	}
	wanted, file, err := module.ReadList(c.Context, tree.Dir())
	if err != nil {
		return err
	}
	start, err := launcherPath()
	if err != nil {
		return err
	}
	u := update{
		tool: t, context: c, tree: tree, start: start, lines: map[string]int{},
		all: moduleStates{1, tree.Dir(), file, c.Bool("dry-run"), []moduleState{}},
	}
	for _, w := range wanted {
		if err := u.one(w); err != nil {
			return err
		}
	}
	u.remove()
	if c.Bool("json") {
		err = t.json(u.all)
	}
	if err == nil && u.failed {
		return errNo
	}
	return err
}

// update is one call of hpc3 module --update.
type update struct {
	tool    *tool
	context *cli.Context
	tree    module.Tree
	start   string          // the path of hpc3-run
	lines   map[string]int  // of the list, by the full name of the module
	unnamed []module.Wanted // what failed before its full name was known
	all     moduleStates
	failed  bool
}

// one makes a module of the list. It returns an error only if the update cannot go on.
func (u *update) one(w module.Wanted) error {
	s := moduleState{Name: w.Name, Image: w.Image}
	err := u.write(w, &s)
	if u.context.Err() != nil {
		return u.context.Err()
	}
	if err == nil {
		u.tell(s)
		return nil
	}
	u.failed = true
	if _, version := module.SplitName(s.Name); version == "" {
		u.unnamed = append(u.unnamed, w)
	} else if _, twice := u.lines[s.Name]; !twice {
		u.lines[s.Name] = w.Line
	}
	s.State, s.Why = stateFailed, fault.OneLine(err.Error())
	_, s.Hints, _ = fault.Of(err, fault.Engine)
	u.tell(s)
	return nil
}

// write makes a module, and says in its state what was done.
func (u *update) write(w module.Wanted, s *moduleState) error {
	found, _, err := u.tool.findModule(u.context, w, u.start)
	if err != nil {
		return err
	}
	m := completed(u.tree, w, found, true).Module
	s.Name, s.Image = m.FullName(), m.Image
	if line, twice := u.lines[s.Name]; twice {
		return fault.New(fault.Usage, "the modules in lines %d and %d of %s both have this name",
			line, w.Line, u.all.List).Hint("give one of them another name")
	}
	u.lines[s.Name] = w.Line
	changed := u.tree.Verify(m) != nil
	if !u.all.DryRun {
		if changed, err = u.tree.Write(m); err != nil {
			return err
		}
	}
	s.State = stateUnchanged
	if changed {
		s.State = stateWritten
	}
	return nil
}

// remove removes the modules that came from the list and that it names no more.
func (u *update) remove() {
	modules, unread := modulesIn(u.tree)
	for _, s := range unread {
		s.State, u.failed = stateFailed, true
		u.tell(s)
	}
	for _, m := range modules {
		if _, named := u.lines[m.FullName()]; named || !m.Listed || u.mayBeListed(m) {
			continue
		}
		s := moduleState{Name: m.FullName(), Image: m.Image, State: stateRemoved}
		if !u.all.DryRun {
			if err := u.tree.Remove(m); err != nil {
				s.State, s.Why, u.failed = stateFailed, fault.OneLine(err.Error()), true
				_, s.Hints, _ = fault.Of(err, fault.Engine)
			}
		}
		u.tell(s)
	}
}

// mayBeListed tells whether an entry that failed may be this module.
func (u *update) mayBeListed(m module.Module) bool {
	for _, w := range u.unnamed {
		wants, err := oci.ParseReference(w.Image)
		has, errHas := oci.ParseReference(m.Image)
		switch {
		case w.Name != "":
			if w.Name == m.Name {
				return true
			}
		case err != nil || errHas != nil:
			return true
		case wants.Registry == has.Registry && wants.Repository == has.Repository &&
			path.Base(wants.Path) == path.Base(has.Path): // the module's path is absolute
			return true
		}
	}
	return false
}

// tell says what was done with a module.
func (u *update) tell(s moduleState) {
	u.all.Modules = append(u.all.Modules, s)
	if u.context.Bool("json") {
		return
	}
	who := fault.OneLine(s.Name)
	if who == "" {
		who = fault.OneLine(s.Image)
	}
	would := ""
	if u.all.DryRun && (s.State == stateWritten || s.State == stateRemoved) {
		would = "would be "
	}
	if s.Why == "" {
		fmt.Fprintf(u.tool.stdout, "%s%s %s\n", would, s.State, who)
	} else {
		fmt.Fprintf(u.tool.stdout, "%s %s: %s\n", s.State, who, s.Why)
	}
	for _, h := range s.Hints {
		fmt.Fprintf(u.tool.stderr, "%s: hint: %s: %s\n", name, who, fault.OneLine(h))
	}
}

// moduleCheck looks whether every module of a tree still resolves.
func (t *tool) moduleCheck(c *cli.Context) error {
	tree, err := treeToCheck(c)
	if err != nil {
		return err
	}
	modules, states := modulesIn(tree)
	if len(modules)+len(states) == 0 {
		return fault.New(fault.Usage, "%s holds no module that hpc3 wrote", tree.Dir()).
			Hint(whichTree)
	}
	for _, s := range states {
		t.tellChecked(c, s)
	}
	var unknown error
	for _, m := range modules {
		s, err := t.checkModule(c, tree, m)
		if c.Err() != nil {
			return c.Err()
		}
		if s.State == stateUnknown && unknown == nil {
			unknown = err
		}
		states = append(states, s)
		t.tellChecked(c, s)
	}
	broken, err := t.printChecked(c, moduleStates{1, tree.Dir(), "", false, states})
	switch {
	case err != nil:
		return err
	case broken:
		return errNo
	}
	return unknown
}

const whichTree = "name the directory that -o or --update named"

// treeToCheck opens the tree that the command line names.
func treeToCheck(c *cli.Context) (module.Tree, error) {
	switch c.NArg() {
	case 0:
		return module.Tree{}, fault.New(fault.Usage,
			"hpc3 module check takes a directory of modules").
			Hint("see %s module check --help", name)
	case 1:
		return treeOf(c.Args().First(), whichTree)
	}
	return module.Tree{}, fault.New(fault.Usage,
		"one directory is expected, and %q was given as well", c.Args().Get(1)).
		Hint("see %s module check --help", name)
}

// modulesIn returns the modules of a tree, and what is no module that can be read.
func modulesIn(tree module.Tree) (modules []module.Module, unread []moduleState) {
	modules, err := tree.Modules()
	errs := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		errs = joined.Unwrap()
	}
	for _, err := range errs {
		if err != nil {
			s := moduleState{Name: "a module", State: stateBroken}
			s.Why = fault.OneLine(err.Error())
			_, s.Hints, _ = fault.Of(err, fault.Config)
			unread = append(unread, s)
		}
	}
	return modules, unread
}

// checkModule returns the state of one module, and why it has it.
func (t *tool) checkModule(
	c *cli.Context, tree module.Tree, m module.Module,
) (moduleState, error) {
	s := moduleState{Name: m.FullName(), Image: m.Image, State: stateResolves}
	err := tree.Verify(m)
	if err == nil {
		err = t.resolves(c, m)
	}
	if err == nil {
		return s, nil
	}
	s.State, s.Why = stateBroken, fault.OneLine(err.Error())
	if unanswered(err) {
		s.State = stateUnknown
	}
	_, s.Hints, _ = fault.Of(err, fault.Engine)
	return s, err
}

func (t *tool) resolves(c *cli.Context, m module.Module) error {
	road, err := t.road(c)
	if err != nil {
		return err
	}
	teller := t.teller(c, road)
	teller.Watch(road.Progress)
	defer teller.Stop()
	return lacking(road.CheckModule(c.Context, m))
}

// unanswered tells whether a registry or the cache is in the way of an answer. What a registry gave
// and what is no image is an answer.
func unanswered(err error) bool {
	switch fault.ClassOf(err) {
	case fault.Network, fault.Auth, fault.Cache:
		return true
	case fault.Registry:
		return !errors.Is(err, oci.ErrUnusable)
	default:
		return errors.Is(err, context.DeadlineExceeded)
	}
}

// tellChecked says what was found out about a module.
func (t *tool) tellChecked(c *cli.Context, s moduleState) {
	switch {
	case c.Bool("json"), s.State == stateResolves && !c.Bool("verbose"):
	case s.State == stateResolves:
		fmt.Fprintf(t.stdout, "%s: it resolves\n", s.Name)
	case s.State == stateUnknown:
		fmt.Fprintf(t.stdout, "%s: it could not be found out: %s\n", s.Name, s.Why)
	default:
		fmt.Fprintf(t.stdout, "%s: %s\n", s.Name, s.Why)
	}
}

// printChecked prints the sum of a check, and tells whether a module does not resolve.
func (t *tool) printChecked(c *cli.Context, all moduleStates) (bool, error) {
	count := map[string]int{}
	for _, s := range all.Modules {
		count[s.State]++
	}
	n, broken, unknown := len(all.Modules), count[stateBroken], count[stateUnknown]
	if c.Bool("json") {
		return broken > 0, t.json(all)
	}
	if broken == 0 && unknown == 0 {
		fmt.Fprintf(t.stdout, "%s resolve%s\n", modulesOf(n), "s"[:singular(n)])
	}
	if broken > 0 {
		fmt.Fprintf(t.stdout, "%d of %s do%s not resolve\n",
			broken, modulesOf(n), "es"[:2*singular(broken)])
	}
	if unknown > 0 {
		fmt.Fprintf(t.stdout, "%d of %s could not be checked\n", unknown, modulesOf(n))
	}
	return broken > 0, nil
}

func modulesOf(n int) string { return fmt.Sprintf("%d module%s", n, "s"[:1-singular(n)]) }

// singular is 1 for one, and 0 for several.
func singular(n int) int {
	if n == 1 {
		return 1
	}
	return 0
}
