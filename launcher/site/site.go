// Package site reads what the site decided (hpc3.toml) and what a user keeps in a file of the same
// form. It lays all sources of settings over one another: option, environment, user's file, site's
// file, default.
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

	// What nodes are.
	Labels        []string        `toml:"labels"`            // words for every node
	Features      []Feature       `toml:"platform-features"` // of every node, over the probe's
	Hosts         []Host          `toml:"host"`              // the same for some nodes
	SlurmFeatures *bool           `toml:"slurm_features"`    // slurm.conf has labels; nil = yes
	Words         map[string]Word `toml:"words"`             // what Slurm's Features stand for

	Locked   []string `toml:"locked"`   // keys that only this file sets
	CacheDir string   `toml:"cachedir"` // "" = the user's own place
	Caches   []Cache  `toml:"cache"`    // searched before it, in this order

	// Registries, HOST[:PORT].
	PlainHTTP    []string `toml:"plain_http"`    // they are asked without TLS
	TokenServers []string `toml:"token_servers"` // trusted, even if their address is private
	Mirrors      []Mirror `toml:"mirror"`        // asked instead of registries
	Unreachable  string   `toml:"unreachable"`   // at submission: "warn" (default) or "error"

	Tags []Tags `toml:"tags"` // how the tags of repositories are made

	// Images.
	Compression      string `toml:"compression"`       // "zstd" (default), "gzip" or "lz4"
	CompressionLevel int    `toml:"compression_level"` // 0 = the compressor's fastest
	CPUFeatures      bool   `toml:"match_cpu_features"`
	LabelMismatch    string `toml:"label_mismatch"` // of index and image: "error" (default), "warn"

	// Jobs.
	PullAt       string `toml:"pull_at"`       // images are fetched at "run" (default) or "submit"
	Usage        string `toml:"usage"`         // the record of starts: "none" (default), "syslog"
	SlurmComment bool   `toml:"slurm_comment"` // a job's comment says what it runs
	SlurmClient  bool   `toml:"slurm_client"`  // containers of jobs have Slurm's client

	File     string `toml:"-"` // where this was read; "" = there is no file
	Own      bool   `toml:"-"` // the file is the caller's, not root's
	PassedBy string `toml:"-"` // a file that HPC3_CONFIG names in vain; "" = none

	lockedIn map[string]string // keys that another file locks, and that file
}

// Host gives words to the nodes whose name matches one of its patterns.
type Host struct {
	Match    []string  `toml:"match"` // "gpu*", "n[001-128,200]"
	Labels   []string  `toml:"labels"`
	Features []Feature `toml:"platform-features"`
}

// Load reads a site file, which only root may have written. Without a file the site decided
// nothing.
func Load(file string) (Site, error) { return load(file, rootOnly) }

// LoadNamed reads a site file that the caller names, which may be the caller's own. It must exist.
func LoadNamed(file string) (Site, error) {
	s, err := load(file, orCaller)
	if err == nil && s.File == "" {
		err = fault.New(fault.Config, "reading the site file %s: no such file", file).
			Hint("HPC3_CONFIG names it; correct or unset it")
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

// LoadUser reads a user's file, which need not exist.
func LoadUser(file string) (option.Settings, error) {
	var s option.Settings
	_, _, err := decode(file, ownFile, &s)
	return s, err
}

func (s Site) check() error {
	for _, key := range s.Locked {
		if !slices.Contains(option.Keys(), key) {
			return fault.New(fault.Config, "%s: locked: no setting is called %q", s.File, key).
				Hint("the settings that can be locked are in hpc3.toml(5)")
		}
	}
	for _, word := range []struct {
		key, value string
		known      []string
	}{
		{"compression", s.Compression, []string{"zstd", "gzip", "lz4"}},
		{"label_mismatch", s.LabelMismatch, []string{"error", "warn"}},
		{"pull_at", s.PullAt, []string{AtRun, AtSubmission}},
		{"usage", s.Usage, []string{"none", Syslog}},
		{"unreachable", s.Unreachable, []string{"warn", Refuse}},
	} {
		if word.value != "" && !slices.Contains(word.known, word.value) {
			return fault.New(fault.Config, "%s: %s: %q is not one of %s",
				s.File, word.key, word.value, strings.Join(word.known, ", ")).Hint(inManual)
		}
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
	if err := s.checkTags(); err != nil {
		return err
	}
	return s.checkWords()
}

// decode reads a file strictly into v, and tells whether it exists and is the caller's own. The
// error names file and line.
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
	return fault.New(fault.Config, "reading settings from %s: %w", file, err).
		Hint("make it readable, or move it away")
}

func explain(file string, err error) error {
	var missing *toml.StrictMissingError
	var bad *toml.DecodeError
	switch {
	case errors.As(err, &missing) && len(missing.Errors) > 0:
		first := missing.Errors[0]
		line, _ := first.Position()
		key := strings.Join(first.Key(), ".")
		return fault.New(fault.Config, "%s:%d: no setting is called %q", file, line, key).
			Hint("settings that this version knows are in hpc3.toml(5)")
	case errors.As(err, &bad):
		line, _ := bad.Position()
		return fault.New(fault.Config, "%s:%d: %s", file, line, plain(bad)).Hint(inManual)
	}
	return fault.New(fault.Config, "%s: %w", file, err)
}

// plain says what is wrong in a file in words of its format, not of the decoder.
func plain(bad *toml.DecodeError) string {
	said := strings.TrimPrefix(bad.Error(), "toml: ")
	wrongKind := regexp.MustCompile(`cannot decode TOML (\w+) into .* (?:of type )?\W*(\w+)$`)
	if kinds := wrongKind.FindStringSubmatch(said); kinds != nil {
		return fmt.Sprintf("this takes %s, and was given %s", kindOf(kinds[2]), kindOf(kinds[1]))
	}
	if strings.HasPrefix(said, "expected keyword") {
		return "a value is a text in quotes, a number, true or false, or a list of such"
	}
	return said
}

func kindOf(word string) string {
	switch word {
	case "bool":
		return "true or false"
	case "string":
		return "a text in quotes"
	}
	return "another kind of value"
}

// LabelsOf returns the words of the site for the node with this host name, sorted and without
// duplicates. A pattern matches the whole name or the name up to the first dot.
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

// Resolve lays the user's sources over the site's, the weakest first. A source that gives a locked
// key another value than the site is refused: a user's wish must not be dropped silently.
func (s Site) Resolve(user ...option.Settings) (option.Run, error) {
	for _, key := range s.locked() {
		ours := s.Field(key)
		for _, u := range user {
			if theirs := u.Field(key); !theirs.IsNil() && !same(ours, theirs) {
				file := cmp.Or(s.lockedIn[key], s.File)
				return option.Run{}, fault.New(fault.Policy,
					"the setting %s is locked by the site in %s", key, file).
					Hint("leave out --%s, %s and its line in your own hpc3.toml",
						optionsOf(key), option.Variable(key))
			}
		}
	}
	return option.Merge(append([]option.Settings{s.Settings}, user...)...), nil
}

// optionsOf returns the option of a key, with its counterpart if there is one.
func optionsOf(key string) string {
	name := strings.ReplaceAll(key, "_", "-")
	if _, known := option.Find("no-" + name); known {
		return "[no-]" + name
	}
	return name
}

// locked returns all keys that are locked, here or by a stronger file, in the order of Settings.
func (s Site) locked() []string {
	return slices.DeleteFunc(option.Keys(), func(key string) bool {
		return !slices.Contains(s.Locked, key) && s.lockedIn[key] == ""
	})
}

func same(a, b reflect.Value) bool { return reflect.DeepEqual(a.Interface(), b.Interface()) }
