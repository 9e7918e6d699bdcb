package option

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// EnvVar is one variable that the user wants in the container, or a file of such variables.
type EnvVar struct {
	Name  string
	Value string
	Pass  bool   // take the caller's value, even if it is not passed on by default
	File  string // a file; the other fields are empty then
}

// IsName tells whether s is the name of a variable as shells take it.
func IsName(s string) bool {
	const letters, digits = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_", "0123456789"
	return s != "" && strings.Contains(letters, s[:1]) && strings.Trim(s, letters+digits) == ""
}

// ParseEnvVar reads "NAME=VALUE", or "NAME" to pass the caller's value. VALUE is taken to the last
// byte. NAME is what docker takes: some programs read names that no shell variable has (a.b).
func ParseEnvVar(s string) (EnvVar, error) {
	name, value, set := strings.Cut(s, "=")
	if name == "" || !utf8.ValidString(name) || strings.ContainsFunc(name, blank) {
		return EnvVar{}, fmt.Errorf("%q is not NAME or NAME=VALUE", s)
	}
	if strings.ContainsRune(value, 0) {
		return EnvVar{}, fmt.Errorf("the value of %s holds a NUL byte", name)
	}
	return EnvVar{Name: name, Value: value, Pass: !set}, nil
}

func blank(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }

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

// FromEnvironment returns what the HPC3_ variables set, one for each option: HPC3_CONTAINER_MOUNTS
// is --container-mounts. HPC3_CONTAINER_ENV holds several variables, one a line or, without a line
// break, joined by commas; HPC3_CONTAINER_ENV_FILE holds one file a line. An empty variable says
// nothing. The error names the variable.
func FromEnvironment(getenv func(string) string) (Settings, error) {
	var s Settings
	for o := range All() {
		variable := Variable(o.Name)
		value := getenv(variable)
		// In a container HPC3_VARIANT is set by hpc3-run: the platform of the image.
		if value == "" || variable == "HPC3_VARIANT" && strings.Contains(value, "/") {
			continue
		}
		if err := s.setAll(o.Name, value); err != nil {
			return Settings{}, fmt.Errorf("environment variable %s: %w", variable, err)
		}
	}
	return s, nil
}

func (s *Settings) setAll(name, value string) error {
	words, err := split(name, value)
	if err != nil {
		return err
	}
	for _, word := range words {
		if err := s.Set(name, word); err != nil {
			return err
		}
	}
	return nil
}

// split returns the values of a variable. The word behind a comma must begin with a shell's name of
// a variable: otherwise the comma may belong to a value.
func split(name, value string) ([]string, error) {
	lines := strings.Contains(value, "\n")
	switch {
	case name != "container-env" && (name != "container-env-file" || !lines):
		return []string{value}, nil
	case lines:
		return strings.FieldsFunc(value, func(r rune) bool { return r == '\n' }), nil
	}
	words := strings.Split(value, ",")
	for _, word := range words {
		if variable, _, _ := strings.Cut(word, "="); !IsName(variable) {
			return nil, fmt.Errorf("%q is not NAME or NAME=VALUE; "+
				"where a value holds a comma, end each variable with a line break", word)
		}
	}
	return words, nil
}
