package launcher

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hpc3-project/hpc3/launcher/choose"
	"github.com/hpc3-project/hpc3/launcher/convert"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/settings"
	"github.com/hpc3-project/hpc3/launcher/site"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// tagged is a registry with one repository, "app": tags holds the platform of each image, "" for
// one that is listed and not there.
type tagged struct {
	*httptest.Server
	tags   map[string]string
	status int // of the list; 0 = it is there

	mu  sync.Mutex
	log []string
}

func serveTags(t *testing.T, tags map[string]string) *tagged {
	t.Helper()
	s := &tagged{tags: tags}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *tagged) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/v2/app/")
	if path != r.URL.Path {
		s.mu.Lock()
		s.log = append(s.log, path)
		s.mu.Unlock()
	}
	if raw, mediaType := s.answer(path); raw != nil {
		w.Header().Set("Content-Type", mediaType)
		_, _ = w.Write(raw) // the client may be gone
		return
	}
	switch {
	case r.URL.Path == "/v2/":
	case path == "tags/list" && s.status != 0:
		w.WriteHeader(s.status)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (s *tagged) answer(path string) (raw []byte, mediaType string) {
	if path == "tags/list" && s.status == 0 {
		list := []string{}
		for tag := range s.tags {
			list = append(list, tag)
		}
		raw, _ = json.Marshal(map[string]any{"name": "app", "tags": list}) // strings
		return raw, "application/json"
	}
	for tag, platform := range s.tags {
		config, manifest := tagImage(platform)
		switch {
		case platform == "":
		case path == "blobs/"+oci.DigestOf(config):
			return config, "application/octet-stream"
		case path == "manifests/"+tag || path == "manifests/"+oci.DigestOf(manifest):
			return manifest, oci.MediaTypeManifest
		}
	}
	return nil, ""
}

func tagImage(platform string) (config, manifest []byte) {
	words := strings.Split(platform+"//", "/")
	config = fmt.Appendf(nil, `{"os":%q,"architecture":%q,"variant":%q}`, words[0], words[1], words[2])
	manifest = fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[]}`,
		oci.MediaTypeManifest, oci.MediaTypeConfig, oci.DigestOf(config), len(config))
	return config, manifest
}

// requests returns what was asked since the last call.
func (s *tagged) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := s.log
	s.log = nil
	return log
}

func roadTo(t *testing.T, opt option.Run) *Road {
	t.Helper()
	opt.Pull = option.Missing
	node := facts.Node{OS: "linux", Arch: "amd64", CPU: facts.CPU{Target: "zen3", Strict: "zen3", Level: 3}}
	host := settings.Host{Environ: []string{"HPC3_CACHEDIR=" + t.TempDir() + "/cache"}}
	return &Road{Settings: settings.Settings{Host: host, Option: opt}, Given: &node}
}

func (s *tagged) choose(t *testing.T, r *Road, tag string) (choose.Chosen, error) {
	t.Helper()
	return chosenBy(t, r, strings.TrimPrefix(s.URL, "http://")+"/app:"+tag)
}

// chosenBy chooses as a start does.
func chosenBy(t *testing.T, r *Road, image string) (choose.Chosen, error) {
	t.Helper()
	request, err := r.request(t.Context(), image)
	if err != nil {
		return choose.Chosen{}, err
	}
	src := r.source(request.Reference, false)
	t.Cleanup(src.Close)
	return r.choose(t.Context(), request, src)
}

func TestChooseByTag(t *testing.T) {
	tests := []struct {
		name  string
		tags  map[string]string
		opt   option.Run
		want  string   // the tag; "-" for none, the image itself
		wants string   // HPC3_VARIANT
		asked []string // manifests, by tag
	}{
		{
			name: "the nearest", want: "1_zen2", wants: "linux/amd64:zen2", asked: []string{"1", "1_zen2"},
			tags: map[string]string{"1_zen2": "linux/amd64", "1_x86_64_v3": "linux/amd64", "1_zen4": "linux/amd64", "10_zen3": "linux/amd64", "1_zen3_debug": "linux/amd64"},
		},
		{
			name: "its config demands more", want: "1_x86_64_v2", wants: "linux/amd64:x86_64_v2", asked: []string{"1", "1_zen2", "1_x86_64_v2"},
			tags: map[string]string{"1_zen2": "linux/amd64/v4", "1_x86_64_v2": "linux/amd64"},
		},
		{
			name: "a tag that lies about its architecture", want: "1", wants: "linux/amd64", asked: []string{"1", "1_zen2"},
			tags: map[string]string{"1_zen2": "linux/arm64", "1": "linux/amd64"},
		},
		{
			name: "a tag without an image", want: "1_zen", wants: "linux/amd64:zen", asked: []string{"1", "1_zen2", "1_zen"},
			tags: map[string]string{"1_zen2": "", "1_zen": "linux/amd64"},
		},
		{
			name: "no variant", want: "-", wants: "linux/amd64", asked: []string{"1"},
			tags: map[string]string{"1": "linux/amd64", "1_debug": "linux/amd64", "2_zen3": "linux/amd64"},
		},
		{
			name: "a config without a platform is none of an image", want: "1", wants: "linux/amd64", asked: []string{"1", "1_zen2"},
			tags: map[string]string{"1": "linux/amd64", "1_zen2": "//"},
		},
		{
			name: "by its position", opt: option.Run{Variant: "1"}, want: "1_zen", wants: "linux/amd64:zen", asked: []string{"1", "1_zen"},
			tags: map[string]string{"1": "linux/amd64", "1_zen": "linux/amd64", "1_zen2": "linux/amd64"},
		},
		{
			name: "by the digest of one not looked at", opt: option.Run{Variant: digestOf("linux/amd64/v2")}, want: "1_zen", wants: "linux/amd64/v2:zen",
			asked: []string{"1", "1_x86_64_v3", "1_zen"},
			tags:  map[string]string{"1_x86_64_v3": "linux/amd64", "1_zen": "linux/amd64/v2", "1_zen2": "linux/amd64"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serveTags(t, tt.tags)
			r := roadTo(t, tt.opt)
			for pass, wanted := range [][]string{tt.asked, nil} {
				c, err := s.choose(t, r, "1")
				if err != nil {
					t.Fatalf("pass %d: %v", pass, err)
				}
				entry := c.Entry
				if got := entry.Tag; got != strings.Trim(tt.want, "-") || choose.PlatformOf(entry) != tt.wants || !oci.ValidDigest(entry.Digest) {
					t.Errorf("pass %d: chosen %q, %q, %q; want %q, %q and a digest", pass, got, choose.PlatformOf(entry), entry.Digest, tt.want, tt.wants)
				}
				var asked []string
				for _, path := range s.requests() {
					if tag, ok := strings.CutPrefix(path, "manifests/"); ok {
						asked = append(asked, tag)
					} else if pass > 0 {
						t.Errorf("the second run asked for %s", path)
					}
				}
				// What is not there is not remembered: of a tag without an image the next run may
				// know more.
				if pass > 0 && tt.tags["1_zen2"] == "" && slices.Contains(tt.asked, "1_zen2") {
					wanted = []string{"1_zen2"}
				}
				if diff := cmp.Diff(wanted, asked); diff != "" {
					t.Errorf("pass %d: manifests asked for (-want +got):\n%s", pass, diff)
				}
			}
		})
	}
}

// The command is told the reference as the user wrote it, the image that was chosen, and no index.
func TestProvenanceOfTag(t *testing.T) {
	s := serveTags(t, map[string]string{"1_zen2": "linux/amd64", "1_skylake": "linux/amd64/v3"})
	r := roadTo(t, option.Run{})
	c, err := s.choose(t, r, "1")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"HPC3_IMAGE_REF=" + strings.TrimPrefix(s.URL, "http://") + "/app:1", "HPC3_IMAGE_DIGEST=" + digestOf("linux/amd64"), "HPC3_VARIANT=linux/amd64:zen2",
	}
	if diff := cmp.Diff(want, r.environment(provenance(c, convert.Contents{}))); diff != "" {
		t.Errorf("the command's variables (-want +got):\n%s", diff)
	}
}

func digestOf(platform string) string {
	_, manifest := tagImage(platform)
	return oci.DigestOf(manifest)
}

// Where the list cannot be had: only an answer for good leaves the image as it is, since no choice
// is to depend on chance.
func TestChooseWithoutList(t *testing.T) {
	plain := map[string]string{"1": "linux/amd64", "1_zen3": "linux/amd64"}
	tests := []struct {
		name   string
		tags   map[string]string
		status int
		opt    option.Run
		class  fault.Class // "" = the image itself is taken
		noted  bool
	}{
		{name: "forbidden", tags: plain, status: http.StatusForbidden, noted: true},
		{name: "not known", tags: plain, status: http.StatusNotFound, noted: true},
		{name: "not allowed", tags: plain, status: http.StatusMethodNotAllowed, noted: true},
		{name: "in trouble", tags: plain, status: http.StatusInsufficientStorage, class: fault.Registry},
		{name: "asked for", tags: plain, status: http.StatusForbidden, opt: option.Run{Variants: option.TagVariants}, class: fault.Auth},
		{name: "no image either", tags: map[string]string{"2": "linux/amd64"}, status: http.StatusForbidden, class: fault.Reference},
		{name: "not wanted", tags: plain, status: http.StatusForbidden, opt: option.Run{Variants: option.IndexVariants}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serveTags(t, tt.tags)
			s.status = tt.status
			r := roadTo(t, tt.opt)
			notes := 0
			r.Note = func(text string) { notes += strings.Count(text, "without variants by tag") }
			c, err := s.choose(t, r, "1")
			if class, _, _ := fault.Of(err, ""); class != tt.class || (notes > 0) != tt.noted {
				t.Fatalf("Choose = %v, of class %q, with %d notes; want class %q, a note: %v", err, class, notes, tt.class, tt.noted)
			}
			if err != nil {
				if _, again := s.choose(t, r, "1"); again == nil {
					t.Error("a second run takes what the first did not")
				}
				return
			}
			if entry := c.Entry; !c.Found() || entry.Tag != "" || entry.Digest != digestOf("linux/amd64") {
				t.Errorf("chosen %+v, want the image itself", entry)
			}
			s.requests()
			if _, err := s.choose(t, r, "1"); err != nil || len(s.requests()) > 0 {
				t.Errorf("the second run = %v, and it asked the registry", err)
			}
		})
	}
}

// An image in the cache runs without its registry, though nobody ever listed the tags.
func TestCachedImageNeedsNoList(t *testing.T) {
	s := serveTags(t, map[string]string{"1": "linux/amd64"})
	r := roadTo(t, option.Run{Variants: option.IndexVariants})
	if _, err := s.choose(t, r, "1"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	r.Option.Variants = option.AnyVariants
	if c, err := s.choose(t, r, "1"); err != nil || c.Entry.Digest != digestOf("linux/amd64") {
		t.Errorf("Choose = %v", err)
	}
}

func TestTagsOfTheSitesLabels(t *testing.T) {
	s := serveTags(t, map[string]string{"1_rack_b": "linux/amd64", "1_zen2_rack_a": "linux/amd64", "1_rack_c": "linux/amd64"})
	r := roadTo(t, option.Run{})
	r.Site = site.Site{Labels: []string{"rack_a"}, Hosts: []site.Host{{Match: []string{"b*"}, Labels: []string{"rack_b"}}}}
	r.Given.Labels = []string{"rack_a"}
	c, err := s.choose(t, r, "1")
	if err != nil {
		t.Fatal(err)
	}
	e := r.explain(c, "app:1")
	if len(e.Entries) != 2 || e.Entries[0].Tag != "1_rack_b" || e.Entries[0].Fits || e.Chosen == nil || e.Chosen.Tag != "1_zen2_rack_a" {
		t.Errorf("entries %+v, chosen %+v; want 1_rack_b refused and 1_zen2_rack_a chosen", e.Entries, e.Chosen)
	}
}

// A repository full of tags that are not what they say ends the search.
func TestSearchEnds(t *testing.T) {
	tags := map[string]string{}
	for i := range 64 + 1 {
		tags[fmt.Sprintf("1_nvidia-1-%d", i)] = "linux/arm64"
	}
	s := serveTags(t, tags)
	r := roadTo(t, option.Run{})
	r.Given.NVIDIA = &facts.NVIDIA{Driver: "550.54"}
	_, err := s.choose(t, r, "1")
	class, hints, _ := fault.Of(err, "")
	if class != fault.NoMatch || len(hints) == 0 || !strings.Contains(err.Error(), "none was what its tag says") {
		t.Errorf("Choose = %v, want an error of class nomatch with a hint", err)
	}
	manifests := 0
	for _, path := range s.requests() {
		if strings.HasPrefix(path, "manifests/1_") {
			manifests++
		}
	}
	if manifests != 64 {
		t.Errorf("%d manifests were asked for, want %d", manifests, 64)
	}
}
