// Package house holds the rules that the sources and their documents keep.
package house

import (
	"go/ast"
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
	"launcher/habit":    {"launcher/option"},
	"launcher/site":     {"launcher/option", "launcher/match", "launcher/fault", "launcher/outside"},
	"launcher/slurm":    {},
	"launcher/task":     {"launcher/option"},
	"launcher/match":    {"launcher/oci", "launcher/fault", "launcher/habit", "probe/facts"},
	"launcher/fetch":    {"launcher/oci", "launcher/fault", "launcher/outside", "launcher/gunzip"},
	"launcher/squashfs": {},
	"launcher/gunzip":   {},
	"launcher/convert":  {"launcher/oci", "launcher/gunzip", "launcher/squashfs", "launcher/fault", "launcher/outside"},
	"launcher/store":    {"launcher/fault"},
	"launcher/device":   {"probe", "probe/facts", "launcher/outside"},
	"launcher/run": {
		"launcher/fault", "launcher/option", "launcher/squashfs",
		"launcher/run/apptainer", "launcher/run/inside", "launcher/run/message", "launcher/run/native", "launcher/run/process", "launcher/run/serve",
	},
	"launcher/run/native": {
		"launcher/device", "launcher/fault", "launcher/option", "launcher/outside",
		"launcher/run/inside", "launcher/run/message", "launcher/run/process", "launcher/run/serve",
	},
	"launcher/run/inside": {
		"launcher/device", "launcher/fault", "launcher/oci", "launcher/option", "launcher/outside", "launcher/squashfs", "probe", "launcher/run/process",
	},
	"launcher/run/apptainer": {"launcher/device", "launcher/fault", "launcher/option", "launcher/outside", "launcher/run/inside", "launcher/run/process"},
	"launcher/run/serve": {
		"launcher/fault", "launcher/squashfs", "launcher/run/inside", "launcher/run/message", "launcher/run/process",
	},
	"launcher/run/message":             {},
	"launcher/run/message/messagetest": {"launcher/run/message"},
	"launcher/run/process":             {"launcher/option"},
	"launcher/notes":                   {"launcher/fault"},
	"launcher/settings":                {"launcher/fault", "launcher/habit", "launcher/option", "launcher/outside", "launcher/site"},
	"launcher/caches": {
		"launcher/fault", "launcher/fetch", "launcher/notes", "launcher/oci", "launcher/outside", "launcher/settings", "launcher/site", "launcher/store",
	},
	"launcher/nodes": {
		"probe", "probe/facts", "launcher/fault", "launcher/match", "launcher/notes", "launcher/oci", "launcher/outside", "launcher/settings", "launcher/slurm",
	},
	"launcher/choose": {
		"probe/facts", "launcher/fault", "launcher/fetch", "launcher/match", "launcher/notes", "launcher/oci", "launcher/option", "launcher/settings",
	},
	"launcher/image": {
		"launcher/caches", "launcher/choose", "launcher/convert", "launcher/fault", "launcher/fetch", "launcher/floor", "launcher/notes", "launcher/oci",
		"launcher/option", "launcher/outside", "launcher/run/inside", "launcher/run/process", "launcher/settings", "launcher/store",
	},
	"launcher/upkeep": {
		"launcher/caches", "launcher/convert", "launcher/fault", "launcher/notes", "launcher/oci", "launcher/outside", "launcher/settings", "launcher/site",
		"launcher/store",
	},
	"launcher/doctor": {
		"probe/facts", "launcher/caches", "launcher/fault", "launcher/nodes", "launcher/notes", "launcher/outside", "launcher/run/apptainer", "launcher/slurm",
		"launcher/upkeep",
	},
	"launcher/module":   {"launcher/fault", "launcher/option", "launcher/outside"},
	"launcher/programs": {"launcher/squashfs"},
	"launcher/floor":    {"launcher/oci", "launcher/programs", "launcher/squashfs", "probe/facts"},
	"launcher": {
		"probe", "probe/facts", "launcher/caches", "launcher/choose", "launcher/convert", "launcher/device", "launcher/doctor", "launcher/fault", "launcher/fetch",
		"launcher/image", "launcher/match", "launcher/module", "launcher/nodes", "launcher/notes", "launcher/oci", "launcher/option", "launcher/outside",
		"launcher/programs", "launcher/run", "launcher/run/apptainer", "launcher/run/inside", "launcher/run/native", "launcher/settings", "launcher/site", "launcher/slurm", "launcher/store", "launcher/upkeep",
	},
	"spank/submit": {
		"launcher", "launcher/fault", "launcher/habit", "launcher/notes", "launcher/option", "launcher/settings", "launcher/task",
	},
	"cmd/interrupt": {},
	"cmd/progress":  {"launcher/notes"},
	"cmd/hpc3-run": {
		"cmd/interrupt", "cmd/progress", "launcher", "launcher/fault", "launcher/habit", "launcher/notes", "launcher/option", "launcher/outside", "launcher/run",
		"launcher/run/process", "launcher/settings", "launcher/task",
	},
	"cmd/hpc3": {
		"cmd/interrupt", "cmd/progress", "launcher", "launcher/doctor", "launcher/fault", "launcher/habit", "launcher/match", "launcher/module", "launcher/nodes",
		"launcher/notes", "launcher/oci", "launcher/option", "launcher/outside", "launcher/run", "launcher/settings", "launcher/upkeep", "probe/facts",
	},
	"cmd/hpc3-gpu": {"probe/facts"},
}

// foreign holds the packages of others that only one room may import, so that each is known in one
// place.
var foreign = map[string][]string{
	"github.com/google/go-containerregistry": {"launcher/fetch"},
	"github.com/sylabs/sif":                  {"launcher/convert"},
	"github.com/klauspost/cpuid":             {"probe"},
	"github.com/NVIDIA/go-nvml":              {"cmd/hpc3-gpu"},
	"github.com/hanwen/go-fuse":              {"launcher/run/serve"},
	"github.com/pelletier/go-toml":           {"launcher/module", "launcher/site"},
	"tags.cncf.io":                           {"launcher/device"},
	"go.yaml.in/yaml":                        {"launcher/device"},
	"github.com/urfave/cli":                  {"cmd/hpc3"},
}

// rooms are those that get names from outside; others are handed what was opened, or read what the
// kernel makes.
var rooms = []string{
	"launcher", "launcher/caches", "launcher/choose", "launcher/doctor", "launcher/image", "launcher/nodes", "launcher/settings", "launcher/upkeep", "launcher/site", "launcher/fetch", "launcher/convert", "launcher/device", "launcher/module", "cmd/hpc3", "cmd/hpc3-run",
}

// ownNames are files of these that open something by a name which only the kernel and hpc3 itself
// give.
var ownNames = []string{"launcher/upkeep/openfiles.go", "launcher/doctor/doctor.go", "launcher/device/nvidia.go"}

// Names from outside are opened by launcher/outside: opened otherwise, a FIFO holds a start up.
func TestNamesFromOutsideAreOpenedInOneWay(t *testing.T) {
	for _, room := range rooms {
		files, err := filepath.Glob(filepath.Join("../..", room, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			rel, err := filepath.Rel("../..", file)
			if err != nil || strings.HasSuffix(file, "_test.go") || slices.Contains(ownNames, rel) {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok && opensByName(call) {
					t.Errorf("%s opens a file by its name: launcher/outside does that for all", rel)
				}
				return true
			})
		}
	}
}

// opensByName tells whether a call opens a file whose name is not written there.
func opensByName(call *ast.CallExpr) bool {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) == 0 {
		return false
	}
	from, _ := f.X.(*ast.Ident)
	if from == nil || !slices.Contains([]string{"os.Open", "os.OpenFile", "os.ReadFile", "elf.Open", "unix.Open"}, from.Name+"."+f.Sel.Name) {
		return false
	}
	_, literal := call.Args[0].(*ast.BasicLit)
	return !literal
}

// The files are parsed rather than asked from the go command: a test that calls it is cached as
// passed after a violation.
func TestImportsFollowThePlan(t *testing.T) {
	err := filepath.WalkDir("../..", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && d.Name() != "..") {
			return filepath.SkipDir
		}
		rel, err := filepath.Rel("../..", file)
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
