package choice

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/hpc3-project/hpc3/launcher"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/notes"
	"github.com/hpc3-project/hpc3/probe/facts"

	"github.com/hpc3-project/hpc3/tests/internal/images"
	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// The os-release of images: AlmaLinux 10 is built for x86-64-v3.
const (
	alma = "ID=almalinux\nVERSION_ID=10.1\n"

	plain = "ID=debian\nVERSION_ID=12\n"
)

// floorEntry is an entry: what it says it is for, and what its image is.
type floorEntry struct{ variant, release string }

// floorIndex writes a layout.
func floorIndex(t *testing.T, entries ...floorEntry) string {
	t.Helper()
	index := mutate.IndexMediaType(empty.Index, "application/vnd.oci.image.index.v1+json")
	for i, e := range entries {
		p := v1.Platform{OS: "linux", Architecture: "amd64", Variant: e.variant}
		img, err := images.Small(v1.Platform{OS: "linux", Architecture: "amd64"}, fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		layer, err := images.TarLayer(map[string]string{"etc/os-release": e.release})
		if err == nil {
			img, err = mutate.AppendLayers(img, layer)
		}
		if err != nil {
			t.Fatal(err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &p}})
	}
	dir := filepath.Join(inMemory(t), "layout")
	top := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: index})
	if _, err := layout.Write(dir, top); err != nil {
		t.Fatal(err)
	}
	return "oci:" + dir
}

// shown is a node whose CPU is a target, and shows its features.
func shown(t *testing.T, target string) facts.Node {
	t.Helper()
	found, ok := facts.LookupTarget(target)
	if !ok {
		t.Fatalf("no target %s", target)
	}
	return facts.Node{
		OS: "linux", Arch: "amd64", Hostname: "here",
		CPU: facts.CPU{Target: target, Strict: target, Features: found.Features},
	}
}

// floorRoad is a walk that keeps what it says.
type floorRoad struct {
	*launcher.Road
	said []string
}

func newFloorRoad(t *testing.T, target string) *floorRoad {
	t.Helper()
	r := &floorRoad{Road: question{nodes: []facts.Node{shown(t, target)}}.road(t)}
	r.Notes = notes.Notes{Progress: new(notes.Progress), Say: func(text string) {
		if !strings.HasPrefix(text, "fetching ") {
			r.said = append(r.said, text)
		}
	}}
	return r
}

// again is a later walk with the same caches.
func (r *floorRoad) again(t *testing.T) *floorRoad {
	t.Helper()
	later := newFloorRoad(t, "nehalem")
	later.Given, later.Host = r.Given, r.Host
	return later
}

// start returns the position of the entry that a start takes.
func (r *floorRoad) start(t *testing.T, image string) (string, error) {
	t.Helper()
	s, err := r.Ready(t.Context(), image, []string{"true"})
	if err != nil {
		return "", err
	}
	defer s.Close()
	for _, v := range s.Plan.Command.SetEnv {
		if variant, ok := strings.CutPrefix(v, "HPC3_VARIANT=linux/"); ok {
			return variant, nil
		}
	}
	return "", nil
}

// What a conversion finds in an image counts against a node: the next entry is taken, and whoever
// asks later knows.
func TestFloor(t *testing.T) {
	t.Parallel()
	image := floorIndex(t, floorEntry{"v2", alma}, floorEntry{"", plain})
	r := newFloorRoad(t, "nehalem")
	want := "entry 0 of " + image + " is built for x86-64-v3 although its entry says amd64/v2 (almalinux 10 is built so), so entry 1 of " + image + ", linux/amd64, is taken in its place"
	got, err := r.start(t, image)
	if err != nil || got != "amd64" || len(r.said) != 1 || r.said[0] != want {
		t.Fatalf("the first start takes %q, %v, and says %q; want %q", got, err, r.said, want)
	}

	later := r.again(t)
	if got, err = later.start(t, image); err != nil || got != "amd64" || len(later.said) > 0 {
		t.Errorf("a later start takes %q, %v, and says %q", got, err, later.said)
	}
	const known = "built for x86-64-v3 although its entry says amd64/v2 (almalinux 10 is built so; known from an earlier conversion)"
	told, err := r.again(t).Explain(t.Context(), image)
	if err != nil || told.Chosen == nil || told.Chosen.Position != 1 || told.Entries[0].Fits || told.Entries[0].Reasons[0] != known {
		t.Errorf("explain says %v\n%s", err, told.Table(0))
	}
	plan, err := r.again(t).Plan(t.Context(), image, []string{"true"})
	if err != nil || plan.Chosen.Position != 1 {
		t.Errorf("--dry-run says %+v, %v", plan.Chosen, err)
	}
	pulled, err := r.again(t).Pull(t.Context(), image, launcher.Pulling{})
	if err != nil || pulled.Images[0].Position != 1 || len(pulled.Images[0].Needs) > 0 {
		t.Errorf("pull says %+v, %v", pulled, err)
	}
	newer := r.again(t)
	*newer.Given = shown(t, "haswell")
	if got, err = newer.start(t, image); err != nil || got != "amd64/v2" || len(newer.said) > 0 {
		t.Errorf("a newer node takes %q, %v, and says %q", got, err, newer.said)
	}
}

// With --variant or a nodes file nothing else is taken, and with --force it is run.
func TestFloorIsRefused(t *testing.T) {
	t.Parallel()
	image := floorIndex(t, floorEntry{"v2", alma}, floorEntry{"", plain})
	alone := floorIndex(t, floorEntry{"", alma})
	list := filepath.Join(t.TempDir(), "nodes.json")
	if err := os.WriteFile(list, document(t, []facts.Node{shown(t, "nehalem"), shown(t, "westmere")}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, image string
		set         func(r *floorRoad)
		taken       string // "" for none
		want        string // of the error or, if something is taken, of what is said; "" for nothing
		later       string // what a start takes that knows
	}{
		{name: "an entry that was named", image: image, set: func(r *floorRoad) { r.Option.Variant = "0" }, want: "entry 0 of " + image + " cannot run on this node (nehalem): built for x86-64-v3 although its entry says amd64/v2 (almalinux 10 is built so)"},
		{name: "nodes", image: image, set: func(r *floorRoad) { r.Given, r.Option.NodesFile = nil, list }, want: "cannot run on all of 2 nodes: built for x86-64-v3", later: "amd64"},
		{name: "none is left", image: alone, set: func(*floorRoad) {}, want: "the only image built for x86-64-v3 although its entry says amd64 (almalinux 10 is built so); it would take another node"},
		{name: "by force", image: image, set: func(r *floorRoad) { r.Option.Force = true }, taken: "amd64/v2", want: "is run by --force, though, built for x86-64-v3 although its entry says amd64/v2 (almalinux 10 is built so", later: "amd64/v2"},
		{name: "by force and by name", image: image, set: func(r *floorRoad) { r.Option.Force, r.Option.Variant = true, "0" }, taken: "amd64/v2", want: "is run by --force, though, built for x86-64-v3", later: "amd64/v2"},
		{name: "a platform without a CPU", image: alone, set: func(r *floorRoad) { r.Given, r.Option.Platform = nil, "linux/amd64" }, taken: "amd64", later: "amd64"},
		{name: "a platform with a level", image: alone, set: func(r *floorRoad) { r.Given, r.Option.Platform = nil, "linux/amd64/v2" }, want: "built for x86-64-v3 although its entry says amd64 "},
		{name: "two surprises", image: floorIndex(t, floorEntry{"v2", alma}, floorEntry{"v2", alma + "#\n"}, floorEntry{"", plain}), set: func(*floorRoad) {}, want: "entry 1 of ", later: "amd64"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newFloorRoad(t, "nehalem")
			tt.set(r)
			got, err := r.start(t, tt.image)
			said := strings.Join(r.said, "\n")
			if err != nil {
				said = err.Error()
			}
			class, _, _ := fault.Of(err, "")
			if got != tt.taken || tt.taken == "" && class != fault.NoMatch || !strings.Contains(said, tt.want) || tt.want == "" && said != "" {
				t.Errorf("the start takes %q, %s: %s\nwant %q: %s", got, class, said, tt.taken, tt.want)
			}
			later := r.again(t)
			tt.set(later)
			if got, err = later.start(t, tt.image); got != tt.later || (err == nil) != (tt.later != "") {
				t.Errorf("a later start takes %q, %v; want %q", got, err, tt.later)
			}
		})
	}
}

// A SIF that a cache has without what its code needs: a start does not look into it, a pull does.
func TestFloorOfEarlierSIFs(t *testing.T) {
	t.Parallel()
	image := floorIndex(t, floorEntry{"v2", alma}, floorEntry{"", plain})
	r := newFloorRoad(t, "haswell")
	if _, err := r.start(t, image); err != nil {
		t.Fatal(err)
	}
	floors := strings.TrimPrefix(r.Host.Environ[0], "HPC3_CACHEDIR=") + "/floors"
	kept, err := os.ReadDir(floors)
	if err != nil || len(kept) != 1 {
		t.Fatalf("%v, %v", kept, err)
	}
	if err := os.RemoveAll(floors); err != nil {
		t.Fatal(err)
	}
	later := r.again(t)
	*later.Given = shown(t, "nehalem")
	if got, err := later.start(t, image); err != nil || got != "amd64/v2" {
		t.Errorf("a start takes %q, %v", got, err)
	}
	pulled, err := later.again(t).Pull(t.Context(), image, launcher.Pulling{})
	if err != nil || pulled.Images[0].Position != 1 {
		t.Errorf("a pull takes %+v, %v", pulled, err)
	}
	if got, err := later.again(t).start(t, image); err != nil || got != "amd64" {
		t.Errorf("a start after it takes %q, %v", got, err)
	}
}

// A SIF that is written to a file is one that fits.
func TestFloorOfAFile(t *testing.T) {
	t.Parallel()
	image := floorIndex(t, floorEntry{"v2", alma}, floorEntry{"", plain})
	dir := t.TempDir()
	r := newFloorRoad(t, "nehalem")
	file := filepath.Join(dir, "app.sif")
	pulled, err := r.Pull(t.Context(), image, launcher.Pulling{File: file})
	if err != nil || pulled.Images[0].Position != 1 || len(r.said) != 1 {
		t.Errorf("a pull into a file takes %+v, %v, and says %q", pulled, err, r.said)
	}
	named := newFloorRoad(t, "nehalem")
	named.Option.Variant = "0"
	none := filepath.Join(dir, "none.sif")
	_, err = named.Pull(t.Context(), image, launcher.Pulling{File: none})
	if class, _, _ := fault.Of(err, ""); class != fault.NoMatch {
		t.Errorf("a pull of the other is %v", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("files are %v, %v", left, err)
	}
	all, err := r.again(t).Pull(t.Context(), image, launcher.Pulling{All: true})
	if err != nil || len(all.Images) != 2 || all.Images[0].Needs[0].Word != "x86-64-v3" {
		t.Errorf("a pull of all is %+v, %v", all, err)
	}
}

// Debian's GROMACS 2022.5 needs SSE4.1, and says SSE4.2: its package does, not its index.
func TestFloorOfGROMACS(t *testing.T) {
	lab.Needs(t, "qemu", !testing.Short(), "it converts the image of the demonstration")
	t.Parallel()
	image := "oci:" + lab.Script(t, "../demo/image")
	for target, fits := range map[string]bool{"nehalem": true, "core2": false} {
		r := newFloorRoad(t, target)
		pulled, err := r.Pull(t.Context(), image, launcher.Pulling{})
		if class, _, _ := fault.Of(err, ""); fits && err != nil || !fits && (class != fault.NoMatch || !strings.Contains(err.Error(), "needs sse4_2 although its entry says amd64 (its package gromacs depends on sse4.2-support)")) {
			t.Errorf("on %s: %+v, %v", target, pulled, err)
		}
	}
}
