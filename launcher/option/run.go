package option

import (
	"reflect"
	"slices"
)

// Run is what holds for one run after all sources of settings are merged.
type Run struct {
	Host       bool // the command runs on the node, without a container
	Mounts     []Mount
	Env        []EnvVar // files are named only, see ReadEnvFiles
	CleanEnv   bool     // of the caller's variables only those of a login and of the job
	Workdir    string   // "" = the caller's if it exists in the container, else the image's
	Entrypoint Entrypoint
	Writable   bool
	MountHome  bool
	Dotfiles   bool   // the login shell reads the user's own files
	Prompt     string // before a login shell's prompt; yes = the image's name, no = nothing
	KeepPrivs  bool   // root keeps capabilities
	Share      bool   // one container for the tasks that a step has on a node
	ShareAsked bool   // a source of settings asks for Share
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

	CacheMaxAge  Age  // of the files that hpc3 cache gc keeps
	CacheMaxSize Size // of all of them
	LayerCache   LayerCache
}

// Merge lays the sources over the defaults, the weakest first. Mounts and variables of all sources
// count: a later mount replaces one at the same target, a later variable one of the same name.
// Within a source a variable wins over the files.
func Merge(sources ...Settings) Run {
	r := Run{
		Entrypoint: Login, MountHome: true, Prompt: "yes", Share: true,
		Engine: Auto, SquashFS: AnySquashFS, Pull: Missing, Variants: AnyVariants,
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
		r.lay(s)
		r.ShareAsked = r.ShareAsked && r.Share || s.Share != nil && *s.Share
	}
	return r
}

// lay sets the fields that are called as those that a source sets.
func (r *Run) lay(s Settings) {
	from, to := reflect.ValueOf(s), reflect.ValueOf(r).Elem()
	for i := range from.NumField() {
		said := from.Field(i)
		if said.Kind() != reflect.Pointer || said.IsNil() {
			continue
		}
		field, value := to.FieldByName(from.Type().Field(i).Name), said.Elem()
		switch {
		case !field.IsValid(): // Container, which Host is made of
		case value.Type() == field.Type():
			field.Set(value)
		default: // a Choice
			field.Set(value.Field(0))
		}
	}
}

func replace[T any](list []T, item T, same func(T) bool) []T {
	return append(slices.DeleteFunc(list, same), item)
}
