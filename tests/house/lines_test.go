package house

import (
	"bytes"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// columns is how wide a line may be, with a tab as four.
const columns = 100

// Lines of Go and of the plugin's face fit a screen. Long strings, and the tables of tests, may
// make one longer.
func TestLinesFit(t *testing.T) {
	err := filepath.WalkDir("../..", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			hidden := strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "..")
			// What stands in the lab's files is a part of the keys of its roots: touched, they are
			// made again.
			if hidden || name == "testdata" || name == "bin" || name == "lab" && strings.HasSuffix(file, "tests/lab") {
				return filepath.SkipDir
			}
			return nil
		}
		text, err := os.ReadFile(file)
		switch {
		case err != nil:
			return err
		case strings.HasSuffix(name, ".go"):
			checkGo(t, file, text)
		case filepath.Base(filepath.Dir(file)) == "spank" && !strings.HasSuffix(name, ".md"):
			checkC(t, file, text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// checkGo measures a line without its longest string and without a word to the linters. Of tests
// it measures lines that are comments.
func checkGo(t *testing.T, file string, text []byte) {
	t.Helper()
	longest := map[int]int{} // by line: columns that do not count
	files := token.NewFileSet()
	f := files.AddFile(file, files.Base(), len(text))
	var s scanner.Scanner
	s.Init(f, text, nil, scanner.ScanComments)
	for {
		at, kind, literal := s.Scan()
		if kind == token.EOF {
			break
		}
		line := f.Line(at)
		switch {
		case kind == token.STRING:
			for i := range strings.Count(literal, "\n") + 1 {
				longest[line+i] = max(longest[line+i], len(literal))
			}
		case kind == token.COMMENT && strings.HasPrefix(literal, "//nolint"):
			longest[line] += len(literal)
		}
	}
	test := strings.HasSuffix(file, "_test.go")
	for i, line := range bytes.Split(text, []byte("\n")) {
		if test && !bytes.HasPrefix(bytes.TrimLeft(line, "\t"), []byte("//")) {
			continue
		}
		if n := width(line); n-longest[i+1] > columns {
			t.Errorf("%s:%d has %d columns, and %d are enough", file, i+1, n, columns)
		}
	}
}

// checkC passes by lines with a string of their own length.
func checkC(t *testing.T, file string, text []byte) {
	t.Helper()
	for i, line := range bytes.Split(text, []byte("\n")) {
		if n := width(line); n > columns && bytes.Count(line, []byte(`"`)) < 2 {
			t.Errorf("%s:%d has %d columns, and %d are enough", file, i+1, n, columns)
		}
	}
}

func width(line []byte) int {
	return utf8.RuneCount(line) + 3*bytes.Count(line, []byte("\t"))
}
