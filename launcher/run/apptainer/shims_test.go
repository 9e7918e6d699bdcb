package apptainer

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/run/process"
)

// TestShims: commands of modules are no programs of the node, not even one called apptainer.
func TestShims(t *testing.T) {
	shims, node := t.TempDir(), t.TempDir()
	for _, file := range []string{
		filepath.Join(shims, option.ShimMark), filepath.Join(shims, "apptainer"), filepath.Join(shims, "squashfuse_x"),
		filepath.Join(node, "apptainer"),
	} {
		if err := os.WriteFile(file, []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path := shims + ":" + node + ":/usr/bin"
	getenv := func(string) string { return path }
	if got, whyNot := Find(context.Background(), getenv, os.Getuid()); got != node+"/apptainer" {
		t.Errorf("Find = %q, %q, want that of %s", got, whyNot, node)
	}
	if got, want := withoutShims(path), node+":/usr/bin"; got != want {
		t.Errorf("withoutShims(%q) = %q, want %q", path, got, want)
	}
	t.Setenv("PATH", path)
	if got := process.FindSquashfuse("squashfuse_x"); got != "" {
		t.Errorf("FindSquashfuse = %q", got)
	}
}
