// Package launcher is the road: probe the node, choose the best entry of the image index, obtain
// that entry only as a SIF, and run it. It walks through the rooms in this order, and decides
// nothing.
//
// This file is the walk. Beside it are the engine's choice, what a start is refused for, and the
// walks of the tools, which go as far as they need.
package launcher

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/caches"
	"github.com/hpc3-project/hpc3/launcher/choose"
	"github.com/hpc3-project/hpc3/launcher/convert"
	"github.com/hpc3-project/hpc3/launcher/device"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/image"
	"github.com/hpc3-project/hpc3/launcher/nodes"
	"github.com/hpc3-project/hpc3/launcher/notes"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/run"
	"github.com/hpc3-project/hpc3/launcher/run/apptainer"
	"github.com/hpc3-project/hpc3/launcher/run/inside"
	"github.com/hpc3-project/hpc3/launcher/run/native"
	"github.com/hpc3-project/hpc3/launcher/settings"
	"github.com/hpc3-project/hpc3/launcher/site"
	"github.com/hpc3-project/hpc3/launcher/slurm"
	"github.com/hpc3-project/hpc3/probe"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// Road is one walk: what it goes by, and where it tells what it does.
type Road struct {
	settings.Settings
	notes.Notes
	Version   string
	Given     *facts.Node // choose for this node instead of probing
	ProbeRoot string      // probe the recorded node below this directory
	Parent    int         // the process with which the command is to end; 0: none

	TellVariant func(variant string) // told when the image is on the node; nil for nobody

	opened    *caches.Caches // see caches
	engine    *Engine        // see Engine
	toldFiles bool           // see tellFiles
}

// Start is a command that is ready to be started: its image lies on this node.
type Start struct {
	Plan   run.Plan
	server *native.Server // started ahead; nil for none
	source *image.Source  // nil before there is one
}

// Exec becomes the command. It returns only with an error.
func (s *Start) Exec(ctx context.Context) error { return run.Exec(ctx, s.Plan, s.server) }

// Close lets go of what a start that does not come holds.
func (s *Start) Close() {
	if s.server != nil {
		_ = s.server.Close() // it is open
	}
	if s.source != nil {
		s.source.Close()
	}
}

// Ready walks the road up to the start of a command.
func (r *Road) Ready(ctx context.Context, name string, command []string) (*Start, error) {
	if err := r.refusePlatform(); err != nil {
		return nil, err
	}
	s := &Start{server: r.serveAhead(ctx)}
	if err := r.walk(ctx, s, name, command); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// walk is the road itself.
func (r *Road) walk(ctx context.Context, s *Start, name string, command []string) error {
	if err := r.possible(command); err != nil {
		return err
	}
	request, err := r.request(ctx, name)
	if err != nil {
		return err
	}
	s.source = r.source(request.Reference, false)
	chosen, err := r.choose(ctx, request, s.source)
	if err != nil {
		return err
	}
	engine, err := r.Engine(ctx)
	if err != nil {
		return err
	}
	chosen, img, err := r.obtain(ctx, chosen, request, s.source)
	if err != nil {
		return err
	}
	if err := r.refuseArch(img); err != nil {
		return err
	}
	if err := r.compareRanks(chosen); err != nil {
		return err
	}
	if r.TellVariant != nil {
		r.TellVariant(provenance(chosen, img.Contents).Variant)
	}
	r.Clock.Done("engine", string(engine.Name))
	s.Plan, err = r.plan(ctx, chosen, img, engine, command)
	if err == nil && chosen.Found() {
		s.Plan.Image.Cached, s.Plan.Image.Aside = true, s.source.Aside(img.Path)
	}
	return err
}

// request reads what the user named, and finds the nodes that the image is chosen for; none for a
// SIF.
func (r *Road) request(ctx context.Context, name string) (choose.Request, error) {
	if r.Site.PassedBy != "" {
		r.Notef("HPC3_CONFIG is passed by, since jobs follow the site's file: %s", r.Site.PassedBy)
	}
	ref, err := choose.Reference(name, r.Settings)
	if err != nil {
		return choose.Request{}, err
	}
	r.tellFiles()
	for _, warning := range r.Host.Misspelt() {
		r.Sayf("%s", warning)
	}
	request := r.requestFor(ref, name)
	if ref.Transport == oci.SIF {
		return request, nil
	}
	if request.Nodes, err = r.nodes().All(ctx); err != nil {
		return choose.Request{}, err
	}
	r.Notef("node: %s", nodes.Line(request.Nodes, r.Option.Platform))
	return request, nil
}

// requestFor says what a reference is chosen by, except for the nodes.
func (r *Road) requestFor(ref oci.Reference, written string) choose.Request {
	labels := append([]string{}, r.Site.Labels...)
	for _, host := range r.Site.Hosts {
		labels = append(labels, host.Labels...)
	}
	return choose.Request{
		Reference: ref, Written: written, Platform: r.Option.Platform, Variants: r.Option.Variants,
		Variant: r.Option.Variant, Force: r.Option.Force, Labels: labels,
		TagPatterns: r.Site.TagPatternsOf(ref.Registry + "/" + ref.Repository),
		CPUFeatures: r.Site.CPUFeatures, WarnMismatch: r.Site.LabelMismatch == "warn",
		NoNext: r.Option.NodesFile != "",
	}
}

// nodes finds the nodes that the image is chosen for.
func (r *Road) nodes() nodes.Finder {
	return nodes.Finder{
		Settings: r.Settings, Notes: r.Notes, Given: r.Given, Root: r.ProbeRoot,
		Answers: func() probe.Answers {
			if own, err := r.caches().Own(); err == nil {
				return own
			}
			return nil
		},
	}
}

// source is where an image's documents and layers come from. If it only looks, no command is to
// start.
func (r *Road) source(ref oci.Reference, looks bool) *image.Source {
	return image.Open(ref, image.Options{
		Settings: r.Settings, Notes: r.Notes, Caches: r.caches(), Version: r.Version, Looks: looks,
	})
}

// caches are those of the walk.
func (r *Road) caches() *caches.Caches {
	if r.opened == nil {
		r.opened = caches.New(&r.Settings, &r.Notes)
	}
	return r.opened
}

// choose chooses the image. A SIF is one already.
func (r *Road) choose(
	ctx context.Context, request choose.Request, from *image.Source,
) (choose.Chosen, error) {
	if request.Reference.Transport == oci.SIF {
		return choose.Chosen{Reference: request.Reference, At: -1}, nil
	}
	return choose.Image(ctx, request, from, r.Notes)
}

// obtain brings the image to this node: the chosen one or, if that does not fit as its conversion
// has shown, the next best.
func (r *Road) obtain(
	ctx context.Context, chosen choose.Chosen, request choose.Request, from *image.Source,
) (_ choose.Chosen, img image.Image, err error) {
	if chosen.Found() {
		chosen, err = r.fitting(ctx, chosen, request, from, func(c choose.Chosen) error {
			img.Close()
			img, err = from.Obtain(ctx, c)
			return err
		})
		if err != nil {
			img.Close()
		}
		return chosen, img, err
	}
	r.Notef("image: %s", chosen.Reference.Path)
	path, err := filepath.Abs(chosen.Reference.Path)
	if err != nil {
		return chosen, img, fault.New(fault.Reference, "finding %s: %w", chosen.Reference, err)
	}
	img, err = image.File(chosen.Reference, path)
	return chosen, img, err
}

// fitting has take obtain a chosen image and, if that turns out not to fit, the next best. A second
// surprise is an error: each costs a conversion.
func (r *Road) fitting(
	ctx context.Context, chosen choose.Chosen, request choose.Request, from *image.Source,
	take func(choose.Chosen) error,
) (choose.Chosen, error) {
	if err := take(chosen); err != nil {
		return chosen, err
	}
	next, err := choose.Again(ctx, chosen, request, from, r.Notes)
	if err != nil || next.Entry.Digest == chosen.Entry.Digest {
		return next, err
	}
	if err := take(next); err != nil {
		return next, err
	}
	request.NoNext = true
	return choose.Again(ctx, next, request, from, r.Notes)
}

// possible refuses what can be refused before anything is known of the image.
func (r *Road) possible(command []string) error {
	asked := inside.Command{
		Args: command, Entrypoint: r.Option.Entrypoint, KeepPrivs: r.Option.KeepPrivs,
	}
	return run.Possible(asked, inside.Place{Mounts: r.Option.Mounts, Cwd: r.Host.Cwd})
}

// plan says how the command starts.
func (r *Road) plan(
	ctx context.Context, chosen choose.Chosen, img image.Image, engine Engine, command []string,
) (run.Plan, error) {
	config, has, err := configOf(img.Contents)
	if err != nil {
		return run.Plan{}, err
	}
	origin := provenance(chosen, img.Contents)
	p := run.Plan{
		Image: inside.Image{
			SIF: img.Path, Offset: img.Contents.Offset, Overlay: img.Contents.Overlay,
			Sums: inside.Checksums(img.Contents.Sums), Config: config, HasConfig: has,
			CUDACompat: r.relies(chosen),
		},
		Command: inside.Command{
			Args: command, Entrypoint: r.Option.Entrypoint, Dotfiles: r.Option.Dotfiles,
			Prompt: prompt(r.Option.Prompt, chosen.Reference.Name), Workdir: r.Option.Workdir,
			SetEnv: r.environment(origin), CleanEnv: r.Option.CleanEnv,
			KeepPrivs: r.Option.KeepPrivs, Parent: r.Parent, ErrorPrefix: "hpc3-run",
		},
		Place:  r.place(),
		Engine: engine.Name, SquashFS: r.Option.SquashFS, Auto: r.Option.Engine != option.Apptainer,
		Apptainer: apptainer.Program{Path: engine.Path, Conf: engine.Conf},
		To: inside.Listener{
			Note: r.Note, Detail: r.Detail,
			Warn: func(text string) { r.Sayf("warning: %s", text) },
		},
		Settled: func(name option.Engine) { r.tellSite(ctx, origin, name) },
		Memory: apptainer.Memory{
			Keep: r.caches().KeepFile, Proven: r.caches().Proven, Prove: r.caches().Prove,
		},
	}
	p.Hold(img.Held)
	return p, nil
}

// relies returns the CUDA release that the image has to bring; none where it is run regardless.
func (r *Road) relies(chosen choose.Chosen) string {
	if r.Option.Force {
		return ""
	}
	return chosen.CUDACompat
}

// place is where the command starts.
func (r *Road) place() inside.Place {
	client, clientUser := r.slurmClient()
	return inside.Place{
		HostEnv: r.Host.Environ, Home: r.Host.Getenv("HOME"), Cwd: r.Host.Cwd,
		Mounts: r.Option.Mounts, MountHome: r.Option.MountHome, Extra: r.places(),
		Writable: r.Option.Writable, Client: client, ClientUser: clientUser, Share: r.share(),
	}
}

// share says whether the tasks of a step are to share a container.
func (r *Road) share() inside.Share {
	switch {
	case !r.Option.Share:
		return inside.ShareNever
	case r.Option.ShareAsked:
		return inside.ShareAsked
	}
	return inside.ShareByEngine
}

// configOf returns the image's config, and whether it has one.
func configOf(contents convert.Contents) (oci.Config, bool, error) {
	if len(contents.Config) == 0 {
		return oci.Config{}, false, nil
	}
	config, err := oci.ParseConfig(contents.Config)
	return config, err == nil, err
}

// provenance says where the image came from: from this choice or, for a SIF, from what its maker
// wrote into it.
func provenance(chosen choose.Chosen, contents convert.Contents) convert.Provenance {
	if !chosen.Found() {
		p := contents.Provenance
		p.Reference = chosen.Reference.String()
		return p
	}
	return convert.Provenance{
		Reference: chosen.Reference.String(), IndexDigest: chosen.Index.Digest,
		ManifestDigest: chosen.Entry.Digest, Variant: chosen.Platform(),
	}
}

// environment returns what the command is told about its image, and what the user sets. A variable
// that the user passes but that is not set stays unset.
func (r *Road) environment(p convert.Provenance) []string {
	var env []string
	for _, v := range []option.EnvVar{
		{Name: "HPC3_IMAGE_REF", Value: p.Reference},
		{Name: "HPC3_INDEX_DIGEST", Value: p.IndexDigest},
		{Name: "HPC3_IMAGE_DIGEST", Value: p.ManifestDigest},
		{Name: "HPC3_VARIANT", Value: p.Variant},
	} {
		if v.Value != "" {
			env = append(env, v.String())
		}
	}
	for _, v := range r.Option.Env {
		if !v.Pass {
			env = append(env, v.String())
			continue
		}
		for _, e := range r.Host.Environ {
			if strings.HasPrefix(e, v.Name+"=") {
				env = append(env, e)
			}
		}
	}
	return env
}

// places are directories of this node that a rank of MPI may need, and that no variable names.
func (r *Road) places() []string {
	root := os.DirFS("/")
	return slurm.PMIxDirs(root, r.Host.SlurmConf(), nodes.Slurm(r.Host), r.Host.Getenv, os.Getuid())
}

// slurmClient is what a container gets of Slurm's client, and SlurmUser: in jobs, if the site wants
// it.
func (r *Road) slurmClient() (*device.Client, string) {
	if !r.Site.SlurmClient || r.Host.Getenv("SLURM_JOB_ID") == "" {
		return nil, ""
	}
	c, ok := slurm.ClientOf(os.DirFS("/"), r.Host.SlurmConf())
	if !ok {
		r.Notef("slurm_client: this node has no slurm.conf")
		return nil, ""
	}
	if r.Site.File != "" { // which the plugin reads
		c.Plugins = append(c.Plugins, r.Site.File)
	}
	return &device.Client{Conf: c.Conf, Files: c.Plugins}, c.User
}

// tellFiles tells which files and directories the walk goes by.
func (r *Road) tellFiles() {
	if r.Detail == nil || r.toldFiles {
		return
	}
	r.toldFiles = true
	r.Detailf("file: %s: the site's settings",
		cmp.Or(r.Site.File, site.DefaultFile+", which is not there"))
	if file := r.Host.UserFile(); file != "" {
		state := ""
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			state = ", which is not there"
		}
		r.Detailf("file: %s%s: your settings", file, state)
	}
	for _, t := range r.caches().Tiers() {
		state := "of the site"
		if t.Home {
			state = "in your home, for reading"
		}
		if t.Err != nil {
			state += ", passed over: " + fault.Reason(t.Err).Error()
		}
		r.Detailf("cache: %s: %s", t.Dir, state)
	}
	r.Detailf("cache: %s: yours", r.caches().Dir())
}
