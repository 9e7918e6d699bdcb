package house

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Tests, files and folders that documents name exist, and their links lead somewhere.
func TestDocumentsNameWhatExists(t *testing.T) {
	const top = "../.."
	tests := testsOf(t, top)
	for _, document := range []string{
		"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md",
		"findings/README.md", "spank/README.md", "tests/lab/README.md",
	} {
		raw, err := os.ReadFile(filepath.Join(top, document))
		if err != nil {
			t.Fatal(err)
		}
		const function = "`((?:Test|Fuzz)[A-Za-z]+)`"
		for _, name := range regexp.MustCompile(function).FindAllStringSubmatch(string(raw), -1) {
			if !tests[name[1]] {
				t.Errorf("%s: there is no test %s", document, name[1])
			}
		}
		const path = "`((?:cmd|etc|findings|launcher|probe|spank|tests)/[a-z0-9_./-]+)`"
		for _, name := range regexp.MustCompile(path).FindAllStringSubmatch(string(raw), -1) {
			if _, err := os.Stat(filepath.Join(top, name[1])); err != nil {
				t.Errorf("%s: %v", document, err)
			}
		}
		const link = `\]\(([^)#:]+)\)`
		for _, to := range regexp.MustCompile(link).FindAllStringSubmatch(string(raw), -1) {
			if _, err := os.Stat(filepath.Join(top, filepath.Dir(document), to[1])); err != nil {
				t.Errorf("%s: a link: %v", document, err)
			}
		}
	}
}

// testsOf returns the names of all tests and fuzz targets below a directory.
func testsOf(t *testing.T, top string) map[string]bool {
	names := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z]+)\(`)
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		raw, err := os.ReadFile(path)
		for _, found := range function.FindAllStringSubmatch(string(raw), -1) {
			names[found[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
