package option

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxEnvLine bounds a line, as docker does. The kernel takes no variable of more than 128 KiB.
const maxEnvLine = 64 << 10

// A LineError says which line of a file is wrong, counted from 1.
type LineError struct {
	Line int
	Err  error
}

func (e LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns what is wrong there.
func (e LineError) Unwrap() error { return e.Err }

// ParseEnvFile reads variables in the format of docker's --env-file: one a line, NAME=VALUE or, to
// pass the caller's value, NAME. A value is everything behind the first =, with quotes, blanks and
// #. White space before a name, empty lines, lines that begin with #, a byte order mark and the
// carriage returns of Windows are skipped. The error is a LineError.
func ParseEnvFile(raw []byte) ([]EnvVar, error) {
	var vars []EnvVar
	number := 0
	for line := range bytes.Lines(bytes.TrimPrefix(raw, []byte("\ufeff"))) {
		number++
		text := strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r")
		v, err := parseEnvLine(text)
		if err != nil {
			return nil, LineError{number, err}
		}
		if v.Name != "" {
			vars = append(vars, v)
		}
	}
	return vars, nil
}

// parseEnvLine returns no name for a line without a variable. Its errors do not show the value,
// which may be a secret.
func parseEnvLine(line string) (EnvVar, error) {
	name, _, set := strings.Cut(line, "=")
	name = strings.TrimLeftFunc(name, unicode.IsSpace)
	switch {
	case len(line) > maxEnvLine:
		return EnvVar{}, fmt.Errorf("it has more than %d bytes", maxEnvLine)
	case !utf8.ValidString(line):
		return EnvVar{}, errors.New("it is not in UTF-8")
	case strings.HasPrefix(name, "#") || name == "" && !set:
		return EnvVar{}, nil
	case name == "":
		return EnvVar{}, errors.New("no name stands before the =")
	case strings.ContainsFunc(name, blank):
		return EnvVar{}, errors.New("white space stands in the name")
	}
	return ParseEnvVar(strings.TrimLeftFunc(line, unicode.IsSpace))
}

// ReadEnvFiles replaces each file by its variables, which read returns. Of several variables of one
// name the last one stays.
func ReadEnvFiles(
	vars []EnvVar, read func(file string) ([]EnvVar, error),
) ([]EnvVar, error) {
	var all []EnvVar
	for _, v := range vars {
		if v.File == "" {
			all = append(all, v)
			continue
		}
		more, err := read(v.File)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	last := make(map[string]int, len(all))
	for i, v := range all {
		last[v.Name] = i
	}
	kept := all[:0]
	for i, v := range all {
		if last[v.Name] == i {
			kept = append(kept, v)
		}
	}
	return slices.Clip(kept), nil
}
