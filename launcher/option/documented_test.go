package option_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/site"
)

// shipped returns a file of this repository.
func shipped(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// bare takes from a manual what only its look needs, blanks too.
func bare(manual string) string {
	manual = regexp.MustCompile(`\\f.|[" ]`).ReplaceAllString(manual, "")
	return strings.ReplaceAll(manual, `\-`, "-")
}

// Each option has its own paragraph in the manual, with its letter and its value.
func TestManualHasEachOption(t *testing.T) {
	manual := bare(shipped(t, "etc/man/hpc3-run.1"))
	for o := range option.All() {
		head := "--" + o.Name
		if o.Short != "" {
			head = "-" + o.Short + "," + head
		}
		if o.TakesValue() {
			head += o.Metavar + strings.Join(o.Words(), "|")
		}
		if !regexp.MustCompile(`\.TP\n\.BI?R?(.*,)?` + regexp.QuoteMeta(head) + "(,|\n)").MatchString(manual) {
			t.Errorf("hpc3-run.1: no paragraph begins with %s", head)
		}
	}
}

// Each key is in the site file that is shipped, with the words that it takes, and in its manual.
func TestSiteFileHasEachKey(t *testing.T) {
	file, manual := shipped(t, "etc/hpc3.toml"), shipped(t, "etc/man/hpc3.toml.5")
	for o := range option.All() {
		key := o.SettingsKey()
		line := regexp.MustCompile(`(?m)^# ` + key + ` = .*`).FindString(file)
		if line == "" {
			t.Errorf("etc/hpc3.toml does not show %s", key)
		}
		for _, word := range o.Words() {
			if !strings.Contains(line, strconv.Quote(word)) {
				t.Errorf("etc/hpc3.toml: the line of %s does not show %q", key, word)
			}
		}
		if !regexp.MustCompile(`(?m)^\.BR? (.* )?` + key + `( |$)`).MatchString(manual) {
			t.Errorf("hpc3.toml.5 does not know %s", key)
		}
	}
}

// The site file that is shipped shows the defaults.
func TestSiteFileShowsTheDefaults(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hpc3.toml")
	text := regexp.MustCompile(`(?m)^# ([a-z0-9_-]+ = |\[)`).ReplaceAllString(shipped(t, "etc/hpc3.toml"), "$1")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := site.LoadNamed(file)
	if err != nil {
		t.Fatal(err)
	}
	want := option.Merge()
	want.ShareAsked = true
	if diff := cmp.Diff(want, option.Merge(s.Settings)); diff != "" {
		t.Errorf("etc/hpc3.toml is not the default (-want +got):\n%s", diff)
	}
}

// pyxis are the rows of spank/options.c that are not made of the table: pyxis' names and values.
var pyxis = []string{
	`{"", "-entrypoint", "MODE", 2, "container-entrypoint", "image", "[hpc3] login (default), image or none; without MODE: image"}`,
	`{"no-", "-entrypoint", NULL, 0, "container-entrypoint", "login", "[hpc3] a login shell, not the image's ENTRYPOINT"}`,
}

// The plugin registers with Slurm what the table says, and its manual has each of them.
func TestPluginHasEachOption(t *testing.T) {
	manual := bare(shipped(t, "etc/man/spank_hpc3.8"))
	want := slices.Clone(pyxis)
	for o := range option.All() {
		if o.Slurm == "" {
			continue
		}
		value, head := "NULL, 0", "--"+o.Name
		without := `"true"`
		if o.TakesValue() {
			value, without = fmt.Sprintf("%q, 1", o.Metavar), "NULL"
		}
		if o.TakesValue() && o.Metavar != "" {
			head += "=" + o.Metavar
		}
		if !strings.Contains(manual, head) {
			t.Errorf("spank_hpc3.8 does not know %s", head)
		}
		before, after, _ := strings.Cut(o.Name, "container")
		row := fmt.Sprintf("{%q, %q, %s, %q, %s, %q}", before, after, value, o.Name, without, "[hpc3] "+o.Slurm)
		if !slices.ContainsFunc(pyxis, func(p string) bool { return strings.Contains(p, strconv.Quote("[hpc3] "+o.Slurm)) }) {
			want = append(want, row)
		}
	}
	var got []string
	_, table, _ := strings.Cut(shipped(t, "spank/options.c"), "} beside[] = {")
	table, _, found := strings.Cut(table, "};")
	for _, row := range regexp.MustCompile(`\{[^{}]*\}`).FindAllString(table, -1) {
		row = regexp.MustCompile(`"\s+"`).ReplaceAllString(row, "") // a text in two pieces
		got = append(got, regexp.MustCompile(`\s*\n\s*`).ReplaceAllString(row, " "))
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); !found || diff != "" {
		t.Errorf("the rows of beside in spank/options.c (-want +got):\n%s", diff)
	}
}
