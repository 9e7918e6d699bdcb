package option_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/option"
)

// filesOnly are the keys that no option sets.
var filesOnly = []string{"cache_max_age", "cache_max_size", "layer_cache"}

// Each option sets a field of Settings that is of its kind, and each field has an option.
func TestOptionsHaveFields(t *testing.T) {
	keys := option.Keys()
	missing := slices.Clone(keys)
	for o := range option.All() {
		key := o.SettingsKey()
		missing = slices.DeleteFunc(missing, func(k string) bool { return k == key })
		if !slices.Contains(keys, key) {
			t.Errorf("--%s: Settings has no field for the key %s", o.Name, key)
			continue
		}
		kind := option.Value
		switch field := new(option.Settings).Field(key).Type(); {
		case field == reflect.TypeFor[*bool]():
			kind = option.Switch
		case field.Kind() == reflect.Slice:
			kind = option.List
		}
		if o.Kind != kind && (o.Kind != option.Opposite || kind != option.Switch) {
			t.Errorf("--%s has the kind %d, and its field in Settings that of %d", o.Name, o.Kind, kind)
		}
		if o.TakesValue() != ((o.Metavar != "") != (len(o.Words()) > 0)) {
			t.Errorf("--%s: kind %d, metavariable %q, words %q", o.Name, o.Kind, o.Metavar, o.Words())
		}
	}
	if diff := cmp.Diff(filesOnly, missing); diff != "" {
		t.Errorf("the keys that no option sets (-want +got):\n%s", diff)
	}
}

// What an option sets arrives in Run.
func TestOptionsReachRun(t *testing.T) {
	samples := map[string]string{
		"container-mounts": "/a", "container-env": "A=1", "container-env-file": "f",
	}
	for o := range option.All() {
		texts := o.Words()
		switch {
		case !o.TakesValue():
			texts = []string{"true", "false"}
		case samples[o.Name] != "":
			texts = []string{samples[o.Name]}
		case texts == nil:
			texts = []string{"text"}
		}
		different := []option.Run{option.Merge()}
		for _, text := range texts {
			var s option.Settings
			if err := s.Set(o.Name, text); err != nil {
				t.Errorf("Set(%q, %q): %v", o.Name, text, err)
			}
			r := option.Merge(s)
			if !slices.ContainsFunc(different, func(d option.Run) bool { return cmp.Equal(d, r) }) {
				different = append(different, r)
			}
		}
		if len(different) < 2 {
			t.Errorf("--%s: Run is the same for each of %q", o.Name, texts)
		}
	}
}

// Names are there once, and what an option refers to is there.
func TestTableHoldsTogether(t *testing.T) {
	seen := map[string]bool{}
	for o := range option.All() {
		if seen[o.Name] || seen[o.Short] && o.Short != "" || len(o.Short) > 1 || len(o.Name) < 2 {
			t.Errorf("--%s, %q: the name or the letter is there twice, or is none", o.Name, o.Short)
		}
		seen[o.Name], seen[o.Short] = true, true
		against, known := option.Find(o.Against)
		if o.Against != "" && (!known || against.TakesValue() || o.TakesValue()) {
			t.Errorf("--%s cannot be against %q, which is no switch", o.Name, o.Against)
		}
		if o.Kind == option.Opposite && (o.Key == "") != (against.SettingsKey() == o.SettingsKey()) {
			t.Errorf("--%s is the opposite of nothing", o.Name)
		}
	}
	for _, s := range option.Sections {
		if last := s.Options[len(s.Options)-1]; last.Help == "" {
			t.Errorf("--%s has no help", last.Name)
		}
	}
	if o, known := option.Find(""); known {
		t.Errorf("Find of nothing is %v", o)
	}
	var s option.Settings
	if err := s.Set("no-such-option", ""); err == nil || err.Error() != `no option is called "no-such-option"` {
		t.Errorf("Set of an option that is not there: %v", err)
	}
}
