package choose

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/notes"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// registry plays the caches and the registry: documents by digest and by tag, as a map.
type registry struct {
	blobs   map[string][]byte // by digest
	tags    map[string][]byte // of the registry
	known   map[Name][]byte   // of the caches
	made    map[string][]byte // configs of SIFs in the caches, by the manifest's digest
	floors  map[string]*oci.Floor
	offline error // of every question to the registry
	listing error // of the list of tags
	asked   []string
	noted   []string
}

func newRegistry() *registry {
	return &registry{
		blobs: map[string][]byte{}, tags: map[string][]byte{}, known: map[Name][]byte{},
		made: map[string][]byte{},
	}
}

func (r *registry) ask(what string) error {
	r.asked = append(r.asked, what)
	return r.offline
}

func (r *registry) Cached(name Name) ([]byte, error) { return r.known[name], nil }

func (r *registry) Root(_ context.Context, ref oci.Reference) ([]byte, string, error) {
	if err := r.ask(ref.Tag); err != nil {
		return nil, "", err
	}
	raw := r.tags[ref.Tag]
	if raw == nil {
		return nil, "", fetch.ErrNotFound.New("%s is not there", ref)
	}
	return raw, "", nil
}

func (r *registry) Tags(context.Context) ([]string, error) {
	if err := r.ask("tags"); err != nil {
		return nil, err
	}
	var list []string
	for tag := range r.tags {
		list = append(list, tag)
	}
	return list, r.listing
}

func (r *registry) Remember(name Name, raw []byte, _ string) error {
	r.known[name] = raw
	r.blobs[oci.DigestOf(raw)] = raw
	return nil
}

func (r *registry) Blob(_ context.Context, d oci.Descriptor) ([]byte, error) {
	if raw := r.blobs[d.Digest]; raw != nil {
		return raw, nil
	}
	if err := r.ask(d.Digest); err != nil {
		return nil, err
	}
	return nil, oci.ErrUnusable.New("%s is not there", d.Digest)
}

func (r *registry) Config(digest, _ string) (config []byte, made bool, err error) {
	config, made = r.made[digest]
	return config, made, nil
}

func (r *registry) Floor(digest string) *oci.Floor { return r.floors[digest] }

func (r *registry) notes() notes.Notes {
	note := func(text string) { r.noted = append(r.noted, text) }
	return notes.Notes{Note: note, Say: note}
}

// put keeps a document and returns its descriptor as JSON, with more members.
func (r *registry) put(document, mediaType, more string) string {
	digest := oci.DigestOf([]byte(document))
	r.blobs[digest] = []byte(document)
	kind, _ := json.Marshal(mediaType) // a string
	return fmt.Sprintf(`{"mediaType":%s,"digest":%q,"size":%d%s}`, kind, digest, len(document), more)
}

// manifest keeps a config of a type, and returns the manifest of an image of it.
func (r *registry) manifest(config, configType string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[]}`, oci.MediaTypeManifest, r.put(config, configType, ""))
}

// image keeps an image, and returns its entry of an index.
func (r *registry) image(config, more string) string {
	return r.put(r.manifest(config, oci.MediaTypeConfig), oci.MediaTypeManifest, more)
}

func index(entries ...string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, oci.MediaTypeIndex, strings.Join(entries, ","))
}

const (
	amd64 = `{"os":"linux","architecture":"amd64"}`
	arm64 = `{"os":"linux","architecture":"arm64"}`
	of    = `,"platform":{"os":"linux","architecture":"amd64"}`
)

// wanting is the platform of an entry that demands a word.
func wanting(word string) string {
	return fmt.Sprintf(`,"platform":{"os":"linux","architecture":"amd64","features":[%q]}`, word)
}

func zen3() []facts.Node {
	return []facts.Node{{OS: "linux", Arch: "amd64", CPU: facts.CPU{Target: "zen3", Strict: "zen3", Level: 3}}}
}

func request(t *testing.T, image string) Request {
	t.Helper()
	ref, err := oci.ParseReference(image)
	if err != nil {
		t.Fatal(err)
	}
	return Request{Reference: ref, Written: image, Nodes: zen3()}
}

// An index: the best entry is taken, and what it says of itself counts.
func TestImage(t *testing.T) {
	const needs = `{"os":"linux","architecture":"amd64","config":{"Env":["NVIDIA_REQUIRE_CUDA=cuda>=13.0"]}}`
	const lies = `{"os":"linux","architecture":"amd64","config":{"Labels":{"org.supercontainers.hpc3.features":"zen4"}}}`
	for _, tt := range []struct {
		name  string
		index func(r *registry) string
		set   func(q *Request)
		at    int         // position of the taken entry
		class fault.Class // of the error; "" for none
		note  string      // that is told; "" = any
	}{
		{name: "the best", at: 1, index: func(r *registry) string { return index(r.image(amd64, of), r.image(amd64, wanting("zen2"))) }},
		{name: "the next best", at: 0, note: "entry 1 of docker.io/library/app:1 is passed over: ", index: func(r *registry) string {
			return index(r.image(amd64, of), r.image(lies, wanting("zen2")))
		}},
		{name: "an artifact", at: 0, note: "cannot be used: it is an artifact of type x/y", index: func(r *registry) string {
			return index(r.image(amd64, of), r.put(r.manifest("{}", "x/y"), oci.MediaTypeManifest, wanting("zen2")))
		}},
		{name: "nothing but an artifact", class: fault.Reference, index: func(r *registry) string {
			return index(r.put(r.manifest("{}", "x/y"), oci.MediaTypeManifest, of))
		}},
		{name: "no config", class: fault.Registry, index: func(r *registry) string {
			return index(r.put(r.manifest("{", oci.MediaTypeConfig), oci.MediaTypeManifest, of))
		}},
		{name: "no manifest", class: fault.Registry, index: func(r *registry) string { return index(r.put("{}", oci.MediaTypeManifest, of)) }},
		{name: "nothing fits", class: fault.NoMatch, index: func(r *registry) string { return index(r.image(amd64, wanting("zen5"))) }},
		{name: "inside", at: 1, index: func(r *registry) string {
			return index(r.image(amd64, of), r.put(index(r.image(arm64, ""), r.image(amd64, wanting("zen2"))), oci.MediaTypeIndex, wanting("zen")))
		}},
		{name: "an index inside without a platform", at: 1, index: func(r *registry) string {
			return index(r.image(amd64, of), r.put(index(r.image(arm64, ""), r.image(amd64, `,"annotations":{"org.supercontainers.hpc3.features":"zen2"}`)), oci.MediaTypeIndex, ""))
		}},
		{name: "an index inside without a platform, for others", at: 0, index: func(r *registry) string {
			return index(r.image(amd64, of), r.put(index(r.image(arm64, ""), r.put(r.manifest("{}", "x/y"), oci.MediaTypeManifest, "")), oci.MediaTypeIndex, ""))
		}},
		{name: "podman's variant", at: 0, note: `warning: entry 0 of docker.io/library/app:1: its variant "v8" is one of arm64`, index: func(r *registry) string {
			return index(r.image(amd64, `,"platform":{"os":"linux","architecture":"amd64","variant":"v8"}`), r.image(amd64, wanting("zen5")))
		}},
		{name: "a broken index inside", class: fault.Registry, index: func(r *registry) string { return index(r.put("{}", oci.MediaTypeIndex, of)) }},
		{name: "by its position", at: 0, set: func(q *Request) { q.Variant = "0" }, index: func(r *registry) string {
			return index(r.image(amd64, of), r.image(amd64, wanting("zen2")))
		}},
		{name: "by a position that is not there", class: fault.NoMatch, set: func(q *Request) { q.Variant = "7" }, index: func(r *registry) string {
			return index(r.image(amd64, of))
		}},
		{name: "by a beginning of two", class: fault.NoMatch, set: func(q *Request) { q.Variant = "sha256:" }, index: func(r *registry) string {
			return index(r.image(amd64, of), r.image(arm64, of))
		}},
		{name: "one that cannot run", class: fault.NoMatch, set: func(q *Request) { q.Variant = "0" }, index: func(r *registry) string {
			return index(r.image(amd64, wanting("zen5")))
		}},
		{name: "one that cannot run, by force", at: 0, note: "entry 0 of docker.io/library/app:1 is run by --force, though, ", set: func(q *Request) { q.Variant, q.Force = "0", true }, index: func(r *registry) string {
			return index(r.image(amd64, wanting("zen5")))
		}},
		{name: "labels that contradict", class: fault.Policy, set: func(q *Request) { q.Variant = "0" }, index: func(r *registry) string {
			return index(r.image(contradicting, stating))
		}},
		{name: "labels that contradict, as a warning", at: 0, note: "warning: entry 0 of ", set: func(q *Request) { q.WarnMismatch = true }, index: func(r *registry) string {
			return index(r.image(contradicting, stating))
		}},
		{name: "a requirement that cannot be told", at: 0, note: "NVIDIA", index: func(r *registry) string { return index(r.image(needs, of)) }, set: func(q *Request) { q.Force = true }},
		{name: "for two nodes", class: fault.NoMatch, set: func(q *Request) { q.Nodes = append(q.Nodes, q.Nodes[0]) }, index: func(r *registry) string {
			return index(r.image(amd64, wanting("zen5")))
		}},
		{name: "for a platform", class: fault.NoMatch, set: func(q *Request) { q.Platform = "linux/amd64:zen3" }, index: func(r *registry) string {
			return index(r.image(amd64, wanting("zen5")))
		}},
		{name: "no document", class: fault.Registry, index: func(*registry) string { return "[]" }},
		{name: "a broken index", class: fault.Registry, index: func(*registry) string { return fmt.Sprintf(`{"mediaType":%q}`, oci.MediaTypeIndex) }},
		{name: "a broken manifest", class: fault.Registry, index: func(*registry) string { return fmt.Sprintf(`{"mediaType":%q}`, oci.MediaTypeManifest) }},
		{name: "one image", at: 0, index: func(r *registry) string { return r.manifest(amd64, oci.MediaTypeConfig) }},
		{name: "one artifact", class: fault.Reference, index: func(r *registry) string { return r.manifest("{}", "x/y") }},
		{name: "one image without a platform", class: fault.Reference, index: func(r *registry) string { return r.manifest("{}", oci.MediaTypeConfig) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRegistry()
			r.tags["1"] = []byte(tt.index(r))
			q := request(t, "app:1")
			if tt.set != nil {
				tt.set(&q)
			}
			c, err := Image(t.Context(), q, r, r.notes())
			if class, _, _ := fault.Of(err, ""); class != tt.class || c.Found() && err == nil && c.Taken().Position != tt.at {
				t.Fatalf("Image() takes %d, %v; want %d, an error of class %q; told %q", c.At, err, tt.at, tt.class, r.noted)
			}
			if err == nil && (c.Config.OS != "linux" || !c.Found() || c.Arch() == "" || c.Platform() == "") {
				t.Errorf("Image() = %+v", c)
			}
			if !slices.ContainsFunc(r.noted, func(text string) bool { return strings.Contains(text, tt.note) }) && tt.note != "" {
				t.Errorf("told %q; want %q", r.noted, tt.note)
			}
		})
	}
}

// The label of a config that contradicts its entry of the index.
const (
	contradicting = `{"os":"linux","architecture":"amd64","config":{"Labels":{"org.supercontainers.hpc3.features":"zen3"}}}`
	stating       = of + `,"annotations":{"org.supercontainers.hpc3.features":"zen2"}`
)

// The config of an image that is a SIF already is read from there.
func TestMadeImage(t *testing.T) {
	r := newRegistry()
	r.tags["1"] = []byte(index(r.image(amd64, of)))
	digest := oci.DigestOf([]byte(r.manifest(amd64, oci.MediaTypeConfig)))
	r.made[digest] = []byte(amd64)
	clear(r.blobs)
	c, err := Image(t.Context(), request(t, "app:1"), r, r.notes())
	if err != nil || c.Entry.Digest != digest || c.Config.Architecture != "amd64" {
		t.Errorf("Image() = %+v, %v", c, err)
	}
	r.asked = nil
	if c, err = Image(t.Context(), request(t, "app:1"), r, r.notes()); err != nil || !c.Found() || len(r.asked) > 0 && r.asked[0] != "tags" {
		t.Errorf("Image() of what is cached = %+v, %v; asked %q", c, err, r.asked)
	}
}

// Without a way to the registry the choice is by the index, if the caller can do with that.
func TestUnread(t *testing.T) {
	r := newRegistry()
	r.known[Name{Reference: request(t, "app:1").Reference}] = []byte(index(r.image(amd64, of)))
	clear(r.blobs)
	r.offline = fetch.ErrUnreachable.New("no way")
	q := request(t, "app:1")
	if _, err := Image(t.Context(), q, r, r.notes()); err == nil {
		t.Error("Image() takes an image that nobody has read")
	}
	q.UnreadIsKnown = true
	if c, err := Image(t.Context(), q, r, r.notes()); err != nil || c.Unread != "no way" || !c.Found() {
		t.Errorf("Image() = %+v, %v", c, err)
	}
}
