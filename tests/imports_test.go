// Package tests holds what is tested about hpc3 as a whole: the plan of its rooms, and the road on real parts.
package tests

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/hpc3-project/hpc3/"

// plan is the table of ARCHITECTURE.md: which room may import which of ours. Change both together.
var plan = map[string][]string{
	"probe/facts":       {},
	"probe":             {"probe/facts"},
	"launcher/fault":    {},
	"launcher/outside":  {},
	"launcher/oci":      {"launcher/fault"},
	"launcher/option":   {},
	"launcher/site":     {"launcher/option", "launcher/match", "launcher/fault", "launcher/outside"},
	"launcher/slurm":    {},
	"launcher/task":     {"launcher/option"},
	"launcher/match":    {"launcher/oci", "launcher/fault", "probe/facts"},
	"launcher/fetch":    {"launcher/oci", "launcher/fault", "launcher/outside", "launcher/gunzip"},
	"launcher/squashfs": {},
	"launcher/gunzip":   {},
	"launcher/convert":  {"launcher/oci", "launcher/gunzip", "launcher/squashfs", "launcher/fault", "launcher/outside"},
	"launcher/store":    {"launcher/fault"},
	"launcher/device":   {"probe", "launcher/outside"},
	"launcher/run":      {"launcher/option", "launcher/oci", "launcher/squashfs", "launcher/fault", "launcher/outside", "launcher/device", "probe"},
	"launcher": {
		"probe", "probe/facts", "launcher/fault", "launcher/outside", "launcher/oci", "launcher/option", "launcher/site", "launcher/slurm", "launcher/match",
		"launcher/fetch", "launcher/convert", "launcher/store", "launcher/device", "launcher/run",
	},
	"spank/submit":  {"launcher", "launcher/fault", "launcher/option", "launcher/task"},
	"cmd/interrupt": {},
	"cmd/progress":  {"launcher"},
	"cmd/hpc3-run":  {"cmd/interrupt", "cmd/progress", "launcher", "launcher/run", "launcher/option", "launcher/fault", "launcher/outside", "launcher/task"},
	"cmd/hpc3":      {"cmd/interrupt", "cmd/progress", "launcher", "launcher/run", "launcher/option", "launcher/fault", "launcher/outside", "launcher/match", "launcher/oci", "probe/facts"},
	"cmd/hpc3-gpu":  {"probe/facts"},
}

// foreign holds the packages of others that only one room may import, so that each is known in one place.
var foreign = map[string][]string{
	"github.com/google/go-containerregistry": {"launcher/fetch"},
	"github.com/sylabs/sif":                  {"launcher/convert"},
	"github.com/klauspost/cpuid":             {"probe"},
	"github.com/NVIDIA/go-nvml":              {"cmd/hpc3-gpu"},
	"github.com/hanwen/go-fuse":              {"launcher/run"},
	"github.com/pelletier/go-toml":           {"launcher/site"},
	"tags.cncf.io":                           {"launcher/device"},
	"go.yaml.in/yaml":                        {"launcher/device"},
	"github.com/urfave/cli":                  {"cmd/hpc3-run", "cmd/hpc3"},
}

// The files are parsed rather than asked from the go command: a test that calls it is cached as passed after a violation.
func TestImportsFollowThePlan(t *testing.T) {
	err := filepath.WalkDir("..", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && d.Name() != "..") {
			return filepath.SkipDir
		}
		rel, err := filepath.Rel("..", file)
		if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") || strings.HasPrefix(rel, "tests/") {
			return err
		}
		checkFile(t, rel, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkFile(t *testing.T, rel, file string) {
	t.Helper()
	room := filepath.ToSlash(filepath.Dir(rel))
	allowed, planned := plan[room]
	if !planned {
		t.Errorf("%s: the room %s is not in the plan", rel, room)
		return
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Errorf("%s: %v", rel, err)
		return
	}
	for _, spec := range parsed.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Errorf("%s: import %s: %v", rel, spec.Path.Value, err)
			continue
		}
		if ours, ok := strings.CutPrefix(path, module); ok && !slices.Contains(allowed, ours) {
			t.Errorf("%s: %s imports %s, which the plan does not allow", rel, room, ours)
		}
		for prefix, rooms := range foreign {
			if strings.HasPrefix(path, prefix) && !slices.Contains(rooms, room) {
				t.Errorf("%s: %s imports %s, which belongs to %s", rel, room, path, strings.Join(rooms, " and "))
			}
		}
	}
}
