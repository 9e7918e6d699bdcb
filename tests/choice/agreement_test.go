package choice

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/nodes"
	"github.com/hpc3-project/hpc3/launcher/notes"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/settings"
	"github.com/hpc3-project/hpc3/launcher/site"
	"github.com/hpc3-project/hpc3/probe/facts"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// said is what images say of themselves, in their configs.
type said int

const (
	nothingSaid said = iota // their platform and no more
	bestRefuses             // the one that the index has for the best asks for a CPU that there is not
	bestNeeds               // that one requires a driver that no node has; where there is none, nothing is required
	allRefuse               // every one asks for a CPU that there is not
)

// question is an index, and the nodes for which something of it is chosen.
type question struct {
	name    string
	nodes   []facts.Node
	entries []oci.Descriptor
	policy  site.Site
}

// TestAgreement asks explain, --dry-run, pull and a start about every index and node that there is
// as data: they choose the same image or, if nothing fits, give the same reason.
func TestAgreement(t *testing.T) {
	var asked, chosen atomic.Int32
	questions := goldenQuestions(t)
	if !testing.Short() {
		questions = slices.Concat(questions, nodeQuestions(t), dumpQuestions(t), caseQuestions(t))
	}
	t.Run("questions", func(t *testing.T) {
		for _, q := range questions {
			t.Run(q.name, func(t *testing.T) {
				t.Parallel() // they wait for disks more than they work
				for _, say := range []said{nothingSaid, bestRefuses, bestNeeds, allRefuse} {
					asked.Add(1)
					if q.test(t, say) {
						chosen.Add(1)
					}
				}
			})
		}
	})
	t.Logf("%d questions, of which %d have an image", asked.Load(), chosen.Load())
}

// outcome is a digest, or why there is none.
type outcome struct{ digest, class, why string }

// test reports whether something was chosen.
func (q question) test(t *testing.T, say said) bool {
	best := ""
	if say == bestRefuses || say == bestNeeds {
		e, err := q.road(t).ExplainIndex(t.Context(), "index", writeSaying(t, inMemory(t), q, nothingSaid, ""))
		if err != nil {
			t.Fatal(err)
		}
		if e.Chosen == nil {
			return false // as with nothing said
		}
		best = strconv.Itoa(e.Chosen.Position)
	}
	dir := inMemory(t)
	writeSaying(t, dir, q, say, best)
	image := "oci:" + dir
	told, err := q.road(t).Explain(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	want := outcome{class: string(fault.NoMatch), why: told.Why}
	if told.Chosen != nil {
		want = outcome{digest: told.Chosen.Digest}
	}
	puller := q.road(t)
	got := map[string]outcome{"dry-run": q.dryRun(t, image, told.Why), "pull": pull(t, puller, image, told.Why)}
	starter := q.road(t)
	if say != bestRefuses { // what was pulled says of itself in the SIF what its config does
		starter.Host = puller.Host
	}
	got["start"] = start(t, starter, image, told.Why)
	for what, o := range got {
		if o != want {
			t.Errorf("%s, %d: %+v\nexplain says %+v: %s", what, say, o, want, told.Table(0))
		}
	}
	switch {
	case want.digest != "" && (say == allRefuse || best != "" && say == bestRefuses && strconv.Itoa(told.Chosen.Position) == best):
		t.Errorf("%s is chosen against its own word: %s", want.digest, told.Table(0))
	case want.digest == "" && !strings.Contains(told.Table(0), "\nnothing fits: "+told.Why+"\n"):
		t.Errorf("the table does not say %q: %s", told.Why, told.Table(0))
	case want.digest != "" && !strings.Contains(told.Table(0), fmt.Sprintf("\n* %d ", told.Chosen.Position)):
		t.Errorf("the table does not have entry %d as chosen: %s", told.Chosen.Position, told.Table(0))
	}
	return want.digest != ""
}

// inMemory returns a directory that ends with the test, in memory if there is such a place:
// thousands of small files are made sure of here.
func inMemory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "hpc3-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // what is left ends with the machine
	return dir
}

// road is a walk with a cache of its own, on the first of the nodes.
func (q question) road(t *testing.T) *launcher.Road {
	t.Helper()
	dir := inMemory(t)
	r := &launcher.Road{
		Settings: settings.Settings{
			Host: settings.Host{Environ: []string{"HPC3_CACHEDIR=" + dir + "/cache", "PATH=/usr/bin:/bin"}, Arch: oci.Architecture(q.nodes[0].Arch), Cwd: "/", NoStart: true},
			Site: q.policy, Option: option.Merge(),
		},
		Version: "test", Notes: notes.Notes{Progress: new(notes.Progress)},
	}
	r.Option.Engine = option.Native
	if len(q.nodes) == 1 {
		r.Given = &q.nodes[0]
		return r
	}
	raw, err := json.Marshal(q.nodes)
	if err == nil {
		r.Option.NodesFile = filepath.Join(dir, "nodes.json")
		err = os.WriteFile(r.Option.NodesFile, raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// failed turns an error into an outcome. Its reason is why, if it ends so.
func failed(err error, why string) outcome {
	class, _, _ := fault.Of(err, "")
	if why != "" && strings.HasSuffix(err.Error(), ": "+why) {
		return outcome{class: string(class), why: why}
	}
	return outcome{class: string(class), why: err.Error()}
}

func (q question) dryRun(t *testing.T, image, why string) outcome {
	r := q.road(t)
	p, err := r.Plan(t.Context(), image, []string{"true"})
	if err != nil {
		return failed(err, why)
	}
	return outcome{digest: p.Chosen.Digest}
}

func pull(t *testing.T, r *launcher.Road, image, why string) outcome {
	t.Helper()
	p, err := r.Pull(t.Context(), image, launcher.Pulling{})
	if err != nil {
		return failed(err, why)
	}
	return outcome{digest: p.Images[0].Digest}
}

func start(t *testing.T, r *launcher.Road, image, why string) outcome {
	t.Helper()
	s, err := r.Ready(t.Context(), image, []string{"true"})
	if err != nil {
		return failed(err, why)
	}
	defer s.Close()
	for _, v := range s.Plan.Command.SetEnv {
		if digest, ok := strings.CutPrefix(v, "HPC3_IMAGE_DIGEST="); ok {
			return outcome{digest: digest}
		}
	}
	return outcome{why: "the command is not told its image's digest"}
}

// writeSaying writes a layout that holds the index of a question, with an image for each entry, and
// returns the index.
func writeSaying(t *testing.T, dir string, q question, say said, best string) []byte {
	t.Helper()
	blobs := filepath.Join(dir, "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		t.Fatal(err)
	}
	put := func(raw []byte, mediaType string) oci.Descriptor {
		digest := oci.DigestOf(raw)
		if err := os.WriteFile(filepath.Join(blobs, strings.TrimPrefix(digest, "sha256:")), raw, 0o644); err != nil {
			t.Fatal(err)
		}
		return oci.Descriptor{MediaType: mediaType, Digest: digest, Size: int64(len(raw))}
	}
	entries := slices.Clone(q.entries)
	for i, e := range entries {
		if e.MediaType != "" && e.MediaType != oci.MediaTypeManifest && e.MediaType != oci.MediaTypeDockerManifest || e.ArtifactType != "" {
			continue
		}
		image := put(saying(t, q, e, i, say, strconv.Itoa(i) == best, put), oci.MediaTypeManifest)
		entries[i].MediaType, entries[i].Digest, entries[i].Size = image.MediaType, image.Digest, image.Size
	}
	index := document(t, map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeIndex, "manifests": entries})
	top := document(t, map[string]any{"schemaVersion": 2, "manifests": []oci.Descriptor{put(index, oci.MediaTypeIndex)}})
	if err := os.WriteFile(filepath.Join(dir, "index.json"), top, 0o644); err != nil {
		t.Fatal(err)
	}
	return index
}

// saying returns the manifest of an image that says something of itself.
func saying(t *testing.T, q question, e oci.Descriptor, i int, say said, best bool, put func([]byte, string) oci.Descriptor) []byte {
	t.Helper()
	platform := oci.Platform{OS: "linux", Architecture: q.nodes[0].Arch}
	if e.Platform != nil {
		platform = *e.Platform
	}
	env := []string{"ENTRY=" + strconv.Itoa(i)}
	variant := ""
	switch {
	case say == allRefuse || say == bestRefuses && best:
		variant = "v99"
	case say == bestNeeds && best:
		env = append(env, "NVIDIA_REQUIRE_CUDA=cuda>=99.0")
	}
	raw, id := plainLayer()
	config := document(t, map[string]any{
		"os": platform.OS, "architecture": platform.Architecture, "variant": variant,
		"config": map[string]any{"Env": env}, "rootfs": map[string]any{"type": "layers", "diff_ids": []string{id}},
	})
	return document(t, map[string]any{
		"schemaVersion": 2, "mediaType": oci.MediaTypeManifest, "config": put(config, oci.MediaTypeConfig),
		"layers": []oci.Descriptor{put(raw, oci.MediaTypeLayer)},
	})
}

// plainLayer is the tar file of nothing, which all images have.
func plainLayer() (raw []byte, id string) {
	raw = make([]byte, 1024)
	return raw, oci.DigestOf(raw)
}

func document(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// descriptorsOf reads the entries of an index in a file.
func descriptorsOf(t *testing.T, file string) []oci.Descriptor {
	t.Helper()
	index, err := oci.ParseIndex([]byte(lab.Read(t, file)))
	if err != nil {
		t.Fatal(err)
	}
	var entries []oci.Descriptor
	for _, e := range index.Entries {
		entries = append(entries, e.Descriptor)
	}
	return entries
}

func goldenQuestions(t *testing.T) (all []question) {
	t.Helper()
	for i := range 8 {
		entries := descriptorsOf(t, fmt.Sprintf("testdata/golden/I%d.json", i+1))
		for _, cpu := range []string{"x86_64", "x86_64_v2", "x86_64_v3", "x86_64_v4", "haswell", "zen3", "skylake_avx512", "broadwell", "skylake"} {
			node := facts.Node{OS: "linux", Arch: "amd64", CPU: facts.CPU{Target: cpu}}
			all = append(all, question{name: fmt.Sprintf("I%d on %s", i+1, cpu), nodes: []facts.Node{node}, entries: entries})
		}
	}
	return all
}

// nodeQuestions are about the recorded nodes.
func nodeQuestions(t *testing.T) (all []question) {
	t.Helper()
	entries := descriptorsOf(t, "../nodes/index.json")
	for _, name := range slices.Sorted(maps.Keys(nodeChoices)) {
		n, err := nodes.Read(name, strings.NewReader(lab.Read(t, "../nodes/"+name+".json")))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, question{name: name, nodes: []facts.Node{n}, entries: entries})
	}
	return all
}

// dumpQuestions are about archspec's collection of /proc/cpuinfo, each probed as the node of its
// own.
func dumpQuestions(t *testing.T) (all []question) {
	t.Helper()
	files, err := filepath.Glob("../../../shared/data/archspec/tests/targets/linux-*")
	if err != nil || len(files) == 0 {
		t.Logf("left out: no cpuinfo dumps here (%v)", err)
		return nil
	}
	entries := descriptorsOf(t, "../nodes/index.json")
	for _, file := range files {
		root := t.TempDir()
		if err := os.MkdirAll(root+"/proc", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root+"/proc/cpuinfo", []byte(lab.Read(t, file)), 0o644); err != nil {
			t.Fatal(err)
		}
		n, err := (&launcher.Road{ProbeRoot: root, Settings: settings.Settings{Host: settings.Host{Environ: []string{"HPC3_CACHEDIR=" + root + "/cache"}}}}).Node(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, question{name: filepath.Base(file), nodes: []facts.Node{n}, entries: entries})
	}
	return all
}

// selectionHost is a host of the file of selection cases.
type selectionHost struct {
	OS, Arch, CPU string
	Features      []string
	GPUs          []struct{ CC string }
	Driver, CUDA  string
	AMDGPU        []string
	MPI           map[string]string
	Labels        []string
	Glibc         string
}

func (h selectionHost) node(name string) facts.Node {
	n := facts.Node{
		SchemaVersion: facts.SchemaVersion, Hostname: name, OS: h.OS, Arch: h.Arch, Glibc: h.Glibc,
		CPU: facts.CPU{Target: h.CPU, Features: h.Features}, Labels: h.Labels,
	}
	for _, g := range h.GPUs {
		n.GPUs = append(n.GPUs, facts.GPU{Vendor: "nvidia", Arch: g.CC})
	}
	for _, gfx := range h.AMDGPU {
		n.GPUs = append(n.GPUs, facts.GPU{Vendor: "amd", Arch: gfx})
	}
	if h.Driver != "" || h.CUDA != "" {
		n.NVIDIA = &facts.NVIDIA{Driver: h.Driver, CUDA: h.CUDA}
	}
	for _, name := range slices.Sorted(maps.Keys(h.MPI)) {
		n.MPI = append(n.MPI, facts.MPI{Implementation: name, Version: h.MPI[name]})
	}
	return n
}

// caseQuestions are the selection cases.
func caseQuestions(t *testing.T) (all []question) {
	t.Helper()
	raw, err := os.ReadFile("../../../shared/data/selection_cases.json")
	if errors.Is(err, fs.ErrNotExist) {
		t.Logf("left out: no selection cases here (%v)", err)
		return nil
	}
	var file struct {
		Cases []struct {
			ID       int
			Name     string
			Hosts    []selectionHost
			Policy   struct{ CPU string }
			Variants []struct {
				P           string
				Rank        int
				Annotations map[string]string
			}
		}
	}
	if err == nil {
		err = json.Unmarshal(raw, &file)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range file.Cases {
		q := question{name: fmt.Sprintf("%d %s", c.ID, c.Name), policy: site.Site{CPUFeatures: c.Policy.CPU == "features"}}
		for i, h := range c.Hosts {
			q.nodes = append(q.nodes, h.node("n"+strconv.Itoa(i)))
		}
		for _, v := range c.Variants {
			d := oci.Descriptor{MediaType: oci.MediaTypeManifest, Annotations: map[string]string{}}
			maps.Copy(d.Annotations, v.Annotations)
			if v.Rank != 0 {
				d.Annotations[oci.AnnotationRank] = strconv.Itoa(v.Rank)
			}
			if v.P != "" {
				p, _, err := oci.ParsePlatform(v.P)
				if err != nil {
					t.Fatal(err)
				}
				d.Platform = &p
			}
			q.entries = append(q.entries, d)
		}
		all = append(all, q)
	}
	return all
}

// TestProgramsAgree asks the programs themselves, of the golden indexes and of one that requires of
// the driver what no node has. The start is a real one: the command says which image it runs in.
func TestProgramsAgree(t *testing.T) {
	fuse, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	lab.Needs(t, "native", err == nil, fmt.Sprint(err))
	_ = fuse.Close() // it was there
	home := t.TempDir()
	program := filepath.Join(home, "say")
	build := exec.Command("gcc", "-static", "-O1", "-x", "c", "-o", program, "-")
	build.Stdin = strings.NewReader("#include <stdio.h>\n#include <stdlib.h>\nint main(void) { puts(getenv(\"HPC3_IMAGE_DIGEST\")); }\n")
	out, err := build.CombinedOutput()
	lab.Needs(t, "native", err == nil, fmt.Sprintf("%v: %v\n%s", build.Args, err, out))
	for i := range 8 {
		for _, platform := range []string{"linux/amd64", "linux/amd64/v2", "linux/amd64:zen3", "linux/amd64/v4:nv-compute-9-0:nvidia-570-86"} {
			for _, say := range []said{nothingSaid, allRefuse, bestNeeds} {
				q := question{entries: descriptorsOf(t, fmt.Sprintf("testdata/golden/I%d.json", i+1)), nodes: []facts.Node{{OS: "linux", Arch: "amd64"}}}
				dir := t.TempDir()
				writeSaying(t, dir, q, say, "0")
				t.Run(fmt.Sprintf("I%d on %s, %d", i+1, platform, say), func(t *testing.T) { programsAgree(t, "oci:"+dir, platform, program) })
			}
		}
	}
}

func programsAgree(t *testing.T, image, platform, program string) {
	home := t.TempDir()
	run := func(name string, args ...string) (stdout, why string, status int) {
		cmd := exec.Command(filepath.Join(lab.Programs(), name), args...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "HPC3_CONFIG=" + os.DevNull, "HPC3_ENGINE=native", "HPC3_QUIET=1"}
		var out, errs strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &errs
		_ = cmd.Run() // its status is what counts
		line, _, _ := strings.Cut(errs.String(), "\n")
		if _, reason, ok := strings.Cut(line, " fits "+platform+": "); ok && strings.Contains(line, ": error[nomatch]: ") {
			why = reason
		} else if line != "" {
			why = line
		}
		return out.String(), why, cmd.ProcessState.ExitCode()
	}
	asJSON, _, _ := run("hpc3", "explain", "--json", "--platform", platform, image)
	var told launcher.Explanation
	if err := json.Unmarshal([]byte(asJSON), &told); err != nil {
		t.Fatal(err)
	}
	text, _, status := run("hpc3", "explain", "--platform", platform, image)
	dry, dryWhy, dryStatus := run("hpc3-run", "--dry-run", "--platform", platform, image)
	ran, ranWhy, ranStatus := run("hpc3-run", "--platform", platform, "--container-entrypoint", "none", "-B", program+":/say", image, "/say")
	pulled, pullWhy, pullStatus := run("hpc3", "pull", "--json", "--platform", platform, image)
	if told.Chosen == nil {
		got := []any{dryWhy, ranWhy, pullWhy, status, dryStatus, ranStatus, pullStatus, strings.Contains(text, "\nnothing fits: "+told.Why+"\n")}
		if diff := cmp.Diff([]any{told.Why, told.Why, told.Why, 1, 125, 125, 1, true}, got); diff != "" {
			t.Errorf("nothing fits (-explain +others):\n%s", diff)
		}
		return
	}
	digest := told.Chosen.Digest
	got := []any{
		strings.Contains(dry, "\ndigest   "+digest+"\n"), ran, strings.Contains(pulled, `"digest": "`+digest+`"`), dryWhy + ranWhy + pullWhy,
		status, dryStatus, ranStatus, pullStatus, strings.Contains(text, fmt.Sprintf("\n* %d ", told.Chosen.Position)),
	}
	if diff := cmp.Diff([]any{true, digest + "\n", true, "", 0, 0, 0, 0, true}, got); diff != "" {
		t.Errorf("entry %d is chosen (-explain +others):\n%s", told.Chosen.Position, diff)
	}
}
