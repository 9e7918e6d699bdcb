package apptainer

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestDepartures(t *testing.T) {
	all := Wanted{Home: true, Binds: true, Writable: true, Rootless: true}
	for _, c := range []struct {
		name, conf string
		wanted     Wanted
		want       string // settings; an asterisk follows those with which Apptainer cannot start
	}{
		{"nothing said", "", all, ""},
		{"the defaults", "mount tmp = yes\nuser bind control = yes\nallow container sif = yes\n", all, ""},
		{"a comment", "# mount tmp = no\n#mount tmp = no\n", all, ""},
		{"blanks", "  mount tmp=no  \n\tmount proc   =   no", all, "mount tmp = no, mount proc = no"},
		{"the first counts", "mount tmp = yes\nmount tmp = no\n", all, ""},
		{"a list's first counts", "mount tmp = no, yes\n", all, "mount tmp = no"},
		{"an empty value says nothing", "mount tmp =\nmount tmp = no\n", all, "mount tmp = no"},
		{"binds", "user bind control = no\n", all, "user bind control = no*"},
		{"no binds", "user bind control = no\n", Wanted{}, "user bind control = no"},
		{"no home is wanted", "mount home = no\n", Wanted{}, ""},
		{"no SIF", "allow container sif = no\n", Wanted{}, "allow container sif = no*"},
		{"user namespaces", "allow user ns = no\n", all, "allow user ns = no*"},
		{"user namespaces, with the setuid starter", "allow user ns = no\n", Wanted{}, ""},
		{"no overlay", "enable overlay = no\n", Wanted{}, ""},
		{"no overlay, writable", "enable overlay = no\n", all, "enable overlay = no*"},
		{"neither layer", "enable overlay = no\nenable underlay = no\n", Wanted{}, "enable overlay = no"},
		{"a small /dev", "mount dev = minimal\n", Wanted{}, "mount dev = minimal"},
	} {
		var got []string
		for _, d := range parseConf("f", []byte(c.conf+"\nbind path = /etc/localtime, /etc/hosts\n")).Departures(c.wanted) {
			got = append(got, d.Setting+map[bool]string{true: "*"}[d.Fatal])
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// If the site names no files to bind, Apptainer's default for them does not apply.
func TestDepartureOfHosts(t *testing.T) {
	for conf, differs := range map[string]bool{"": true, "bind path = /etc/localtime\n": true, "bind path = /etc/hosts:/etc/hosts\n": false, "bind path = /a\nbind path = /etc/hosts\n": false} {
		if got := parseConf("f", []byte(conf)).Departures(Wanted{}); (len(got) > 0) != differs {
			t.Errorf("under %q: %v", conf, got)
		}
	}
	if got := (Conf{}).Departures(Wanted{}); len(got) > 0 {
		t.Errorf("without a file: %v", got)
	}
}

func TestReadApptainerConf(t *testing.T) {
	dir := t.TempDir()
	for _, sub := range []string{"bin", "etc/apptainer"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program, file, own := filepath.Join(dir, "bin/apptainer"), filepath.Join(dir, "etc/apptainer/apptainer.conf"), filepath.Join(dir, "own.conf")
	for name, text := range map[string]string{program: "", file: "mount tmp = no\n", own: "mount sys = no\n"} {
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	none := func(string) string { return "" }
	if c, err := ReadConf(program, none); err != nil || c.File != file || !c.Is("mount tmp", "no") {
		t.Errorf("beside the program: %+v, %v", c, err)
	}
	named := func(name string) string { return map[string]string{"APPTAINER_CONFIG_FILE": own}[name] }
	if c, err := ReadConf(program, named); err != nil || c.File != own || !c.Is("mount sys", "no") || c.Is("mount tmp", "no") {
		t.Errorf("named: %+v, %v", c, err)
	}
	if _, err := ReadConf(program, func(string) string { return dir }); err == nil {
		t.Error("a directory is taken for settings")
	}
}

func TestOwnFailure(t *testing.T) {
	failed := func(script string) error { return exec.Command("sh", "-c", script).Run() }
	for _, c := range []struct {
		name, script, said, want string
	}{
		{"its last word", "exit 255", "WARNING: old\nERROR:   one\nFATAL:   while mounting: no\nERROR: two\n", "while mounting: no"},
		{"an error alone", "exit 255", "ERROR:   one\n", "one"},
		{"silence", "exit 255", "", "it ended with status 255: "},
		{"the image's shell", "exit 127", "sh: not found\n", ""},
		{"the image's shell, with such a word", "exit 1", "FATAL: mine\n", ""},
		{"this program, which it would not run", "exit 255", "FATAL:   stat /proc/self/fd/3: no such file\n", ""},
	} {
		if got := ownFailure(failed(c.script), c.said); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got := ownFailure(errors.New("no such program"), ""); got != "no such program" {
		t.Errorf("a program that does not start: %q", got)
	}
}

// A value that was read is found again if it is written alone.
func FuzzApptainerConf(f *testing.F) {
	for _, s := range []string{"", "mount tmp = no\n", "# a\n b=c,d\n", "=\n", "a b - _ = \x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for key, said := range parseConf("f", []byte(s)).said {
			if again := parseConf("f", []byte(key+" = "+said[0]+"\n")); !again.Is(key, said[0]) && said[0] != "" {
				t.Errorf("%q: %q = %q reads back as %q", s, key, said[0], again.said)
			}
		}
	})
}
