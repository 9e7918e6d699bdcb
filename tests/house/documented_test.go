package house

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/site"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// Every option of hpc3-run is in its manual and in its --help, and every key in the site file that
// is shipped.
func TestOptionsAreDocumented(t *testing.T) {
	manual := strings.ReplaceAll(lab.Read(t, "../../etc/man/hpc3-run.1"), `\-`, "-")
	help := help(t, "hpc3-run")
	shipped := lab.Read(t, "../../etc/hpc3.toml")
	keys := lab.Read(t, "../../etc/man/hpc3.toml.5")
	for _, name := range option.Names() {
		if !strings.Contains(manual, "--"+name) {
			t.Errorf("hpc3-run.1 does not know --%s", name)
		}
		if !strings.Contains(help, "--"+name) {
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

// help returns what a program prints for --help, which fits a terminal.
func help(t *testing.T, command string) string {
	t.Helper()
	words := strings.Fields(command)
	out, err := exec.Command(lab.Programs()+"/"+words[0], append(words[1:], "--help")...).Output()
	if err != nil || len(out) == 0 {
		t.Fatalf("%s --help: %q, %v", command, out, err)
	}
	for line := range strings.Lines(string(out)) {
		if len(line) > 81 {
			t.Errorf("%s --help: more than 80 columns: %s", command, line)
		}
	}
	return string(out)
}

// tools are the commands of hpc3, as its help shows them.
func tools(t *testing.T) []string {
	t.Helper()
	var commands []string
	for _, m := range regexp.MustCompile(`(?m)^  ([a-z]+(?: [a-z]+)?)[ \n]`).FindAllStringSubmatch(help(t, "hpc3"), -1) {
		commands = append(commands, "hpc3 "+m[1])
	}
	if len(commands) < 8 {
		t.Errorf("hpc3 --help shows only %v", commands)
	}
	return commands
}

// Every command of hpc3 and each of its options is in the manual.
func TestToolOptionsAreDocumented(t *testing.T) {
	manual := strings.ReplaceAll(lab.Read(t, "../../etc/man/hpc3.1"), `\-`, "-")
	for _, command := range tools(t) {
		if !strings.Contains(manual, `"`+command) {
			t.Errorf("hpc3.1 does not know %s", command)
		}
		for _, name := range regexp.MustCompile(`--[a-z]+(-[a-z]+)*`).FindAllString(help(t, command), -1) {
			if name != "--help" && name != "--version" && !strings.Contains(manual, name) {
				t.Errorf("hpc3.1 does not know %s of %s", name, command)
			}
		}
	}
}

// hpc3 help COMMAND is hpc3 COMMAND --help.
func TestToolHelp(t *testing.T) {
	for _, command := range append(tools(t), "hpc3 cache") {
		words := strings.Fields(command)
		out, err := exec.Command(lab.Programs()+"/hpc3", append([]string{"help"}, words[1:]...)...).Output()
		if err != nil || string(out) != help(t, command) || !strings.HasPrefix(string(out), "Usage: "+command) && words[1] != "help" {
			t.Errorf("%s help %v: %v\n%s", words[0], words[1:], err, out)
		}
	}
}

// Every key of the files is in the site file that is shipped, and in its manual.
func TestSiteKeysAreDocumented(t *testing.T) {
	shipped, manual := lab.Read(t, "../../etc/hpc3.toml"), lab.Read(t, "../../etc/man/hpc3.toml.5")
	for _, of := range []reflect.Type{reflect.TypeFor[site.Site](), reflect.TypeFor[site.Host](), reflect.TypeFor[site.Mirror](), reflect.TypeFor[site.Tags](), reflect.TypeFor[site.Cache](), reflect.TypeFor[option.Settings]()} {
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

// Every key of a list of modules, and every label that is read of their images, is in the manual.
func TestModulesAreDocumented(t *testing.T) {
	manual := strings.ReplaceAll(lab.Read(t, "../../etc/man/hpc3.1"), `\-`, "-")
	_, list, _ := strings.Cut(manual, ".SS A list of modules\n")
	list, _, found := strings.Cut(list, "\n.S")
	keys := regexp.MustCompile(`toml:"([a-z]+)"`).FindAllStringSubmatch(lab.Read(t, "../../launcher/module/list.go"), -1)
	if !found || len(keys) < 14 {
		t.Fatalf("hpc3.1 has a section for the list: %t; the keys are %v", found, keys)
	}
	for _, key := range keys {
		if key[1] != "module" && !regexp.MustCompile(`(?m)^\.BR? .*\b`+key[1]+`\b`).MatchString(list) {
			t.Errorf("hpc3.1 does not know the key %s of modules.toml", key[1])
		}
	}
	files, err := filepath.Glob("../../launcher/modules*.go")
	if err != nil {
		t.Fatal(err)
	}
	labels := 0
	for _, file := range files {
		for _, label := range regexp.MustCompile(`"(org\.supercontainers\.hpc3\.[a-z]+)"`).FindAllStringSubmatch(lab.Read(t, file), -1) {
			labels++
			if !strings.Contains(manual, label[1]) {
				t.Errorf("hpc3.1 does not know the label %s of %s", label[1], file)
			}
		}
	}
	if labels < 5 {
		t.Errorf("only %d labels were looked at", labels)
	}
}

// The site file that is shipped is read with every key uncommented, and says the same as no file.
func TestShippedSiteFileHoldsTheDefaults(t *testing.T) {
	uncommented := regexp.MustCompile(`(?m)^# ([a-z0-9_-]+ = |\[)`).ReplaceAllString(lab.Read(t, "../../etc/hpc3.toml"), "$1")
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/hpc3.toml", []byte(uncommented), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(lab.Programs()+"/hpc3", "explain", "--index", "testdata/index.json", "--platform", "linux/amd64")
	cmd.Env = append(os.Environ(), "HPC3_CONFIG="+dir+"/hpc3.toml", "HOME="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("hpc3 with every key of etc/hpc3.toml: %v\n%s", err, out)
	}
}
