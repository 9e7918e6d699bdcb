package option_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/option"
)

func TestParseEnvFile(t *testing.T) {
	set := func(name, value string) option.EnvVar { return option.EnvVar{Name: name, Value: value} }
	for _, tt := range []struct {
		name, text string
		want       []option.EnvVar
		line       int // that is wrong; 0 = none
		err        string
	}{
		{name: "nothing"},
		{name: "two", text: "A=1\nB=2\n", want: []option.EnvVar{set("A", "1"), set("B", "2")}},
		{name: "no line break at the end", text: "A=1", want: []option.EnvVar{set("A", "1")}},
		{name: "a value is kept", text: "A= \"x\" # y = z\t\nB='1'\nC=\n", want: []option.EnvVar{set("A", " \"x\" # y = z\t"), set("B", "'1'"), set("C", "")}},
		{name: "comments and blanks", text: "# A=1\n\n \t \n  # B\n \tC=1\n#\n", want: []option.EnvVar{set("C", "1")}},
		{name: "a comment is a whole line", text: "A=1#2\n", want: []option.EnvVar{set("A", "1#2")}},
		{name: "the caller's", text: "A\n B\n", want: []option.EnvVar{{Name: "A", Pass: true}, {Name: "B", Pass: true}}},
		{name: "names that are no shell's", text: "a.b=1\n1x=2\nä-%=3\n", want: []option.EnvVar{set("a.b", "1"), set("1x", "2"), set("ä-%", "3")}},
		{name: "a byte order mark", text: "\ufeffA=1\nB=\ufeff\n", want: []option.EnvVar{set("A", "1"), set("B", "\ufeff")}},
		{name: "of Windows", text: "\ufeff# x\r\nA=1\r\n\r\nB\r\nC=a\rb\r\n", want: []option.EnvVar{set("A", "1"), {Name: "B", Pass: true}, set("C", "a\rb")}},
		{name: "white space that is not ASCII", text: "\u00a0A=1\n\u2003\n", want: []option.EnvVar{set("A", "1")}},
		{name: "a long line", text: "A=" + strings.Repeat("x", 64<<10-2) + "\n", want: []option.EnvVar{set("A", strings.Repeat("x", 64<<10-2))}},
		{name: "too long a line", text: "\nA=" + strings.Repeat("x", 64<<10-1), line: 2, err: "more than 65536 bytes"},
		{name: "export", text: "A=1\nexport B=2\n", line: 2, err: "white space stands in the name"},
		{name: "a blank before the =", text: "A =1\n", line: 1, err: "white space stands in the name"},
		{name: "a blank behind a name", text: "#\n\nA \n", line: 3, err: "white space stands in the name"},
		{name: "no name", text: "A=1\n  =2\n", line: 2, err: "no name stands before the ="},
		{name: "bytes", text: "A=1\nB=\xff\n", line: 2, err: "not in UTF-8"},
		{name: "a comment in bytes", text: "# \xe4\n", line: 1, err: "not in UTF-8"},
		{name: "NUL", text: "A=1\x002\n", line: 1, err: "the value of A holds a NUL byte"},
		{name: "NUL in a name", text: "A\x00=1\n", line: 1, err: "white space"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := option.ParseEnvFile([]byte(tt.text))
			checkErr(t, err, tt.err)
			var at option.LineError
			if errors.As(err, &at); at.Line != tt.line {
				t.Errorf("ParseEnvFile says line %d, want %d", at.Line, tt.line)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ParseEnvFile differs (-want +got):\n%s", diff)
			}
		})
	}
}

// What a line holds is the same by -e.
func FuzzParseEnvFile(f *testing.F) {
	for _, s := range []string{"A=1\nB\n", "\ufeff A=b=c\r\n", "# x\n\n", "A =1", "A=1\x00", "=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		vars, err := option.ParseEnvFile([]byte(s))
		if err != nil {
			return
		}
		for _, v := range vars {
			if again, err := option.ParseEnvVar(v.String()); err != nil || again != v {
				t.Errorf("ParseEnvFile(%q) has %+v; -e reads it as %+v, %v", s, v, again, err)
			}
		}
	})
}

// A stronger source wins over a weaker one, a later file over an earlier one, and within a source
// -e over a file.
func TestEnvFilesInOrder(t *testing.T) {
	files := map[string]string{"site": "A=site file\nB=site file\nC=site file\n", "one": "B=one\nC=one\nD=one\nE=one", "two": "C=two\nD=two\nPASSED\n"}
	read := func(file string) ([]option.EnvVar, error) {
		text, there := files[file]
		if !there {
			return nil, fmt.Errorf("no file is called %s", file)
		}
		return option.ParseEnvFile([]byte(text))
	}
	var site, line option.Settings
	for _, o := range [][2]string{{"container-env-file", "site"}, {"container-env", "B=site"}, {"container-env", "E=site"}} {
		if err := site.Set(o[0], o[1]); err != nil {
			t.Fatal(err)
		}
	}
	for _, o := range [][2]string{{"container-env", "D=line"}, {"container-env-file", "one"}, {"container-env-file", "two"}} {
		if err := line.Set(o[0], o[1]); err != nil {
			t.Fatal(err)
		}
	}
	got, err := option.ReadEnvFiles(option.Merge(site, line).Env, read)
	want := []option.EnvVar{
		{Name: "A", Value: "site file"}, {Name: "B", Value: "one"}, {Name: "E", Value: "one"}, {Name: "C", Value: "two"}, {Name: "PASSED", Pass: true}, {Name: "D", Value: "line"},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("ReadEnvFiles: %v, (-want +got):\n%s", err, diff)
	}
	if _, err := option.ReadEnvFiles([]option.EnvVar{{File: "three"}}, read); err == nil {
		t.Error("ReadEnvFiles of a file that is not there: no error")
	}
	if err := line.Set("container-env-file", ""); err == nil {
		t.Error(`Set("container-env-file", "") is no error`)
	}
}
