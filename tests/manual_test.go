package tests

import (
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/site"
)

func read(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// Every option of hpc3-run is in its manual and in its --help, and every key in the site file that is shipped.
func TestOptionsAreDocumented(t *testing.T) {
	manual := strings.ReplaceAll(read(t, "../etc/man/hpc3-run.1"), `\-`, "-")
	help, err := exec.Command(binDir+"/hpc3-run", "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	shipped := read(t, "../etc/hpc3.toml")
	keys := read(t, "../etc/man/hpc3.toml.5")
	for _, name := range option.Names {
		if !strings.Contains(manual, "--"+name) {
			t.Errorf("hpc3-run.1 does not know --%s", name)
		}
		if !strings.Contains(string(help), "--"+name) {
			t.Errorf("hpc3-run --help does not know --%s", name)
		}
		if name == "container-readonly" || strings.HasPrefix(name, "no-") {
			continue // the same key as its counterpart
		}
		key := strings.ReplaceAll(name, "-", "_")
		if !strings.Contains(shipped, "\n# "+key+" = ") {
			t.Errorf("etc/hpc3.toml does not show %s", key)
		}
		if !strings.Contains(keys, key) {
			t.Errorf("hpc3.toml.5 does not know %s", key)
		}
	}
}

// Every option that hpc3 --help shows is in its manual.
func TestToolOptionsAreDocumented(t *testing.T) {
	manual := strings.ReplaceAll(read(t, "../etc/man/hpc3.1"), `\-`, "-")
	help, err := exec.Command(binDir+"/hpc3", "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	options := regexp.MustCompile(`--[a-z]+(-[a-z]+)*`).FindAllString(string(help), -1)
	if len(options) < 10 {
		t.Errorf("hpc3 --help shows only %v", options)
	}
	for _, name := range options {
		if name != "--help" && name != "--version" && !strings.Contains(manual, name) {
			t.Errorf("hpc3.1 does not know %s", name)
		}
	}
}

// Every key of the files is in the site file that is shipped, and in its manual.
func TestSiteKeysAreDocumented(t *testing.T) {
	shipped, manual := read(t, "../etc/hpc3.toml"), read(t, "../etc/man/hpc3.toml.5")
	for _, of := range []reflect.Type{reflect.TypeFor[site.Site](), reflect.TypeFor[site.Host](), reflect.TypeFor[site.Mirror](), reflect.TypeFor[site.Cache](), reflect.TypeFor[option.Settings]()} {
		for i := range of.NumField() {
			key := of.Field(i).Tag.Get("toml")
			if key == "" || key == "-" {
				continue
			}
			if !strings.Contains(shipped, "\n# "+key+" = ") && !strings.Contains(shipped, "["+key+"]") {
				t.Errorf("etc/hpc3.toml does not show %s", key)
			}
			if !strings.Contains(manual, key) {
				t.Errorf("hpc3.toml.5 does not know %s", key)
			}
		}
	}
}

// The site file that is shipped is read with every key uncommented, and says the same as no file.
func TestShippedSiteFileHoldsTheDefaults(t *testing.T) {
	uncommented := regexp.MustCompile(`(?m)^# ([a-z0-9_-]+ = |\[)`).ReplaceAllString(read(t, "../etc/hpc3.toml"), "$1")
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/hpc3.toml", []byte(uncommented), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binDir+"/hpc3", "explain", "--index", "testdata/index.json", "--platform", "linux/amd64")
	cmd.Env = append(os.Environ(), "HPC3_CONFIG="+dir+"/hpc3.toml", "HOME="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("hpc3 with every key of etc/hpc3.toml: %v\n%s", err, out)
	}
}
