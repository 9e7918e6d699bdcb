package module

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/outside"
)

// ListFile is the list of a tree: what "hpc3 module --update" makes.
const ListFile = "modules.toml"

// maxListFile bounds a list: ten thousand modules with a help text each are less.
const maxListFile = 16 << 20

// inManual is the hint where a list is wrong.
const inManual = "what a list of modules takes is in hpc3(1)"

// entry is a [[module]] of a list.
type entry struct {
	Image       string         `toml:"image"`
	Name        string         `toml:"name"`
	Commands    []string       `toml:"commands"`
	All         bool           `toml:"all"`
	Pin         bool           `toml:"pin"`
	Default     bool           `toml:"default"`
	Format      any            `toml:"format"` // "tcl", "lua", or both in an array
	Conflict    []string       `toml:"conflict"`
	Prereq      []string       `toml:"prereq"`
	Family      []string       `toml:"family"`
	Title       string         `toml:"title"`
	Description string         `toml:"description"`
	Help        string         `toml:"help"`
	Options     map[string]any `toml:"options"`
}

// ReadList reads the list of a directory: modules.toml or, without that, the only file there that
// ends in ".toml". file is its path. Errors name file and line; they are of class fault.Config, and
// of fault.Usage if there is no list, or two of its modules have one name.
func ReadList(ctx context.Context, dir string) (wanted []Wanted, file string, err error) {
	if file, err = listOf(dir); err != nil {
		return nil, "", err
	}
	f, err := outside.Stream(ctx, file)
	if err != nil {
		return nil, file, unreadable(file, err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxListFile+1))
	if err == nil && len(raw) > maxListFile {
		err = fmt.Errorf("it is larger than %d bytes", maxListFile)
	}
	if err != nil {
		return nil, file, unreadable(file, err)
	}
	wanted, err = parseList(file, raw)
	return wanted, file, err
}

// listOf finds the list of a directory.
func listOf(dir string) (string, error) {
	file := filepath.Join(dir, ListFile)
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return file, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fault.New(fault.Usage, "looking for a list of modules in %s: %w", dir, cause(err)).
			Hint("name the directory that has %s", ListFile)
	}
	var found []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".toml") && !strings.HasPrefix(e.Name(), ".") {
			found = append(found, e.Name())
		}
	}
	switch len(found) {
	case 1:
		return filepath.Join(dir, found[0]), nil
	case 0:
		return "", fault.New(fault.Usage, "there is no list of modules in %s", dir).
			Hint("write %s, with [[module]] and image = \"…\" for each", file)
	}
	return "", fault.New(fault.Usage, "the directory %s has several lists of modules: %s", dir,
		strings.Join(found, ", ")).Hint("call that which counts %s", ListFile)
}

func unreadable(file string, err error) error {
	return fault.New(fault.Config, "reading the list of modules %s: %w", file, cause(err)).
		Hint("make it readable")
}

// parseList reads a list strictly.
func parseList(file string, raw []byte) ([]Wanted, error) {
	var list struct {
		Module []entry `toml:"module"`
	}
	d := toml.NewDecoder(bytes.NewReader(raw)).DisallowUnknownFields()
	if err := d.Decode(&list); err != nil {
		return nil, explain(file, err)
	}
	if len(list.Module) == 0 { // more likely a slip than a wish to lose all modules
		return nil, fault.New(fault.Config, "%s names no module", file).
			Hint("name one, or remove the whole directory; nothing was changed")
	}
	lines := entryLines(raw)
	if len(lines) != len(list.Module) { // they are written as a list in brackets
		lines = make([]int, len(list.Module))
	}
	wanted := make([]Wanted, len(list.Module))
	seen := map[string]int{}
	for i, e := range list.Module {
		w, err := e.wanted()
		w.Line = lines[i]
		class := fault.Config
		if err == nil {
			class, err = fault.Usage, w.unlike(seen, i)
		}
		if err != nil {
			return nil, fault.New(class, "%s%s: %w", file, colon(w.Line), err).Hint(inManual)
		}
		wanted[i] = w
	}
	return wanted, nil
}

func colon(line int) string {
	if line == 0 {
		return ""
	}
	return ":" + strconv.Itoa(line)
}

// unlike refuses a second module of one name and version, and a second default of one name, as far
// as the list tells them.
func (w Wanted) unlike(seen map[string]int, at int) error {
	name, version := SplitName(w.Name)
	keys := map[string]string{}
	if version != "" {
		keys[w.Name] = "module is called " + w.Name
	}
	if name != "" && w.Default {
		keys["default "+name] = "version of " + name + " is the default"
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if _, twice := seen[key]; twice {
			return fmt.Errorf("another %s", keys[key])
		}
		seen[key] = at
	}
	return nil
}

// wanted checks an entry as a command line is.
func (e entry) wanted() (Wanted, error) {
	w := Wanted{
		Image: e.Image, Name: e.Name, Commands: e.Commands,
		All: e.All, Pin: e.Pin, Default: e.Default,
		Conflicts: e.Conflict, Needs: e.Prereq, Families: e.Family,
		Title: e.Title, Description: e.Description, Help: e.Help,
	}
	var errs []error
	if e.Image == "" {
		errs = append(errs, errors.New("a module has no image"))
	}
	if e.All && e.Commands != nil {
		errs = append(errs, errors.New("both commands and all are given"))
	}
	if e.Commands != nil && len(e.Commands) == 0 {
		errs = append(errs, errors.New("commands is empty"))
	}
	if _, version := SplitName(e.Name); version != "" {
		errs = append(errs, CheckName(e.Name))
	} else if e.Name != "" {
		errs = append(errs, CheckModule(e.Name))
	}
	errs = append(errs, checkWords(e.Commands, slices.Concat(e.Conflict, e.Prereq), e.Family))
	var err error
	w.Formats, err = formats(e.Format)
	errs = append(errs, err)
	w.Options, err = texts(e.Options)
	errs = append(errs, err, checkOptions(w.Options))
	for _, err := range errs {
		if err != nil {
			return w, err
		}
	}
	return w, nil
}

// formats reads "tcl", "lua" or a list of these.
func formats(v any) (all []Format, err error) {
	if v == nil {
		return nil, nil
	}
	words, err := list(v)
	if err != nil || len(words) == 0 {
		return nil, errors.New(`format takes "tcl", "lua" or a list of these`)
	}
	for _, word := range words {
		f := Format(word)
		if f != Tcl && f != Lua {
			return nil, fmt.Errorf("%q is no format of modules: it is tcl or lua", word)
		}
		if !slices.Contains(all, f) {
			all = append(all, f)
		}
	}
	return all, nil
}

// texts returns the values of options as they are on a command line.
func texts(options map[string]any) (map[string][]string, error) {
	if len(options) == 0 {
		return nil, nil
	}
	all := map[string][]string{}
	for _, key := range slices.Sorted(maps.Keys(options)) {
		words, err := list(options[key])
		if err != nil {
			return nil, fmt.Errorf("the option %s of a module: %w", key, err)
		}
		all[key] = words
	}
	return all, nil
}

// list returns a value, or those of an array, as texts.
func list(v any) ([]string, error) {
	switch v := v.(type) {
	case string:
		return []string{v}, nil
	case bool:
		return []string{strconv.FormatBool(v)}, nil
	case int64:
		return []string{strconv.FormatInt(v, 10)}, nil
	case []any:
		var all []string
		for _, one := range v {
			words, err := list(one)
			if err != nil || len(words) != 1 {
				return nil, errors.New("it takes a text, a number, true, false or a list of such")
			}
			all = append(all, words[0])
		}
		return all, nil
	}
	return nil, errors.New("it takes a text, a number, true, false or a list of such")
}

// entryLines returns the line of each [[module]].
func entryLines(raw []byte) (lines []int) {
	var p unstable.Parser
	p.Reset(raw)
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind != unstable.ArrayTable {
			continue
		}
		key := e.Key()
		for first := true; key.Next(); first = false {
			if n := key.Node(); first && key.IsLast() && string(n.Data) == "module" {
				lines = append(lines, p.Shape(p.Range(n.Data)).Start.Line)
			}
		}
	}
	return lines
}

// explain says what the decoder found, with its line.
func explain(file string, err error) error {
	var missing *toml.StrictMissingError
	var bad *toml.DecodeError
	switch {
	case errors.As(err, &missing) && len(missing.Errors) > 0:
		line, _ := missing.Errors[0].Position()
		return fault.New(fault.Config, "%s:%d: a list of modules has no key %q", file, line,
			strings.Join(missing.Errors[0].Key(), ".")).Hint(inManual)
	case errors.As(err, &bad):
		line, _ := bad.Position()
		text := strings.TrimPrefix(bad.Error(), "toml: ")
		if key := strings.Join(bad.Key(), "."); strings.HasPrefix(text, "cannot decode") && key != "" {
			text = "the key " + key + " takes another kind of value"
		}
		return fault.New(fault.Config, "%s:%d: %s", file, line, text).Hint(inManual)
	}
	return fault.New(fault.Config, "%s: %w", file, err).Hint(inManual)
}
