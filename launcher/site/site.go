// Package site reads what the site decided (hpc3.toml) and what the user keeps in a file of the same form, and lays
// all sources of settings over one another: option, environment, user file, site file, default.
package site

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/outside"
)

// DefaultFile is where the site file stands unless HPC3_CONFIG names another.
const DefaultFile = "/etc/hpc3/hpc3.toml"

// Values of pull_at, unreachable and usage.
const (
	AtRun        = "run"
	AtSubmission = "submit"
	Refuse       = "error"
	Syslog       = "syslog"
)

// inManual is the hint where a key is known and its value is not.
const inManual = "what each setting takes is in hpc3.toml(5)"

// maxFile bounds a settings file: the shipped one with every key is below 8 KiB.
const maxFile = 1 << 20

// Site is the content of a site file. The zero value is a site that decided nothing.
type Site struct {
	option.Settings

	Labels           []string        `toml:"labels"`            // words for every node
	Features         []Feature       `toml:"platform-features"` // what every node is, whatever the probe finds
	Hosts            []Host          `toml:"host"`              // the same for some nodes
	SlurmFeatures    *bool           `toml:"slurm_features"`    // read slurm.conf for labels; nil = yes
	Words            map[string]Word `toml:"words"`             // what Slurm's Features stand for
	Locked           []string        `toml:"locked"`            // keys that only this file sets
	CacheDir         string          `toml:"cachedir"`          // "" = the user's own place
	Caches           []Cache         `toml:"cache"`             // looked into before it, in this order
	PlainHTTP        []string        `toml:"plain_http"`        // registries, HOST[:PORT], that are spoken to without TLS
	TokenServers     []string        `toml:"token_servers"`     // HOST[:PORT]; registries may send for a token to these, though their addresses be private
	Mirrors          []Mirror        `toml:"mirror"`            // registries that are asked by way of others
	Compression      string          `toml:"compression"`       // of new SIFs: "zstd" (default), "gzip" or "lz4"
	CompressionLevel int             `toml:"compression_level"` // 0 = the compressor's fastest
	CPUFeatures      bool            `toml:"match_cpu_features"`
	LabelMismatch    string          `toml:"label_mismatch"` // where an index and the labels of its image differ: "error" (default) or "warn"
	PullAt           string          `toml:"pull_at"`        // when the image of a Slurm job is fetched: "run" (default) or "submit"
	Usage            string          `toml:"usage"`          // where starts are recorded: "none" (default) or "syslog"
	SlurmComment     bool            `toml:"slurm_comment"`  // a job's comment says what it runs
	SlurmClient      bool            `toml:"slurm_client"`   // containers of Slurm's jobs have its client
	Unreachable      string          `toml:"unreachable"`    // a registry, when such a job is submitted: "warn" (default) or "error"

	File     string `toml:"-"` // where it was read; "" where there is none
	Own      bool   `toml:"-"` // it is the caller's, and not root's
	PassedBy string `toml:"-"` // the file that HPC3_CONFIG names and that does not count; "" for none

	lockedIn map[string]string // keys that another file locks, and that file
}

// Host gives words to the nodes whose name matches one of its patterns.
type Host struct {
	Match    []string  `toml:"match"` // "gpu*", "n[001-128,200]"
	Labels   []string  `toml:"labels"`
	Features []Feature `toml:"platform-features"`
}

// Load reads a site file, which only root may have written. A file that does not exist is a site that decided nothing.
func Load(file string) (Site, error) { return load(file, rootOnly) }

// LoadNamed reads a site file that the caller names, which may be the caller's own. It must exist.
func LoadNamed(file string) (Site, error) {
	s, err := load(file, orCaller)
	if err == nil && s.File == "" {
		err = fault.New(fault.Config, "reading the site file %s: no such file", file).Hint("HPC3_CONFIG names it; correct or unset it")
	}
	return s, err
}

func load(file string, who writers) (Site, error) {
	var s Site
	found, own, err := decode(file, who, &s)
	if err != nil || !found {
		return Site{}, err
	}
	s.File, s.Own = file, own
	return s, s.check()
}

// LoadUser reads a user's file. One that does not exist says nothing.
func LoadUser(file string) (option.Settings, error) {
	var s option.Settings
	_, _, err := decode(file, ownFile, &s)
	return s, err
}

func (s Site) check() error {
	for _, key := range s.Locked {
		if !slices.Contains(keys(), key) {
			return fault.New(fault.Config, "%s: locked: no setting is called %q", s.File, key).Hint("the settings that can be locked are in hpc3.toml(5)")
		}
	}
	if !slices.Contains([]string{"", "zstd", "gzip", "lz4"}, s.Compression) {
		return fault.New(fault.Config, "%s: compression: %q is not one of zstd, gzip, lz4", s.File, s.Compression).Hint(inManual)
	}
	if !slices.Contains([]string{"", "error", "warn"}, s.LabelMismatch) {
		return fault.New(fault.Config, "%s: label_mismatch: %q is not one of error, warn", s.File, s.LabelMismatch).Hint(inManual)
	}
	if !slices.Contains([]string{"", AtRun, AtSubmission}, s.PullAt) {
		return fault.New(fault.Config, "%s: pull_at: %q is not one of run, submit", s.File, s.PullAt).Hint(inManual)
	}
	if !slices.Contains([]string{"", "none", Syslog}, s.Usage) {
		return fault.New(fault.Config, "%s: usage: %q is not one of none, syslog", s.File, s.Usage).Hint(inManual)
	}
	if !slices.Contains([]string{"", "warn", Refuse}, s.Unreachable) {
		return fault.New(fault.Config, "%s: unreachable: %q is not one of warn, error", s.File, s.Unreachable).Hint(inManual)
	}
	for _, h := range s.Hosts {
		for _, pattern := range h.Match {
			if _, err := matchHost(pattern, ""); err != nil {
				return fault.New(fault.Config, "%s: host: %w", s.File, err).Hint(inManual)
			}
		}
	}
	if err := errors.Join(s.checkMirrors(), s.checkTokenServers(), s.checkCaches()); err != nil {
		return err
	}
	return s.checkWords()
}

// decode reads a file strictly into v, and tells whether it is there and the caller's own. The error names file and line.
func decode(file string, who writers, v any) (found, own bool, err error) {
	f, err := outside.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, false, nil
	}
	if err != nil {
		return false, false, unreadable(file, err)
	}
	defer f.Close()
	if own, err = checkWriters(file, f, who); err != nil {
		return false, false, err
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(raw) > maxFile {
		err = fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	if err != nil {
		return false, false, unreadable(file, err)
	}
	d := toml.NewDecoder(bytes.NewReader(raw)).DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return false, false, explain(file, err)
	}
	return true, own, nil
}

func unreadable(file string, err error) error {
	err = fault.Reason(err)
	return fault.New(fault.Config, "reading settings from %s: %w", file, err).Hint("make it readable, or move it away")
}

func explain(file string, err error) error {
	var missing *toml.StrictMissingError
	var bad *toml.DecodeError
	switch {
	case errors.As(err, &missing) && len(missing.Errors) > 0:
		first := missing.Errors[0]
		line, _ := first.Position()
		return fault.New(fault.Config, "%s:%d: no setting is called %q", file, line, strings.Join(first.Key(), ".")).Hint("settings that this version knows are in hpc3.toml(5)")
	case errors.As(err, &bad):
		line, _ := bad.Position()
		return fault.New(fault.Config, "%s:%d: %s", file, line, plain(bad)).Hint(inManual)
	}
	return fault.New(fault.Config, "%s: %w", file, err)
}

// plain says what is wrong in a file in the words of who wrote it, where the decoder speaks of its own.
func plain(bad *toml.DecodeError) string {
	said := strings.TrimPrefix(bad.Error(), "toml: ")
	if kinds := regexp.MustCompile(`cannot decode TOML (\w+) into .* (?:of type )?\W*(\w+)$`).FindStringSubmatch(said); kinds != nil {
		name := func(kind string) string {
			return cmp.Or(map[string]string{"bool": "true or false", "string": "a text in quotes"}[kind], "another kind of value")
		}
		return fmt.Sprintf("this takes %s, and was given %s", name(kinds[2]), name(kinds[1]))
	}
	if strings.HasPrefix(said, "expected keyword") {
		return "a value is a text in quotes, a number, true or false, or a list of such"
	}
	return said
}

// LabelsOf returns the words of the site for the node with this host name, sorted and without duplicates. Patterns are
// held against the whole name and against the name up to the first dot.
func (s Site) LabelsOf(hostname string) []string {
	labels := slices.Clone(s.Labels)
	for _, h := range s.Hosts {
		if h.names(hostname) {
			labels = append(labels, h.Labels...)
		}
	}
	slices.Sort(labels)
	return slices.Compact(labels)
}

// Resolve lays the user's sources over the site's, the weakest first. A source that sets a locked key to another
// value than the site's is refused: what a user asked for must not silently be something else.
func (s Site) Resolve(user ...option.Settings) (option.Run, error) {
	for _, key := range s.locked() {
		ours := field(&s.Settings, key)
		for _, u := range user {
			if theirs := field(&u, key); !theirs.IsNil() && !same(ours, theirs) {
				return option.Run{}, fault.New(fault.Policy, "the setting %s is locked by the site in %s", key, cmp.Or(s.lockedIn[key], s.File)).
					Hint("leave out --%s, HPC3_%s and its line in your own hpc3.toml", switchOf(key), strings.ToUpper(key))
			}
		}
	}
	return option.Merge(append([]option.Settings{s.Settings}, user...)...), nil
}

// switchOf returns the option of a key, with its counterpart if it has one.
func switchOf(key string) string {
	name := strings.ReplaceAll(key, "_", "-")
	if slices.Contains(option.Names, "no-"+name) {
		return "[no-]" + name
	}
	return name
}

// locked returns all keys that are locked, here or by a stronger file, in the order of the settings.
func (s Site) locked() []string {
	return slices.DeleteFunc(keys(), func(key string) bool {
		return !slices.Contains(s.Locked, key) && s.lockedIn[key] == ""
	})
}

// field returns the field of s with this TOML key; every field of Settings is a pointer or a slice, so nil is "not said".
func field(s *option.Settings, key string) reflect.Value {
	i := slices.Index(keys(), key)
	return reflect.ValueOf(s).Elem().Field(i)
}

func same(a, b reflect.Value) bool { return reflect.DeepEqual(a.Interface(), b.Interface()) }

// keys returns the TOML keys of Settings in the order of its fields.
func keys() []string {
	t := reflect.TypeFor[option.Settings]()
	names := make([]string, t.NumField())
	for i := range names {
		names[i] = t.Field(i).Tag.Get("toml")
	}
	return names
}
