package option

import (
	"fmt"
	"strings"
)

// EnvVar is one variable that the user wants in the container.
type EnvVar struct {
	Name  string
	Value string
	Pass  bool // take the caller's value, whatever the rules of the house say of it
}

// IsName tells whether s is the name of a variable as shells take it.
func IsName(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
	return s != "" && strings.Trim(s, letters+"0123456789") == "" && strings.Contains(letters, s[:1])
}

// ParseEnvVar reads "NAME=VALUE", or "NAME" to pass the caller's value. VALUE is taken to the last byte.
func ParseEnvVar(s string) (EnvVar, error) {
	name, value, set := strings.Cut(s, "=")
	if !IsName(name) {
		return EnvVar{}, fmt.Errorf("%q is not NAME or NAME=VALUE", s)
	}
	if strings.ContainsRune(value, 0) {
		return EnvVar{}, fmt.Errorf("the value of %s holds a NUL byte", name)
	}
	return EnvVar{Name: name, Value: value, Pass: !set}, nil
}

// UnmarshalText reads one variable.
func (v *EnvVar) UnmarshalText(b []byte) error {
	parsed, err := ParseEnvVar(string(b))
	if err != nil {
		return err
	}
	*v = parsed
	return nil
}

// String returns the form that ParseEnvVar reads.
func (v EnvVar) String() string {
	if v.Pass {
		return v.Name
	}
	return v.Name + "=" + v.Value
}

// FromEnvironment returns what the HPC3_ variables of an environment set, one for each option: HPC3_CONTAINER_MOUNTS is
// --container-mounts. HPC3_CONTAINER_ENV holds several variables, one a line or, without a line break, joined by commas.
// An empty variable says nothing. The error names the variable.
func FromEnvironment(getenv func(string) string) (Settings, error) {
	var s Settings
	for _, name := range Names {
		variable := Variable(name)
		value := getenv(variable)
		if value == "" || variable == "HPC3_VARIANT" && strings.Contains(value, "/") {
			continue // hpc3-run itself tells its command the platform in HPC3_VARIANT: inside a container it is no wish
		}
		for _, v := range split(name, value) {
			if err := s.Set(name, v); err != nil {
				return Settings{}, fmt.Errorf("environment variable %s: %w", variable, err)
			}
		}
	}
	return s, nil
}

// Variable returns the environment variable of an option.
func Variable(name string) string {
	return "HPC3_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

func split(name, value string) []string {
	if name != "container-env" {
		return []string{value}
	}
	if strings.Contains(value, "\n") {
		return strings.FieldsFunc(value, func(r rune) bool { return r == '\n' })
	}
	return strings.Split(value, ",")
}
