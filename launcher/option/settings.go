package option

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Settings is what one source of settings says: the command line, the environment, the user's file
// or the site's. A nil field says nothing. The TOML names are the keys of both files.
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

	// No option sets these: they are read from the files only.
	CacheMaxAge  *Age        `toml:"cache_max_age"`
	CacheMaxSize *Size       `toml:"cache_max_size"`
	LayerCache   *LayerCache `toml:"layer_cache"`
}

// Keys returns the TOML keys of Settings, in the order of its fields.
func Keys() []string {
	t := reflect.TypeFor[Settings]()
	keys := make([]string, t.NumField())
	for i := range keys {
		keys[i] = t.Field(i).Tag.Get("toml")
	}
	return keys
}

// Field returns the field of a key: a pointer or a slice, which is nil if the source does not set
// it. The zero Value means that Settings has no such key.
func (s *Settings) Field(key string) reflect.Value {
	i := slices.Index(Keys(), key)
	if i < 0 {
		return reflect.Value{}
	}
	return reflect.ValueOf(s).Elem().Field(i)
}

// Words returns what the option takes, if that is one of a few words.
func (o Option) Words() []string {
	field := new(Settings).Field(o.SettingsKey())
	if field.Kind() != reflect.Pointer {
		return nil
	}
	zero := reflect.Zero(field.Type().Elem()).Interface()
	if choice, ok := zero.(interface{ Words() []string }); ok {
		return choice.Words()
	}
	return nil
}

// Set sets the option with this name from its text. Lists grow, everything else is replaced.
func (s *Settings) Set(name, value string) error {
	o, known := Find(name)
	if !known {
		return fmt.Errorf("no option is called %q", name)
	}
	field := s.Field(o.SettingsKey())
	if !field.IsValid() {
		return fmt.Errorf("no setting is called %q", o.SettingsKey())
	}
	switch to := field.Addr().Interface().(type) {
	case **bool:
		on, err := parseBool(value)
		if err != nil {
			return err
		}
		on = on != (o.Kind == Opposite)
		*to = &on
	case **string:
		*to = &value
	case *[]Mount:
		mounts, err := ParseMounts(value)
		*to = append(*to, mounts...)
		return err
	case *[]EnvVar:
		v, err := ParseEnvVar(value)
		*to = append(*to, v)
		return err
	case *[]string:
		if value == "" {
			return errors.New("no file is named")
		}
		*to = append(*to, value)
	default:
		return setWord(field, value)
	}
	return nil
}

// setWord sets a field whose type reads its own text.
func setWord(field reflect.Value, value string) error {
	field.Set(reflect.New(field.Type().Elem()))
	word, ok := field.Interface().(encoding.TextUnmarshaler)
	if !ok {
		return fmt.Errorf("%s cannot be read from text", field.Type())
	}
	return word.UnmarshalText([]byte(value))
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
