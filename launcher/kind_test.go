package launcher

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/settings"
	"github.com/hpc3-project/hpc3/probe/facts"
)

// layoutOf writes an OCI layout of documents, and returns how it is named. The last one is what its
// index.json holds.
func layoutOf(t *testing.T, documents ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layout")
	blobs := filepath.Join(dir, "blobs/sha256")
	if err := os.MkdirAll(blobs, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, d := range documents {
		if err := os.WriteFile(filepath.Join(blobs, strings.TrimPrefix(oci.DigestOf([]byte(d)), "sha256:")), []byte(d), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "index.json"), []byte(documents[len(documents)-1]), 0o600); err != nil {
		t.Fatal(err)
	}
	return "oci:" + dir
}

func descriptorOf(document, mediaType, more string) string {
	escaped, _ := json.Marshal(mediaType) // a string
	return fmt.Sprintf(`{"mediaType":%s,"digest":%q,"size":%d%s}`, escaped, oci.DigestOf([]byte(document)), len(document), more)
}

func manifestOf(config, configType, layerType, more string) string {
	layers := ""
	if layerType != "" {
		layers = descriptorOf("layer", layerType, "")
	}
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]%s}`, oci.MediaTypeManifest, descriptorOf(config, configType, ""), layers, more)
}

func indexOf(entries ...string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, oci.MediaTypeIndex, strings.Join(entries, ","))
}

const ofAMD64 = `,"platform":{"os":"linux","architecture":"amd64"}`

// inTemp are settings with a cache of the test's own.
func inTemp(t *testing.T) settings.Settings {
	t.Helper()
	env := []string{"HPC3_CACHEDIR=" + filepath.Join(t.TempDir(), "cache")}
	return settings.Settings{Host: settings.Host{Environ: env, Arch: "amd64"}, Option: option.Merge()}
}

// pulledBy walks the road to the SIF, on a zen3.
func pulledBy(t *testing.T, image string) (Pulled, error) {
	t.Helper()
	r := &Road{
		Settings: inTemp(t), Given: &facts.Node{OS: "linux", Arch: "amd64", CPU: facts.CPU{Target: "zen3"}},
	}
	r.Host.NoStart = true
	return r.Pull(t.Context(), image, Pulling{})
}

// What is no image is said as what it is.
func TestWhatIsNoImage(t *testing.T) {
	const image = `{"os":"linux","architecture":"amd64"}`
	for _, tt := range []struct {
		name                         string
		config, configType, artifact string
		layerType                    string
		want                         string // of the error; "" = it is an image
	}{
		{name: "an image", config: image, configType: oci.MediaTypeConfig},
		{name: "an image of Docker 1.10", config: image, configType: "application/octet-stream"},
		{name: "no platform", config: `{}`, configType: oci.MediaTypeConfig, want: "its config names neither an operating system nor an architecture"},
		{name: "no platform, with a layer", config: `{}`, configType: oci.MediaTypeDockerConfig, layerType: oci.MediaTypeLayerGzip, want: "its config names neither an operating system nor an architecture"},
		{name: "no architecture", config: `{"os":"linux"}`, configType: oci.MediaTypeConfig, want: "its config names no architecture"},
		{name: "no system", config: `{"architecture":"amd64"}`, configType: oci.MediaTypeConfig, want: "its config names no operating system"},
		{name: "an artifact", config: `{}`, configType: oci.MediaTypeEmpty, artifact: `,"artifactType":"application/vnd.example+type"`, want: "it is an artifact of type application/vnd.example+type, not a container image"},
		{name: "a chart", config: `{}`, configType: "application/vnd.cncf.helm.config.v1+json", want: "it is an artifact of type application/vnd.cncf.helm.config.v1+json"},
		{name: "JSON", config: `[1]`, configType: "application/json", want: "it is an artifact of type application/json"},
		{name: "a signature", config: `{}`, configType: oci.MediaTypeConfig, layerType: "application/vnd.dev.cosign.simplesigning.v1+json", want: "it is an artifact of type application/vnd.dev.cosign.simplesigning.v1+json"},
		{name: "a SIF", config: `{}`, configType: "application/vnd.sylabs.sif.config.v1+json", layerType: "application/vnd.sylabs.sif.layer.v1.sif", want: "it is a SIF that was pushed as an artifact"},
		{name: "a type with a control character", config: `{}`, configType: "a\x1bb", want: "it is an artifact of type a?b"},
	} {
		manifest := manifestOf(tt.config, tt.configType, tt.layerType, tt.artifact)
		for where, index := range map[string]string{
			"alone":       indexOf(descriptorOf(manifest, oci.MediaTypeManifest, "")),
			"in an index": indexOf(descriptorOf(manifest, oci.MediaTypeManifest, ofAMD64), descriptorOf(manifest, oci.MediaTypeManifest, ofAMD64)),
		} {
			t.Run(tt.name+" "+where, func(t *testing.T) {
				_, err := pulledBy(t, layoutOf(t, "layer", tt.config, manifest, index))
				if tt.want == "" {
					if err != nil {
						t.Error(err)
					}
					return
				}
				class, hints, _ := fault.Of(err, "")
				if err == nil || class != fault.Reference || len(hints) == 0 || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%v (%s, %q); want %q", err, class, hints, tt.want)
				}
			})
		}
	}
}

// An entry that turns out to be none is passed over for the next best.
func TestArtifactAmongImages(t *testing.T) {
	const image = `{"os":"linux","architecture":"amd64"}`
	good, chart := manifestOf(image, oci.MediaTypeConfig, "", ""), manifestOf("{}", "application/vnd.cncf.helm.config.v1+json", "", "")
	index := indexOf(
		descriptorOf(chart, oci.MediaTypeManifest, `,"platform":{"os":"linux","architecture":"amd64","features":["zen3"]}`),
		descriptorOf(good, oci.MediaTypeManifest, ofAMD64))
	p, err := pulledBy(t, layoutOf(t, image, "{}", good, chart, index))
	if err != nil || p.Images[0].Position != 1 {
		t.Errorf("Pull() = %+v, %v; want entry 1", p, err)
	}
}

// A blob of a layout that cannot be read is named.
func TestUnreadableBlobIsNamed(t *testing.T) {
	const image = `{"os":"linux","architecture":"amd64"}`
	good := manifestOf(image, oci.MediaTypeConfig, "", "")
	name := layoutOf(t, image, good, indexOf(descriptorOf(good, oci.MediaTypeManifest, "")))
	blob := filepath.Join(strings.TrimPrefix(name, "oci:"), "blobs/sha256", strings.TrimPrefix(oci.DigestOf([]byte(image)), "sha256:"))
	if err := os.Remove(blob); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(blob, 0o700); err != nil { // root may read whatever has a mode
		t.Fatal(err)
	}
	_, err := pulledBy(t, name)
	if class, _, _ := fault.Of(err, ""); class != fault.Registry || !strings.Contains(err.Error(), oci.DigestOf([]byte(image))) {
		t.Errorf("%v (%s); want the digest of the blob", err, class)
	}
}
