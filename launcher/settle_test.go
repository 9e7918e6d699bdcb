package launcher

import (
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/notes"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// What an image says of itself counts in an index inside the index as well, and there the next best
// is taken first.
func TestSettleInside(t *testing.T) {
	const plain, newer = `{"os":"linux","architecture":"amd64"}`, `{"os":"linux","architecture":"amd64","config":{"Env":["NVIDIA_REQUIRE_CUDA=cuda>=13.0"]}}`
	good, bad := manifestOf(plain, oci.MediaTypeConfig, "", ""), manifestOf(newer, oci.MediaTypeConfig, "", "")
	image := func(manifest string) string { return descriptorOf(manifest, oci.MediaTypeManifest, ofAMD64) }
	inside := func(index string) string { return descriptorOf(index, oci.MediaTypeIndex, ofAMD64) }
	both, onlyBad, empty := indexOf(image(bad), image(good)), indexOf(image(bad)), indexOf()
	second := indexOf(inside(both))
	third := indexOf(inside(second))
	fourth := indexOf(inside(third))
	const requires = "by its own config, requires of NVIDIA's driver, by NVIDIA_REQUIRE_CUDA: cuda>=13.0 (cuda=12.8)"
	for _, tt := range []struct {
		name     string
		index    string
		force    bool
		variant  string
		position int
		bad      bool   // the image that requires more is the one
		want     string // of the error
		class    fault.Class
	}{
		{name: "the next best", index: indexOf(image(bad), image(good)), position: 1},
		{name: "the next best inside", index: indexOf(inside(both), image(bad)), position: 0},
		{name: "the next best behind an index", index: indexOf(inside(onlyBad), image(good)), position: 1},
		{name: "the same image again", index: indexOf(image(bad), image(bad), image(good)), position: 2},
		{name: "three deep", index: indexOf(inside(second)), position: 0},
		{name: "too deep", index: indexOf(inside(fourth)), class: fault.Registry, want: "nested more than 3 deep"},
		{name: "nothing", index: indexOf(image(bad)), class: fault.NoMatch, want: "the only image, " + requires},
		{name: "nothing inside", index: indexOf(inside(onlyBad)), class: fault.NoMatch, want: "the only image is an index of which no entry fits: the only image, " + requires},
		{name: "an empty index", index: indexOf(inside(empty)), class: fault.NoMatch, want: "the index holds no image"},
		{name: "asked for", index: indexOf(image(bad), image(good)), variant: "0", class: fault.NoMatch, want: "entry 0 of "},
		{name: "asked for by its digest", index: indexOf(inside(both)), variant: oci.DigestOf([]byte(both)), position: 0},
		{name: "by force", index: indexOf(image(bad), image(good)), force: true, position: 0, bad: true},
		{name: "asked for by force", index: indexOf(image(good), image(bad)), force: true, variant: "1", position: 1, bad: true},
		{name: "asked for inside by force", index: indexOf(image(good), inside(onlyBad)), force: true, variant: "1", position: 1, bad: true},
		{name: "an empty index by force", index: indexOf(image(good), inside(empty)), force: true, variant: "1", class: fault.NoMatch, want: "entry 1 of "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			layout := layoutOf(t, plain, newer, good, bad, both, onlyBad, empty, second, third, fourth, tt.index, indexOf(descriptorOf(tt.index, oci.MediaTypeIndex, "")))
			warned := 0
			r := &Road{
				Settings: inTemp(t),
				Given:    &facts.Node{OS: "linux", Arch: "amd64", CPU: facts.CPU{Target: "zen3"}, NVIDIA: &facts.NVIDIA{Driver: "570.86.15", CUDA: "12.8"}},
				Notes:    notes.Notes{Say: func(string) { warned++ }},
			}
			r.Option.Force, r.Option.Variant = tt.force, tt.variant
			told, explainErr := r.Explain(t.Context(), layout)
			c, err := chosenBy(t, r, layout)
			if class, _, _ := fault.Of(err, ""); class != tt.class || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("Image() = %v, of class %q; want %q, of class %q", err, class, tt.want, tt.class)
			}
			if err != nil {
				if class, _, _ := fault.Of(explainErr, fault.NoMatch); class != tt.class || told.Chosen != nil {
					t.Errorf("Explain() = %+v, %v", told.Chosen, explainErr)
				}
				return
			}
			want := oci.DigestOf([]byte(good))
			if tt.bad {
				want = oci.DigestOf([]byte(bad))
			}
			if at := c.Taken().Position; at != tt.position || c.Entry.Digest != want {
				t.Errorf("entry %d, %s; want %d, %s", at, c.Entry.Digest, tt.position, want)
			}
			if explainErr != nil || told.Chosen == nil || told.Chosen.Digest != want || told.Chosen.Position != tt.position {
				t.Errorf("Explain() = %+v, %v; want entry %d, %s", told.Chosen, explainErr, tt.position, want)
			}
			if (warned > 0) != tt.bad {
				t.Errorf("%d warnings", warned)
			}
		})
	}
}

// Without a way to the image, explain goes by the index and says so.
func TestUnread(t *testing.T) {
	const config = `{"os":"linux","architecture":"amd64"}`
	manifest := manifestOf(config, oci.MediaTypeConfig, "", "")
	index := indexOf(descriptorOf(manifest, oci.MediaTypeManifest, ofAMD64))
	r := &Road{
		Settings: inTemp(t), Given: &facts.Node{OS: "linux", Arch: "amd64", CPU: facts.CPU{Target: "zen3"}},
	}
	if err := r.caches().Remember("registry.invalid/a/b:1", []byte(index), oci.MediaTypeIndex); err != nil {
		t.Fatal(err)
	}
	for _, pull := range []option.Pull{option.Never, option.Missing} {
		r.Option.Pull = pull
		told, err := r.Explain(t.Context(), "registry.invalid/a/b:1")
		if err != nil || told.Chosen == nil || told.Chosen.Unread == "" || !strings.Contains(told.Table(0), "by the index alone; what the image says of itself was not read: ") {
			t.Errorf("Explain() with --pull %s = %+v, %v", pull, told.Chosen, err)
		}
	}
}

// What a layout's index.json says of its only image is held against the node as well.
func TestOnlyImageOfALayout(t *testing.T) {
	const config = `{"os":"linux","architecture":"amd64"}`
	manifest := manifestOf(config, oci.MediaTypeConfig, "", "")
	for name, tt := range map[string]struct {
		more string
		fits bool
	}{
		"nothing":    {ofAMD64, true},
		"features":   {`,"platform":{"os":"linux","architecture":"amd64","features":["cuda-13-0"]}`, false},
		"a variant":  {`,"platform":{"os":"linux","architecture":"amd64","variant":"v4"}`, false},
		"annotation": {ofAMD64 + `,"annotations":{"org.supercontainers.hpc3.features":"cuda-13-0"}`, false},
		"a word":     {ofAMD64 + `,"annotations":{"org.supercontainers.hpc3.features":"zen2"}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := pulledBy(t, layoutOf(t, config, manifest, indexOf(descriptorOf(manifest, oci.MediaTypeManifest, tt.more))))
			if class, _, _ := fault.Of(err, ""); (err == nil) != tt.fits || err != nil && class != fault.NoMatch {
				t.Errorf("Pull() = %v", err)
			}
		})
	}
}
