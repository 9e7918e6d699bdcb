package option

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Entrypoint is what stands in front of the command.
type Entrypoint string

// The entrypoint modes.
const (
	Login Entrypoint = "login" // a login shell that runs the command with exact arguments
	Image Entrypoint = "image" // the image's own ENTRYPOINT and CMD, as docker would
	None  Entrypoint = "none"  // the command as it is
)

// Engine is what runs the SIF.
type Engine string

// The engines.
const (
	Auto      Engine = "auto"      // Apptainer where it is installed and works, else native
	Apptainer Engine = "apptainer" // Apptainer
	Native    Engine = "native"    // hpc3's own, rootless
)

// SquashFS is what reads the file system of a SIF for hpc3's own engine.
type SquashFS string

// The readers.
const (
	AnySquashFS   SquashFS = "auto"       // the kernel for root on SIFs that root trusts, else what is best
	BuiltIn       SquashFS = "builtin"    // hpc3's own, over FUSE
	SquashfuseLL  SquashFS = "squashfuse" // squashfuse_ll, over FUSE
	KernelsDriver SquashFS = "kernel"     // the kernel's driver
)

// Pull is when the registry is asked.
type Pull string

// The pull policies.
const (
	Missing Pull = "missing" // only for what the cache lacks
	Always  Pull = "always"  // for the index each time
	Never   Pull = "never"   // not at all
)

// Variants is where the variants of an image are looked for.
type Variants string

// The places.
const (
	AnyVariants   Variants = "auto"  // in the index; where the reference names none, among the tags of the repository
	IndexVariants Variants = "index" // in the index only
	TagVariants   Variants = "tags"  // among the tags, beside what the reference names
)

// Choice is a word out of a few. It is a struct because the TOML decoder sets a plain string type without asking it.
type Choice[T word] struct{ Value T }

type word interface {
	~string
	known() []string
}

func (Entrypoint) known() []string { return []string{string(Login), string(Image), string(None)} }
func (Engine) known() []string     { return []string{string(Auto), string(Apptainer), string(Native)} }

func (SquashFS) known() []string {
	return []string{string(AnySquashFS), string(BuiltIn), string(SquashfuseLL), string(KernelsDriver)}
}

func (Pull) known() []string { return []string{string(Missing), string(Always), string(Never)} }

func (Variants) known() []string {
	return []string{string(AnyVariants), string(IndexVariants), string(TagVariants)}
}

// UnmarshalText reads one of the known words.
func (c *Choice[T]) UnmarshalText(b []byte) error {
	if known := T("").known(); !slices.Contains(known, string(b)) {
		return fmt.Errorf("%q is not one of %s", b, strings.Join(known, ", "))
	}
	c.Value = T(b)
	return nil
}

// UnmarshalText reads one mount.
func (m *Mount) UnmarshalText(b []byte) error {
	parsed, err := ParseMount(string(b))
	if err != nil {
		return err
	}
	*m = parsed
	return nil
}

// Settings is what one source of settings says: the command line, the environment, the user's file or the site's.
// A nil field says nothing. The TOML names are the keys of both files.
type Settings struct {
	Container  *bool               `toml:"container"`
	Mounts     []Mount             `toml:"container_mounts"`
	Env        []EnvVar            `toml:"container_env"`
	EnvFiles   []string            `toml:"container_env_file"`
	CleanEnv   *bool               `toml:"container_clean_env"`
	Workdir    *string             `toml:"container_workdir"`
	Entrypoint *Choice[Entrypoint] `toml:"container_entrypoint"`
	Writable   *bool               `toml:"container_writable"`
	MountHome  *bool               `toml:"container_mount_home"`
	Dotfiles   *bool               `toml:"container_dotfiles"`
	Prompt     *string             `toml:"prompt"`
	KeepPrivs  *bool               `toml:"keep_privs"`
	Share      *bool               `toml:"container_share"`
	Engine     *Choice[Engine]     `toml:"engine"`
	SquashFS   *Choice[SquashFS]   `toml:"squashfs"`
	Pull       *Choice[Pull]       `toml:"pull"`
	Platform   *string             `toml:"platform"`
	NodesFile  *string             `toml:"nodes_file"`
	Variant    *string             `toml:"variant"`
	Variants   *Choice[Variants]   `toml:"variants"`
	Force      *bool               `toml:"force"`
	DryRun     *bool               `toml:"dry_run"`
	JSON       *bool               `toml:"json"`
	Time       *bool               `toml:"time"`
	AuthFile   *string             `toml:"authfile"`
	Quiet      *bool               `toml:"quiet"`
	Verbose    *bool               `toml:"verbose"`
	Debug      *bool               `toml:"debug"`

	// These stand in files only.
	CacheMaxAge  *Age        `toml:"cache_max_age"`
	CacheMaxSize *Size       `toml:"cache_max_size"`
	LayerCache   *LayerCache `toml:"layer_cache"`
}

// Names are the long names of the options that Set knows, in the order of the manual.
var Names = []string{ //nolint:gochecknoglobals // a constant list
	"no-container", "container-mounts", "container-workdir", "container-env", "container-env-file", "container-clean-env", "no-container-clean-env",
	"container-entrypoint", "container-writable",
	"container-readonly", "container-mount-home", "no-container-mount-home", "container-dotfiles", "no-container-dotfiles", "prompt",
	"keep-privs", "container-share", "no-container-share",
	"platform", "nodes-file", "variant", "variants", "force", "pull", "engine", "squashfs", "dry-run", "json", "time", "authfile", "quiet", "verbose", "debug",
}

// Set sets the option with this long name from its text. Lists grow, all else is replaced.
func (s *Settings) Set(name, value string) error {
	switch name {
	case "container-mounts":
		mounts, err := ParseMounts(value)
		s.Mounts = append(s.Mounts, mounts...)
		return err
	case "container-env":
		v, err := ParseEnvVar(value)
		s.Env = append(s.Env, v)
		return err
	case "container-env-file":
		if value == "" {
			return errors.New("no file is named")
		}
		s.EnvFiles = append(s.EnvFiles, value)
	case "container-workdir":
		s.Workdir = &value
	case "platform":
		s.Platform = &value
	case "nodes-file":
		s.NodesFile = &value
	case "variant":
		s.Variant = &value
	case "prompt":
		s.Prompt = &value
	case "authfile":
		s.AuthFile = &value
	case "container-entrypoint":
		s.Entrypoint = new(Choice[Entrypoint])
		return s.Entrypoint.UnmarshalText([]byte(value))
	case "pull":
		s.Pull = new(Choice[Pull])
		return s.Pull.UnmarshalText([]byte(value))
	case "variants":
		s.Variants = new(Choice[Variants])
		return s.Variants.UnmarshalText([]byte(value))
	case "engine":
		s.Engine = new(Choice[Engine])
		return s.Engine.UnmarshalText([]byte(value))
	case "squashfs":
		s.SquashFS = new(Choice[SquashFS])
		return s.SquashFS.UnmarshalText([]byte(value))
	default:
		return s.setBool(name, value)
	}
	return nil
}

func (s *Settings) setBool(name, value string) error {
	to := map[string]**bool{
		"no-container":        &s.Container,
		"container-clean-env": &s.CleanEnv, "no-container-clean-env": &s.CleanEnv,
		"container-writable": &s.Writable, "container-readonly": &s.Writable,
		"container-mount-home": &s.MountHome, "no-container-mount-home": &s.MountHome,
		"container-dotfiles": &s.Dotfiles, "no-container-dotfiles": &s.Dotfiles,
		"keep-privs": &s.KeepPrivs, "container-share": &s.Share, "no-container-share": &s.Share,
		"force": &s.Force, "dry-run": &s.DryRun, "json": &s.JSON, "time": &s.Time,
		"quiet": &s.Quiet, "verbose": &s.Verbose, "debug": &s.Debug,
	}[name]
	if to == nil {
		return fmt.Errorf("no option is called %q", name)
	}
	on, err := parseBool(value)
	if err != nil {
		return err
	}
	if name == "container-readonly" || strings.HasPrefix(name, "no-") {
		on = !on
	}
	*to = &on
	return nil
}

func parseBool(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "yes", "on", "y":
		return true, nil
	case "no", "off", "n":
		return false, nil
	}
	on, err := strconv.ParseBool(s)
	if err != nil {
		return false, fmt.Errorf("%q is neither yes nor no", s)
	}
	return on, nil
}
