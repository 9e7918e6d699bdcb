package launcher

import (
	"cmp"
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
	own, err := r.by(w.Options)
	if err != nil {
		return FoundModule{}, err
	}
	l := &look{Road: own, launcher: launcher}
	defer l.close()
	if err := l.take(ctx, w.Image, false); err != nil {
		return FoundModule{}, err
	}
	m := module.Module{
		SchemaVersion: 1, IndexDigest: l.chosen.Index.Digest, ImageDigest: l.digest(),
		Options: w.Options, Formats: w.Formats, Default: w.Default, Listed: w.Line > 0,
		Launcher: launcher,
	}
	err = l.identify(&m, w)
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
	fresh, err := r.by(m.Options)
	if err != nil {
		return err
	}
	fresh.Option.Pull = option.Always
	l := &look{Road: fresh, launcher: m.Launcher}
	defer l.close()
	if err := l.take(ctx, m.Image, true); err != nil {
		return err
	}
	index, digest := l.chosen.Index.Digest, l.digest()
	if index != "" && index == m.IndexDigest || digest != "" && digest == m.ImageDigest {
		return nil // the commands were found in this image, or in another of this index
	}
	if named, err := l.labelled(); err == nil && len(named) > 0 && containsAll(named, m.Commands) {
		return nil
	}
	if err := l.open(ctx); err != nil {
		return err
	}
	return l.missing(ctx, m.Commands)
}

// by returns a road that chooses by options of a module, as its commands will.
func (r *Road) by(options map[string][]string) (*Road, error) {
	var s option.Settings
	for _, name := range []string{"variants", "variant", "platform", "authfile"} {
		for _, value := range options[option.KeyOf(name)] {
			if err := s.Set(name, value); err != nil {
				return nil, fault.New(fault.Config, "the option %s of a module: %w", name, err)
			}
		}
	}
	own, said := *r, option.Merge(s)
	own.opened = nil // the caches go by the road's own options
	if s.Variants != nil {
		own.Option.Variants = said.Variants
	}
	own.Option.Variant = cmp.Or(said.Variant, own.Option.Variant)
	own.Option.Platform = cmp.Or(said.Platform, own.Option.Platform)
	own.Option.AuthFile = cmp.Or(said.AuthFile, own.Option.AuthFile)
	return &own, nil
}
