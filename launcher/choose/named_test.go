package choose

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/settings"
)

// A word never means a registry in one directory and a file in the next.
func TestReference(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for name, text := range map[string]string{
		"layout/oci-layout": `{"imageLayoutVersion":"1.0.0"}`, "layout/index.json": "{}", "plain/file": "x", "notes.txt": "x", "app/file": "x",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ image, want, hint string }{
		{"app:1", "docker.io/library/app:1", ""},
		{"plain", "docker.io/library/plain:latest", ""},
		{"docker://layout", "docker.io/library/layout:latest", ""},
		{"oci:layout", "oci:layout", ""},
		{"layout", "", "write oci:layout"},
		{"notes.txt", "", "docker://notes.txt"},
		{"./none", "", "relative to the working directory"},
		{"http://x", "", ""},
		{"a.b:5000", "", "docker://a.b:5000"},
	} {
		ref, err := Reference(tt.image, settings.Settings{})
		_, hints, _ := fault.Of(err, "")
		if tt.want != "" && (err != nil || ref.String() != tt.want) || tt.want == "" && (err == nil || !strings.Contains(strings.Join(hints, " "), tt.hint)) {
			t.Errorf("Reference(%q) = %s, %v, with hints %q", tt.image, ref, err, hints)
		}
	}
	task := settings.Settings{Host: settings.Host{Plugin: true}}
	if ref, err := Reference("layout", task); err != nil || ref.Transport != oci.Registry {
		t.Errorf("a task looks into its directory: %s, %v", ref, err)
	}
}

// An error about an image says what the working directory has by its name.
func TestHintFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("app", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("app/oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("app/index.json", []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	gone := fault.New(fault.Reference, "it is not there")
	ref := func(name string) oci.Reference { return request(t, name).Reference }
	for _, tt := range []struct {
		name    string
		written string
		ref     oci.Reference
		err     error
		hint    string // "" = none
	}{
		{"a directory of the same name", "app", ref("app"), gone, "is a directory here as well"},
		{"no file", "other", ref("other"), gone, ""},
		{"asked for as one of a registry", "docker://app", ref("docker://app"), gone, ""},
		{"looked at", "", ref("app"), gone, ""},
		{"of another class", "app", ref("app"), fault.New(fault.Cache, "full"), ""},
		{"another transport", "", ref("sif:app"), gone, "write oci:app"},
		{"the same transport", "", ref("oci:app"), gone, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := HintFiles(tt.written, tt.ref, tt.err)
			class, hints, _ := fault.Of(err, "")
			if was, _, _ := fault.Of(tt.err, ""); class != was || (tt.hint == "") != (len(hints) == 0) || !strings.Contains(strings.Join(hints, " "), tt.hint) {
				t.Errorf("HintFiles() = %v (%s, %q); want a hint with %q", err, class, hints, tt.hint)
			}
		})
	}
	if HintFiles("app", ref("app"), nil) != nil {
		t.Error("HintFiles() of no error is one")
	}
}
