package main

import (
	"flag"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/option"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		in    string
		given map[string][]string
		words []string
		err   string
	}{
		{in: "img cmd -v", words: []string{"img", "cmd", "-v"}},
		{in: "-- -img", words: []string{"-img"}},
		{in: "- cmd", words: []string{"-", "cmd"}},
		{in: "-v img", given: map[string][]string{"verbose": {"true"}}, words: []string{"img"}},
		{in: "--v -verbose=0 img", given: map[string][]string{"verbose": {"true", "false"}}, words: []string{"img"}},
		{in: "-B /a -B=/b:/c=d img", given: map[string][]string{"container-mounts": {"/a", "/b:/c=d"}}, words: []string{"img"}},
		{in: "-e -- img", given: map[string][]string{"container-env": {"--"}}, words: []string{"img"}},
		{in: "--engine=", given: map[string][]string{"engine": {""}}},
		{in: "-h", given: map[string][]string{"help": {"true"}}},
		{in: "--version x", given: map[string][]string{"version": {"true"}}, words: []string{"x"}},
		{in: "-e", err: "the option -e needs a value"},
		{in: "-container-env", err: "the option --container-env needs a value"},
		{in: "-v=maybe img", err: `the option -v is given or not, or true or false, not "maybe"`},
		{in: "--force= img", err: `the option --force is given or not, or true or false, not ""`},
		{in: "-vv img", err: "no option is called --vv"},
		{in: "-x=y img", err: "no option is called -x"},
		{in: "---v img", err: `"---v" is no option`},
		{in: "-=v img", err: `"-=v" is no option`},
	} {
		got, err := parse(strings.Fields(tt.in))
		if err != nil || tt.err != "" {
			if err == nil || err.Error() != tt.err {
				t.Errorf("parse(%s): %v, want %s", tt.in, err, tt.err)
			}
			continue
		}
		if tt.given == nil {
			tt.given = map[string][]string{}
		}
		if !cmp.Equal(got.given, tt.given) || strings.Join(got.words, " ") != strings.Join(tt.words, " ") {
			t.Errorf("parse(%s) = %q, %q, want %q, %q", tt.in, got.given, got.words, tt.given, tt.words)
		}
	}
}

// values is an option as Go's flag package sets it.
type values struct {
	isSwitch bool
	list     *[]string
}

func (v values) String() string   { return "" }
func (v values) IsBoolFlag() bool { return v.isSwitch }

func (v values) Set(s string) error {
	if v.isSwitch {
		l, err := parse([]string{"-v=" + s})
		if err != nil {
			return err
		}
		s = l.given["verbose"][0]
	}
	*v.list = append(*v.list, s)
	return nil
}

// FuzzParse holds parse against Go's flag package.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"-v img", "--engine native -B=/a -- img", "-e", "--force=x", "-", "---", "-=", "--version -h a -v", "-vq"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		args := strings.Split(s, " ")
		want := map[string]*[]string{}
		set := flag.NewFlagSet(name, flag.ContinueOnError)
		set.SetOutput(io.Discard)
		help, _ := find("help")
		version, _ := find("version")
		for _, o := range append([]option.Option{help, version}, allOptions()...) {
			want[o.Name] = new([]string)
			set.Var(values{!o.TakesValue(), want[o.Name]}, o.Name, "")
			if o.Short != "" {
				set.Var(values{!o.TakesValue(), want[o.Name]}, o.Short, "")
			}
		}
		wrong := set.Parse(args)
		got, err := parse(args)
		if (err != nil) != (wrong != nil) {
			t.Fatalf("parse(%q): %v, and Go's flag package: %v", args, err, wrong)
		}
		if err != nil {
			return
		}
		for n, list := range want {
			if !cmp.Equal(got.given[n], *list) {
				t.Errorf("parse(%q): %s is %q, want %q", args, n, got.given[n], *list)
			}
		}
		if strings.Join(got.words, " ") != strings.Join(set.Args(), " ") {
			t.Errorf("parse(%q) leaves %q, want %q", args, got.words, set.Args())
		}
	})
}

func allOptions() (all []option.Option) {
	for o := range option.All() {
		all = append(all, o)
	}
	return all
}

// What --help prints fits a terminal, and has every option.
func TestUsage(t *testing.T) {
	text := usage()
	for line := range strings.Lines(text) {
		if len(line) > helpColumns+1 || strings.HasSuffix(line, " \n") {
			t.Errorf("--help: %d columns: %q", len(line)-1, line)
		}
	}
	for o := range option.All() {
		if !strings.Contains(text, " --"+o.Name) {
			t.Errorf("--help lacks --%s", o.Name)
		}
	}
}
