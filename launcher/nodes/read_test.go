package nodes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadAll(t *testing.T) {
	const a, b = `{"os":"linux","arch":"amd64","hostname":"a","cpu":{"target":"milan"}}`, `{"os":"linux","arch":"amd64","hostname":"b","cpu":{"target":"skylake"}}`
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("d[1]/a.json", a)
	write("d[1]/b.json", b)
	write("d[1]/notes.txt", "not a node")
	for _, tt := range []struct {
		name, path string
		want       string // host names, or in the error
		bad        bool
	}{
		{"one after another", write("stream", a+"\n"+b+"\n"), "a b", false},
		{"without a break", write("glued", a+b), "a b", false},
		{"a list", write("list", "["+a+","+b+"]"), "a b", false},
		{"a list and one", write("mixed", "["+a+"]"+b), "a b", false},
		{"a directory", filepath.Join(dir, "d[1]"), "a b", false},
		{"an empty directory", t.TempDir(), "holds no node", true},
		{"an empty file", write("empty", "\n"), "is empty", true},
		{"nothing", filepath.Join(dir, "none"), "none cannot be read: no such file or directory", true},
		{"cut short", write("cut", a+"\n"+b[:30]), "line 2, column 31: it ends too early", true},
		{"no JSON", write("text", a+"\n{\n node1 }"), "line 3, column 2: invalid character", true},
		{"a wrong type", write("type", a+"\n"+strings.Replace(b, `"skylake"`, "7", 1)), ": cpu.target is a number", true},
		{"no target", write("target", `{"os":"linux","arch":"amd64","cpu":{}}`), "lacks os, arch or cpu.target", true},
		{"an unknown target", write("unknown", strings.Replace(a, "milan", "athlon", 1)), `"athlon" in cpu.target`, true},
		{"an architecture without targets", write("s390x", `{"os":"linux","arch":"s390x","hostname":"z","cpu":{"target":"z15"}}`), "z", false},
		{"of a later version", write("later", `{"schemaVersion":9,"os":"linux","arch":"amd64","cpu":{"target":"zen"}}`), "schema version 9", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			nodes, err := ReadAll(t.Context(), tt.path)
			if tt.bad {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("ReadAll() = %v, want an error with %q", err, tt.want)
				}
				return
			}
			var names []string
			for _, n := range nodes {
				names = append(names, n.Hostname)
			}
			if got := strings.Join(names, " "); err != nil || got != tt.want {
				t.Errorf("ReadAll() = %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}
