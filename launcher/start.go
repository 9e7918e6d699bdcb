package launcher

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/convert"
	"github.com/hpc3-project/hpc3/launcher/device"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/run"
	"github.com/hpc3-project/hpc3/launcher/slurm"
	"github.com/hpc3-project/hpc3/launcher/store"
)

// Start is a command that is ready to be started: the image lies on this node.
type Start struct {
	Plan   run.Plan
	server *run.Server // started ahead; nil for none
}

// Exec becomes the command. It returns only with an error.
func (s Start) Exec(ctx context.Context) error { return run.Exec(ctx, s.Plan, s.server) }

// Prepare obtains the image and settles how its command is started.
func (r *Road) Prepare(ctx context.Context, c *Choice, command []string) (Start, error) {
	asked := run.Plan{Mounts: r.Option.Mounts, Cwd: r.Host.Cwd, KeepPrivs: r.Option.KeepPrivs, Entrypoint: r.Option.Entrypoint, Command: command}
	if err := asked.Possible(); err != nil {
		return Start{}, err
	}
	engine, apptainer, err := r.Engine(ctx)
	if err != nil {
		return Start{}, err
	}
	sif, held, err := r.hold(ctx, c)
	if err != nil {
		return Start{}, err
	}
	if sif, err = filepath.Abs(sif); err != nil {
		return Start{}, fault.New(fault.Reference, "finding %s: %w", c.Reference, err)
	}
	contents, err := convert.Inspect(sif)
	if err != nil {
		return Start{}, besides("", c.Reference, err)
	}
	if err := r.checkSIF(sif, contents); err != nil {
		return Start{}, err
	}
	config, has, err := imageConfig(contents)
	if err != nil {
		return Start{}, err
	}
	if err := r.compareRanks(c); err != nil {
		return Start{}, err
	}
	r.Clock.Done("engine", string(engine))
	client, clientUser := r.slurmClient()
	origin := provenance(c, contents)
	start := Start{Plan: run.Plan{
		SIF: sif, Cached: c.Reference.Transport != oci.SIF, PartitionOffset: contents.Offset, Overlay: contents.Overlay,
		Sums: run.Checksums(contents.Sums), Aside: r.aside(c, sif), Config: config, HasConfig: has,
		Engine: engine, Apptainer: apptainer, Conf: r.engine.conf, Auto: r.Option.Engine != option.Apptainer, Entrypoint: r.Option.Entrypoint, Command: command, Dotfiles: r.Option.Dotfiles,
		Mounts: r.Option.Mounts, Workdir: r.Option.Workdir, SetEnv: r.environment(origin), HostEnv: r.Host.Environ, CleanEnv: r.Option.CleanEnv,
		Writable: r.Option.Writable, KeepPrivs: r.Option.KeepPrivs, Alone: !r.Option.Share, ShareNS: r.Option.ShareAsked, Parent: r.Parent,
		MountHome: r.Option.MountHome, Home: r.Host.Getenv("HOME"), Cwd: r.Host.Cwd, Places: r.places(), Client: client, ClientUser: clientUser,
		Prompt: prompt(r.Option.Prompt, c.Reference.Name), SquashFS: r.Option.SquashFS, Keep: r.keepFile, Proven: r.proven, Prove: r.prove, Note: r.Note, Detail: r.Detail,
		Settled: func(engine option.Engine) { r.tellSite(ctx, origin, engine) },
		Warn:    func(text string) { r.waiting("warning: " + text) }, ErrorPrefix: "hpc3-run",
	}, server: r.server}
	start.Plan.Hold(held)
	return start, nil
}

// hold obtains the image, and keeps the SIF of a cache from being cleared until the file is closed.
func (r *Road) hold(ctx context.Context, c *Choice) (sif string, held *os.File, err error) {
	for range 3 { // hpc3 cache gc or rm may be quicker than we
		sif, err = r.Obtain(ctx, c)
		if err != nil || c.Reference.Transport == oci.SIF {
			return sif, nil, err
		}
		var gone bool
		if held, gone = store.Hold(sif); !gone {
			break
		}
	}
	return sif, held, nil
}

// places are directories of this node that a rank of MPI may need, and that no variable names.
func (r *Road) places() []string {
	return slurm.PMIxDirs(os.DirFS("/"), r.slurmConf(), r.slurmNode(), r.Host.Getenv, os.Getuid())
}

// slurmClient is what a container gets of Slurm's client, and SlurmUser: in jobs, where the site wants it.
func (r *Road) slurmClient() (*device.Client, string) {
	if !r.Site.SlurmClient || r.Host.Getenv("SLURM_JOB_ID") == "" {
		return nil, ""
	}
	c, ok := slurm.ClientOf(os.DirFS("/"), r.slurmConf())
	if !ok {
		r.note("slurm_client: this node has no slurm.conf")
		return nil, ""
	}
	if r.Site.File != "" { // which the plugin reads
		c.Plugins = append(c.Plugins, r.Site.File)
	}
	return &device.Client{Conf: c.Conf, Files: c.Plugins}, c.User
}

// proven tells whether this user's cache remembers that something has worked.
func (r *Road) proven(name string) bool {
	s, err := r.Store()
	return err == nil && s.Answer(name) != nil
}

func (r *Road) prove(name string) {
	if s, err := r.Store(); err == nil {
		_ = s.KeepAnswer(name, []byte("it works\n")) // where it cannot be kept it is tried again
	}
}

func (r *Road) keepFile(raw []byte) (file string, err error) {
	s, err := r.Store()
	if err != nil {
		return "", err
	}
	return s.KeepFile(raw)
}

func imageConfig(contents convert.Contents) (oci.Config, bool, error) {
	if len(contents.Config) == 0 {
		return oci.Config{}, false, nil
	}
	config, err := oci.ParseConfig(contents.Config)
	return config, err == nil, err
}

// provenance says where the image came from: from this choice or, for a SIF, from what its maker wrote into it.
func provenance(c *Choice, contents convert.Contents) convert.Provenance {
	if entry, ok := c.Entry(); ok {
		return convert.Provenance{Reference: c.Reference.String(), IndexDigest: c.Index.Digest, ManifestDigest: entry.Digest, Variant: platformOf(entry)}
	}
	p := contents.Provenance
	p.Reference = c.Reference.String()
	return p
}

// environment returns what the command is told about its image, and what the user sets. A variable that the user
// passes but that is not set stays unset.
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
