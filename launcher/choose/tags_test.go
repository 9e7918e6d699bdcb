package choose

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/match"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// Tags that are variants of the reference are chosen among; the one that would be taken is read.
func TestTags(t *testing.T) {
	one := func(r *registry, config string) []byte { return []byte(r.manifest(config, oci.MediaTypeConfig)) }
	for _, tt := range []struct {
		name  string
		tags  func(r *registry)
		set   func(q *Request)
		want  string      // the tag that is taken; "" for the reference itself
		class fault.Class // of the error
		asked []string
	}{
		{name: "the nearest", want: "1_zen2", asked: []string{"1", "tags", "1_zen2"}, tags: func(r *registry) {
			r.tags["1_zen2"], r.tags["1_zen"], r.tags["1_zen4"] = one(r, amd64), one(r, amd64), one(r, amd64)
		}},
		{name: "not what its tag says", want: "1_zen", asked: []string{"1", "tags", "1_zen2", "1_zen"}, tags: func(r *registry) {
			r.tags["1_zen2"], r.tags["1_zen"] = one(r, arm64), one(r, amd64)
		}},
		{name: "an index under a tag", want: "1_zen2", tags: func(r *registry) {
			r.tags["1_zen2"], r.tags["1"] = []byte(index(r.image(amd64, of))), one(r, amd64)
		}},
		{name: "an artifact under a tag", want: "1", tags: func(r *registry) {
			r.tags["1_zen2"], r.tags["1"] = []byte(r.manifest("{}", "x/y")), one(r, amd64)
		}},
		{name: "no variant", tags: func(r *registry) { r.tags["1"], r.tags["1_debug"] = one(r, amd64), one(r, amd64) }},
		{name: "an index says it itself", asked: []string{"1"}, tags: func(r *registry) {
			r.tags["1"], r.tags["1_zen2"] = []byte(index(r.image(amd64, of), r.image(v2, of))), one(r, amd64)
		}},
		{name: "an index of one image and its attestation", want: "1_zen2", asked: []string{"1", "tags", "1_zen2"}, tags: func(r *registry) {
			r.tags["1"] = []byte(index(r.image(amd64, of), r.image(amd64, `,"platform":{"os":"unknown","architecture":"unknown"}`)))
			r.tags["1_zen2"] = one(r, amd64)
		}},
		{name: "an index of one image, without variants", asked: []string{"1", "tags"}, tags: func(r *registry) { r.tags["1"] = []byte(index(r.image(amd64, of))) }},
		{name: "by the site's pattern", want: "a-1-zen2", set: func(q *Request) { q.TagPatterns = patterns(t, "{any}-{version}-{cpu}") }, tags: func(r *registry) {
			r.tags["1"], r.tags["a-1-zen2"], r.tags["1_zen3"] = one(r, amd64), one(r, amd64), one(r, amd64)
		}},
		{name: "by the author's pattern", want: "x1.milan", tags: func(r *registry) {
			r.tags["1"] = one(r, `{"os":"linux","architecture":"amd64","config":{"Labels":{"org.supercontainers.hpc3.tags":"{bad} x{version}.{cpu}"}}}`)
			r.tags["x1.milan"], r.tags["1_zen3"] = one(r, amd64), one(r, amd64)
		}},
		{name: "by the author's pattern, in an index of one image", want: "x1.milan", tags: func(r *registry) {
			r.tags["1"] = []byte(index(r.image(`{"os":"linux","architecture":"amd64","config":{"Labels":{"org.supercontainers.hpc3.tags":"x{version}.{cpu}"}}}`, of)))
			r.tags["x1.milan"], r.tags["1_zen3"] = one(r, amd64), one(r, amd64)
		}},
		{name: "a release's name", tags: func(r *registry) { r.tags["1"], r.tags["1_milan"] = one(r, amd64), one(r, amd64) }},
		{name: "a prefix", want: "zen2-1", tags: func(r *registry) { r.tags["zen2-1"], r.tags["1"] = one(r, amd64), one(r, amd64) }},
		{name: "nothing", class: fault.Reference, tags: func(*registry) {}},
		{name: "nothing, and tags are wanted", class: fault.Reference, set: func(q *Request) { q.Variants = option.TagVariants }, tags: func(r *registry) {
			r.tags["1_debug"] = one(r, amd64)
		}},
		{name: "no tags, and tags are wanted", class: fault.Reference, set: func(q *Request) { q.Variants = option.TagVariants }, tags: func(*registry) {}},
		{name: "none fits", class: fault.NoMatch, tags: func(r *registry) { r.tags["1_zen5"] = one(r, amd64) }},
		{name: "by its digest", want: "1_zen", tags: func(r *registry) { r.tags["1_zen2"], r.tags["1_zen"] = one(r, amd64), one(r, v2) }, set: func(q *Request) {
			q.Variant = oci.DigestOf(one(newRegistry(), v2))
		}},
		{name: "by its position, and it is none", class: fault.Reference, set: func(q *Request) { q.Variant = "0" }, tags: func(r *registry) {
			r.tags["1_zen2"], r.tags["1_zen"] = []byte(r.manifest("{}", "x/y")), []byte(r.manifest("{}", "x/y"))
		}},
		{name: "no list", tags: func(r *registry) { r.tags["1"], r.listing = one(r, amd64), fetch.ErrUnreachable.New("no way") }, class: fault.Network},
		{name: "no list, and tags are wanted", tags: func(r *registry) { r.tags["1"], r.listing = one(r, amd64), fetch.ErrUnreachable.New("no way") }, set: func(q *Request) {
			q.Variants = option.TagVariants
		}, class: fault.Network},
		{name: "neither list nor image", tags: func(r *registry) { r.listing = fetch.ErrUnreachable.New("no way") }, class: fault.Reference},
		{name: "a release that is called as a variant", want: "1_v2_zen2", set: func(q *Request) { q.Reference.Tag = "1_v2" }, tags: func(r *registry) {
			r.tags["1_v2_zen2"] = one(r, amd64)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRegistry()
			tt.tags(r)
			q := request(t, "app:1")
			if tt.set != nil {
				tt.set(&q)
			}
			c, err := Image(t.Context(), q, r, r.notes())
			if class, _, _ := fault.Of(err, ""); class != tt.class || err == nil && c.Taken().Tag != tt.want {
				t.Fatalf("Image() takes %+v, %v; want tag %q, an error of class %q", c.Entry, err, tt.want, tt.class)
			}
			if tt.asked != nil && !slices.Equal(r.asked, tt.asked) {
				t.Errorf("asked %q, want %q", r.asked, tt.asked)
			}
			if r.asked = nil; err == nil {
				again, err := Image(t.Context(), q, r, r.notes())
				if err != nil || again.Entry.Digest != c.Entry.Digest || len(r.asked) > 0 {
					t.Errorf("a second time it takes %+v, %v, and asks %q", again.Entry, err, r.asked)
				}
			}
		})
	}
}

func patterns(t *testing.T, texts ...string) (all []match.TagPattern) {
	t.Helper()
	for _, text := range texts {
		p, err := match.ParseTagPattern(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

const v2 = `{"os":"linux","architecture":"amd64","variant":"v2"}`

// A list without the tag itself: the registry may have got it since.
func TestUnlistedTag(t *testing.T) {
	r := newRegistry()
	q := request(t, "app:1")
	list, err := oci.FormatTags(q.Reference.Repository, []string{"1_debug"})
	if err != nil {
		t.Fatal(err)
	}
	r.known[Name{q.Reference, true}] = list
	if _, err := Image(t.Context(), q, r, r.notes()); fault.OneLine(err.Error()) == "" || errors.Is(err, errAbsent) {
		t.Errorf("Image() = %v", err)
	}
	r.tags["1"] = []byte(r.manifest(amd64, oci.MediaTypeConfig))
	if c, err := Image(t.Context(), q, r, r.notes()); err != nil || !c.Found() || len(c.PassedBy) != 1 {
		t.Errorf("Image() = %+v, %v", c, err)
	}
}

// A cached image runs without its registry, though nobody has listed the tags.
func TestOfflineWithoutList(t *testing.T) {
	r := newRegistry()
	r.tags["1"] = []byte(r.manifest(amd64, oci.MediaTypeConfig))
	q := request(t, "app:1")
	q.Variants = option.IndexVariants
	if _, err := Image(t.Context(), q, r, r.notes()); err != nil {
		t.Fatal(err)
	}
	r.offline, q.Variants = fetch.ErrUnreachable.New("no way"), option.AnyVariants
	if c, err := Image(t.Context(), q, r, r.notes()); err != nil || !c.Found() {
		t.Errorf("Image() = %+v, %v; told %q", c, err, r.noted)
	}
}

// All images of an index, or of tags; what is none is passed over.
func TestEvery(t *testing.T) {
	take := func(t *testing.T, r *registry) (digests []string, err error) {
		t.Helper()
		err = Every(t.Context(), request(t, "app:1"), r, r.notes(), func(c Chosen) error {
			digests = append(digests, c.Entry.Digest)
			return nil
		})
		return digests, err
	}
	r := newRegistry()
	r.tags["1"] = []byte(index(r.image(amd64, of), r.image(arm64, wanting("zen5")), r.put(r.manifest("{}", "x/y"), oci.MediaTypeManifest, of)))
	if got, err := take(t, r); len(got) != 2 || err != nil {
		t.Errorf("Every() of an index takes %q, %v", got, err)
	}
	r = newRegistry()
	r.tags["1"] = []byte(index(r.image(amd64, of), r.put(index(r.image(arm64, ""), r.image(v2, "")), oci.MediaTypeIndex, of)))
	if got, err := take(t, r); len(got) != 3 || err != nil {
		t.Errorf("Every() of an index inside an index takes %q, %v", got, err)
	}
	r = newRegistry()
	r.tags["1"], r.tags["1_zen2"], r.tags["1_zen4"] = []byte(r.manifest(amd64, oci.MediaTypeConfig)), []byte(r.manifest(v2, oci.MediaTypeConfig)), []byte(r.manifest("{}", "x/y"))
	if got, err := take(t, r); len(got) != 2 || err != nil {
		t.Errorf("Every() of tags takes %q, %v", got, err)
	}
	r = newRegistry()
	r.tags["1"] = []byte(index(r.put(r.manifest("{}", "x/y"), oci.MediaTypeManifest, of)))
	if got, err := take(t, r); len(got) != 0 || err == nil || !strings.Contains(err.Error(), "artifact") {
		t.Errorf("Every() of artifacts takes %q, %v", got, err)
	}
	r = newRegistry()
	r.tags["1"] = []byte(index())
	if got, err := take(t, r); len(got) != 0 || err == nil {
		t.Errorf("Every() of nothing takes %q, %v", got, err)
	}
	if got, err := take(t, newRegistry()); len(got) != 0 || err == nil {
		t.Errorf("Every() of what is not there takes %q, %v", got, err)
	}
}

// What a job is pinned to.
func TestDigest(t *testing.T) {
	r := newRegistry()
	raw := index(r.image(amd64, of))
	r.tags["1"], r.tags["2_zen"] = []byte(raw), []byte(r.manifest(amd64, oci.MediaTypeConfig))
	nodes := func() ([]facts.Node, error) { return zen3(), nil }
	for image, want := range map[string]string{"app:1": oci.DigestOf([]byte(raw)), "app:2": ""} {
		q := request(t, image)
		q.Nodes = nil
		if got, err := Digest(t.Context(), q, r, r.notes(), nodes); got != want || err != nil {
			t.Errorf("Digest(%s) = %q, %v; want %q", image, got, err, want)
		}
	}
	none := func() ([]facts.Node, error) { return nil, errors.New("no nodes") }
	if _, err := Digest(t.Context(), request(t, "app:3"), r, r.notes(), none); err == nil || err.Error() != "no nodes" {
		t.Errorf("Digest() without nodes = %v", err)
	}
	r.offline = fetch.ErrUnreachable.New("no way")
	if _, err := Digest(t.Context(), request(t, "app:4"), r, r.notes(), nodes); err == nil {
		t.Error("Digest() needs no registry")
	}
	r.offline = ErrNotCached.New("never")
	if _, err := Digest(t.Context(), request(t, "app:5"), r, r.notes(), nodes); !errors.Is(err, ErrNotCached) {
		t.Errorf("Digest() = %v, want ErrNotCached", err)
	}
}

// An index alone is judged by its words.
func TestByIndex(t *testing.T) {
	r := newRegistry()
	x, err := oci.ParseIndex([]byte(index(r.image(amd64, of), r.image(amd64, wanting("zen2")))))
	if err != nil {
		t.Fatal(err)
	}
	if c := ByIndex(Request{Nodes: zen3()}, x); c.At != 1 || len(c.Reasons) != 2 || c.Platform() != "linux/amd64:zen2" {
		t.Errorf("ByIndex() = %+v", c)
	}
}
