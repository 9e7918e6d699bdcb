package images

import (
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// writeNewer writes an image for amd64 that is built for x86-64-v3, as AlmaLinux 10 is, and says so
// inside only.
func writeNewer(dir string) error {
	p := v1.Platform{OS: "linux", Architecture: "amd64"}
	img, err := Small(p, "newer\n")
	if err != nil {
		return err
	}
	layer, err := TarLayer(map[string]string{
		"etc/os-release": "ID=almalinux\nVERSION_ID=10.1\n",
	})
	if err == nil {
		img, err = mutate.AppendLayers(img, layer)
	}
	if err != nil {
		return err
	}
	_, err = layout.Write(dir, mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &p}}))
	return err
}
