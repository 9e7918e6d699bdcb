package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// Every class of errors has its meaning in the code, stands in both lists of classes, and has a
// section in the page that says what to do; and no page names a class that does not exist.
func TestClassesAreDocumented(t *testing.T) {
	classes := declaredClasses(t)
	if len(classes) < 13 {
		t.Fatalf("there are only the classes %q", classes)
	}
	list := regexp.MustCompile(`CLASS is one of ([a-z, ]+)\.`)
	for _, page := range []string{"../../README.md", "../../etc/man/hpc3-run.1"} {
		m := list.FindStringSubmatch(strings.Join(strings.Fields(lab.Read(t, page)), " "))
		if m == nil {
			t.Errorf("%s has no list of classes", page)
			continue
		}
		if diff := cmp.Diff(classes, strings.Split(m[1], ", ")); diff != "" {
			t.Errorf("the list of classes in %s (-code +page):\n%s", page, diff)
		}
	}
	if diff := cmp.Diff(classes, explainedClasses(t)); diff != "" {
		t.Errorf("the sections of hpc3-troubleshooting.7 (-code +page):\n%s", diff)
	}
	named := regexp.MustCompile(`error\[([^]]*)\]`)
	for _, page := range []string{
		"../../README.md", "../../CHANGELOG.md", "../../etc/man/hpc3.1", "../../etc/man/hpc3-run.1", "../../etc/man/hpc3.toml.5",
		"../../etc/man/hpc3-habits.7", "../../etc/man/hpc3-troubleshooting.7",
	} {
		for _, m := range named.FindAllStringSubmatch(lab.Read(t, page), -1) {
			if m[1] != "CLASS" && !slices.Contains(classes, m[1]) {
				t.Errorf("%s names the class %q, which does not exist", page, m[1])
			}
		}
	}
}

// declaredClasses returns the classes in the order of the code.
func declaredClasses(t *testing.T) (classes []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../launcher/fault/fault.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); !ok || kind.Name != "Class" {
			return true
		}
		class, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		if len(strings.Fields(spec.Comment.Text())) < 4 {
			t.Errorf("the class %s has no meaning in fault.go", class)
		}
		classes = append(classes, class)
		return true
	})
	return classes
}

// explainedClasses returns the classes that have a section in hpc3-troubleshooting(7), in its
// order.
func explainedClasses(t *testing.T) (classes []string) {
	t.Helper()
	sections := regexp.MustCompile(`(?m)^\.B error\[([a-z]+)\]\n`).Split(lab.Read(t, "../../etc/man/hpc3-troubleshooting.7"), -1)
	for _, m := range regexp.MustCompile(`(?m)^\.B error\[([a-z]+)\]$`).FindAllStringSubmatch(lab.Read(t, "../../etc/man/hpc3-troubleshooting.7"), -1) {
		classes = append(classes, m[1])
		text, _, _ := strings.Cut(sections[len(classes)], "\n.TP")
		if len(strings.Fields(text)) < 8 {
			t.Errorf("hpc3-troubleshooting.7 hardly explains %s: %q", m[1], text)
		}
	}
	return classes
}
