package cli

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rogpeppe/go-internal/testscript"
)

// vanish removes an image from the registry: "vanish good/app:1".
func vanish(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: vanish REPOSITORY:TAG")
	}
	ref, err := name.ParseReference(ts.Getenv("REGISTRY") + "/" + args[0])
	ts.Check(err)
	ts.Check(remote.Delete(ref))
}

// retag gives an image of the registry another tag: "retag good/app:1 good/app:2".
func retag(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: retag REPOSITORY:TAG REPOSITORY:TAG")
	}
	from, err := name.ParseReference(ts.Getenv("REGISTRY") + "/" + args[0])
	ts.Check(err)
	to, err := name.NewTag(ts.Getenv("REGISTRY") + "/" + args[1])
	ts.Check(err)
	image, err := remote.Get(from)
	ts.Check(err)
	ts.Check(remote.Tag(to, image))
}

// damage changes a byte of files, in their middle if no other is said: "damage GLOB [OFFSET]".
func damage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: damage GLOB [OFFSET]")
	}
	files, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(files) == 0 {
		ts.Fatalf("no file is called %s", args[0])
	}
	for _, file := range files {
		info, err := os.Stat(file)
		ts.Check(err)
		raw, err := os.ReadFile(file)
		ts.Check(err)
		at := len(raw) / 2
		if len(args) == 2 {
			at, err = strconv.Atoi(args[1])
			ts.Check(err)
		}
		raw[at] ^= 1
		ts.Check(os.Chmod(file, 0o600))
		ts.Check(os.WriteFile(file, raw, 0o600))
		ts.Check(os.Chmod(file, info.Mode()))
	}
}

// aged makes all files below a directory so many hours old: "aged HOURS DIR".
func aged(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: aged HOURS DIR")
	}
	hours, err := strconv.Atoi(args[0])
	ts.Check(err)
	when := time.Now().Add(-time.Duration(hours) * time.Hour)
	ts.Check(filepath.WalkDir(ts.MkAbs(args[1]), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		return os.Chtimes(path, when, when)
	}))
}
