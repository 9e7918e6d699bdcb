package launcher

import (
	"context"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/module"
	"github.com/hpc3-project/hpc3/launcher/option"
)

// FoundModule is what an image says of the module that is made of it.
type FoundModule struct {
	Module module.Module
	From   string   // where Commands are from: "label", "option" or "image"
	Notes  []string // what the user should know, in the order of the walk
}

// Module finds out what a module needs of its image. The result lacks what only a tree of modules
// knows. No layer is fetched if a label or the user names the commands. launcher is the path of
// hpc3-run, which asks the image for its PATH; "" if it is not known.
func (r *Road) Module(
	ctx context.Context, w module.Wanted, launcher string,
) (FoundModule, error) {
	for _, c := range w.Commands {
		if err := module.CheckCommand(c); err != nil {
			return FoundModule{}, fault.New(fault.Usage, "%w", err)
		}
	}
	l := &look{Road: r, launcher: launcher}
	defer l.close()
	if err := l.take(ctx, w.Image, false); err != nil {
		return FoundModule{}, err
	}
	m := module.Module{
		SchemaVersion: 1, IndexDigest: l.chosen.Index.Digest, ImageDigest: l.digest(),
		Options: w.Options, Formats: w.Formats, Default: w.Default, Listed: w.Line > 0,
		Launcher: launcher,
	}
	err := l.identify(&m, w)
	if err == nil {
		err = l.describe(&m, w)
	}
	if err != nil {
		return FoundModule{}, err
	}
	m.Variants = l.variants(ctx)
	commands, from, err := l.commands(ctx, w)
	m.Commands = commands
	return FoundModule{Module: m, From: from, Notes: l.notes}, err
}

// CheckModule tells whether a module still resolves: its image is there, and has its commands. The
// registry is asked, whatever the caches have. If that cannot be found out, the error is of the
// class of the fault: network or auth.
func (r *Road) CheckModule(ctx context.Context, m module.Module) error {
	fresh := *r
	fresh.Option.Pull = option.Always
	fresh.opened = nil
	l := &look{Road: &fresh, launcher: m.Launcher}
	defer l.close()
	if err := l.take(ctx, m.Image, true); err != nil {
		return err
	}
	if digest := l.digest(); digest != "" && digest == m.ImageDigest {
		return nil // the commands were found in this image
	}
	if named, err := l.labelled(); err == nil && len(named) > 0 && containsAll(named, m.Commands) {
		return nil
	}
	if err := l.open(ctx); err != nil {
		return err
	}
	return l.missing(ctx, m.Commands)
}
