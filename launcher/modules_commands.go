package launcher

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/module"
	"github.com/hpc3-project/hpc3/launcher/programs"
)

// MissingError says that an image does not have commands.
type MissingError struct {
	Reference string
	Commands  []string // those that are missing, in the order in which they were asked for
	Path      []string // the directories that were searched
	There     []string // what the image has instead, beyond its base system, sorted
}

func (e *MissingError) Error() string {
	which := "command " + e.Commands[0]
	if len(e.Commands) > 1 {
		which = "commands " + strings.Join(e.Commands, ", ")
	}
	return fmt.Sprintf("%s has no %s in its PATH, %s", e.Reference, which,
		strings.Join(e.Path, ":"))
}

// Where the commands of a module are from.
const (
	fromLabel  = "label"
	fromOption = "option"
	fromImage  = "image"
)

// commands returns the commands of a module, sorted, and where they are from.
func (l *look) commands(ctx context.Context, w module.Wanted) ([]string, string, error) {
	if len(w.Commands) > 0 {
		commands, err := l.asked(ctx, sorted(w.Commands))
		return commands, fromOption, err
	}
	if !w.All {
		named, err := l.labelled()
		if err == nil && len(named) > 0 {
			named, err = l.confirmed(ctx, named)
		}
		if err != nil || len(named) > 0 {
			return named, fromLabel, err
		}
	}
	commands, err := l.beyond(ctx)
	return commands, fromImage, err
}

// asked returns the commands that the user names, if the image has them. What its label names needs
// no look into the image.
func (l *look) asked(ctx context.Context, commands []string) ([]string, error) {
	named, err := l.labelled()
	if err != nil {
		l.remark("%s", fault.Reason(err))
	}
	if !containsAll(named, commands) {
		err = l.open(ctx)
	} else {
		err = l.openCached()
	}
	if err != nil || l.img == nil {
		return commands, err
	}
	return commands, l.missing(ctx, commands)
}

// labelled returns the commands that the author's label names, sorted.
func (l *look) labelled() ([]string, error) {
	named, err := module.ParseNames(l.labels[labelCommands])
	for _, c := range named {
		if err == nil {
			err = module.CheckCommand(c)
		}
	}
	if err != nil {
		return nil, fault.New(fault.Reference, "%s: its label %s: %s", l.ref, labelCommands,
			fault.Reason(err)).
			Hint("tell the author of the image, or name the commands: --commands A,B")
	}
	return sorted(named), nil
}

// confirmed leaves out commands of the label that the image lacks. It is looked into only if a
// cache has it.
func (l *look) confirmed(ctx context.Context, named []string) ([]string, error) {
	if err := l.openCached(); err != nil || l.img == nil {
		return named, err
	}
	plain := l.readPath() // has most of them; to ask the image's shell starts a container
	var there []string
	for _, c := range named {
		if l.find(plain, c) == "" && l.find(l.path(ctx), c) == "" {
			l.Sayf("warning: %s: its label names the command %s, and the image has none",
				l.ref, c)
			continue
		}
		there = append(there, c)
	}
	if len(there) == 0 {
		return nil, l.missing(ctx, named)
	}
	return there, nil
}

// find returns the file of a command in the image, which is open; "" for none.
func (l *look) find(path []string, command string) string {
	return programs.Image{FS: l.img.files.FS}.Find(path, command)
}

// missing returns an error if the image, which is open, lacks commands.
func (l *look) missing(ctx context.Context, commands []string) error {
	path := l.path(ctx)
	e := &MissingError{Reference: l.ref.String(), Path: path}
	for _, c := range commands {
		if l.find(path, c) == "" {
			e.Commands = append(e.Commands, c)
		}
	}
	if len(e.Commands) == 0 {
		return nil
	}
	if there, _, err := l.programs(ctx).Beyond(path); err == nil {
		e.There, _ = usableCommands(there)
	}
	return fault.New(fault.Exec, "%w", e)
}

// maxFound bounds the commands that are found: a module of more is a slip, such as a PATH that
// leads to data. An environment of conda has some 1500.
const maxFound = 4096

// beyond returns the commands that the image has beyond its base system.
func (l *look) beyond(ctx context.Context) ([]string, error) {
	if err := l.open(ctx); err != nil {
		return nil, err
	}
	path := l.path(ctx)
	found, notes, err := l.programs(ctx).Beyond(path)
	if err != nil {
		return nil, fault.New(fault.Engine, "looking for the commands of %s: %w", l.ref, err)
	}
	l.notes = append(l.notes, notes...)
	commands, left := usableCommands(found)
	for _, why := range left {
		l.Notef("left out: %s", why)
	}
	if len(commands) > maxFound {
		return nil, fault.New(fault.Exec, "%s has %d commands beyond its base system, "+
			"and a module of them has %d at most", l.ref, len(commands), maxFound).
			Hint("name the commands that the module is to have: --commands A,B")
	}
	if len(commands) == 0 {
		return nil, fault.New(fault.Exec,
			"%s has no command beyond its base system in its PATH, %s", l.ref,
			strings.Join(path, ":")).
			Hint("name the commands that the module is to have: --commands A,B")
	}
	return commands, nil
}

// shells are in every system, and a user's scripts mean the node's. Where no package data base says
// so, they are no commands of a module unless somebody names them.
var shells = []string{ //nolint:gochecknoglobals // a constant list
	"ash", "bash", "csh", "dash", "ksh", "sh", "tcsh", "zsh",
}

// usableCommands returns those that a shim can be made for, and why not the others.
func usableCommands(found []string) (commands, left []string) {
	for _, c := range found {
		if err := module.CheckCommand(c); err != nil {
			left = append(left, fault.Reason(err).Error())
			continue
		}
		if slices.Contains(shells, c) {
			left = append(left, c+": it would replace the user's own")
			continue
		}
		commands = append(commands, c)
	}
	return commands, left
}

// sorted returns a list sorted, each word once.
func sorted(list []string) []string {
	list = slices.Sorted(slices.Values(list))
	return slices.Compact(list)
}

func containsAll(list, wanted []string) bool {
	return !slices.ContainsFunc(wanted, func(w string) bool { return !slices.Contains(list, w) })
}
