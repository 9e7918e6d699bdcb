package choose

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/settings"
	"github.com/hpc3-project/hpc3/launcher/site"
)

// A registry's name is no image; "debian:12" is one.
func TestRegistryOnly(t *testing.T) {
	home := t.TempDir()
	auth := filepath.Join(home, "auth.json")
	if err := os.WriteFile(auth, []byte(`{"auths": {"https://Logged:5000/v2/": {}}, "credHelpers": {"helped": "x"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	r := settings.Settings{
		Host: settings.Host{Environ: []string{"HOME=" + home, "REGISTRY_AUTH_FILE=" + auth}},
		Site: site.Site{PlainHTTP: []string{"plain:5000"}, TokenServers: []string{"tokens:1"}, Mirrors: []site.Mirror{
			{Registry: "mirrored", Mirrors: []site.Endpoint{{Host: "mirror:80"}}},
		}},
	}
	for image, refused := range map[string][2]bool{ // by hpc3-run, by the plugin
		"registry.example.org:5000": {true, true}, "127.0.0.1:5000": {true, true}, "localhost:5000": {true, true},
		"logged:5000": {true, true}, "helped:1": {true, true}, "plain:5000": {true, true}, "tokens:1": {true, true}, "mirrored:2": {true, true}, "mirror:80": {true, true},
		"nvcr.io": {false, true}, "localhost": {false, true}, "helped": {false, true},
		"debian:12": {}, "debian": {}, "logged:5": {}, "plain:12": {}, "plain": {}, "registry:2": {}, "nvcr.io:latest": {}, "a.b:1-x": {},
		"docker://a.b:5": {}, "localhost:5000/a": {}, "a.b:5000/c:1": {}, "a.b:5000#c": {}, "oci:a.b": {}, "a.b.sif": {},
	} {
		ref, err := oci.ParseReference(image)
		if err != nil {
			t.Fatal(err)
		}
		for i, plugin := range []bool{false, true} {
			r.Host.Plugin = plugin
			if err := registryOnly(ref, r); (err != nil) != refused[i] {
				t.Errorf("registryOnly(%q), in the plugin: %v: %v", image, plugin, err)
			}
		}
	}
}
