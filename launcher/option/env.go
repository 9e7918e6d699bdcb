package option

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// EnvVar is one variable that the user wants in the container, or stands for those of a file.
type EnvVar struct {
	Name  string
	Value string
	Pass  bool   // take the caller's value, whatever the rules of the house say of it
	File  string // the file; the other fields are empty then
}

// IsName tells whether s is the name of a variable as shells take it.
func IsName(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
	return s != "" && strings.Trim(s, letters+"0123456789") == "" && strings.Contains(letters, s[:1])
}

// ParseEnvVar reads "NAME=VALUE", or "NAME" to pass the caller's value. VALUE is taken to the last byte. NAME is what docker takes: most
// programs want the name of a shell's variable, but some read others (a.b).
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
		if err := s.setAll(name, value); err != nil {
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

// Variable returns the environment variable of an option.
func Variable(name string) string {
	return "HPC3_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// split takes a variable apart. Behind a comma stands the name of a variable as shells have it, or the comma belongs to a value and a line
// break is missing.
func split(name, value string) ([]string, error) {
	switch {
	case name != "container-env":
		return []string{value}, nil
	case strings.Contains(value, "\n"):
		return strings.FieldsFunc(value, func(r rune) bool { return r == '\n' }), nil
	}
	words := strings.Split(value, ",")
	for _, word := range words {
		if variable, _, _ := strings.Cut(word, "="); !IsName(variable) {
			return nil, fmt.Errorf("%q is not NAME or NAME=VALUE; where a value holds a comma, end each variable with a line break", word)
		}
	}
	return words, nil
}
