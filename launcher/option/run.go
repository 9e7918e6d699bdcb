package option

import "slices"

// Run is what holds for one run after all sources of settings are merged.
type Run struct {
	Host       bool // the command runs on the host, without a container
	Mounts     []Mount
	Env        []EnvVar // with the files as they are named, see ReadEnvFiles
	CleanEnv   bool     // of the caller's variables only those of a login and of the job
	Workdir    string   // "" = the caller's where it exists, else the image's
	Entrypoint Entrypoint
	Writable   bool
	MountHome  bool
	Dotfiles   bool   // the login shell reads the user's own files
	Prompt     string // what stands before a login shell's prompt; a yes is the image's name, a no nothing
	KeepPrivs  bool   // root keeps capabilities
	Share      bool   // one container for the tasks that a step has on a node
	ShareAsked bool   // somebody has said so
	Engine     Engine
	SquashFS   SquashFS
	Pull       Pull
	Platform   string // "" = this node
	NodesFile  string // "" = this node alone
	Variant    string // "" = the best
	Variants   Variants
	Force      bool
	DryRun     bool
	JSON       bool
	Time       bool
	AuthFile   string
	Quiet      bool
	Verbose    bool
	Debug      bool

	CacheMaxAge  Age  // of what hpc3 cache gc keeps
	CacheMaxSize Size // of what it keeps
	LayerCache   LayerCache
}

// Merge lays the sources over the defaults, the weakest first. Of mounts and variables all sources count: a later
// mount replaces one at the same target, a later variable one of the same name. Within a source a variable wins over those of a file.
func Merge(sources ...Settings) Run {
	r := Run{
		Entrypoint: Login, MountHome: true, Prompt: "yes", Share: true, Engine: Auto, SquashFS: AnySquashFS, Pull: Missing, Variants: AnyVariants,
		CacheMaxAge: Ageless(), CacheMaxSize: Unlimited(), LayerCache: LayerCache{Auto: true},
	}
	for _, s := range sources {
		for _, m := range s.Mounts {
			r.Mounts = replace(r.Mounts, m, func(old Mount) bool { return old.Target == m.Target })
		}
		for _, file := range s.EnvFiles {
			r.Env = append(r.Env, EnvVar{File: file})
		}
		for _, v := range s.Env {
			r.Env = replace(r.Env, v, func(old EnvVar) bool { return old.Name == v.Name })
		}
		if s.Container != nil {
			r.Host = !*s.Container
		}
		set(&r.Workdir, s.Workdir)
		choose(&r.Entrypoint, s.Entrypoint)
		set(&r.CleanEnv, s.CleanEnv)
		set(&r.Writable, s.Writable)
		set(&r.MountHome, s.MountHome)
		set(&r.Dotfiles, s.Dotfiles)
		set(&r.Prompt, s.Prompt)
		set(&r.KeepPrivs, s.KeepPrivs)
		set(&r.Share, s.Share)
		r.ShareAsked = r.ShareAsked && r.Share || s.Share != nil && *s.Share
		choose(&r.Engine, s.Engine)
		choose(&r.SquashFS, s.SquashFS)
		choose(&r.Pull, s.Pull)
		set(&r.Platform, s.Platform)
		set(&r.NodesFile, s.NodesFile)
		set(&r.Variant, s.Variant)
		choose(&r.Variants, s.Variants)
		set(&r.Force, s.Force)
		set(&r.DryRun, s.DryRun)
		set(&r.JSON, s.JSON)
		set(&r.Time, s.Time)
		set(&r.AuthFile, s.AuthFile)
		set(&r.Quiet, s.Quiet)
		set(&r.Verbose, s.Verbose)
		set(&r.Debug, s.Debug)
		set(&r.CacheMaxAge, s.CacheMaxAge)
		set(&r.CacheMaxSize, s.CacheMaxSize)
		set(&r.LayerCache, s.LayerCache)
	}
	return r
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

func choose[T word](to *T, from *Choice[T]) {
	if from != nil {
		*to = from.Value
	}
}

func replace[T any](list []T, item T, same func(T) bool) []T {
	return append(slices.DeleteFunc(list, same), item)
}
