// Command mkimage makes the images of the lab. "mkimage write SPEC DIR" writes an OCI layout that is the image index which SPEC, a
// JSON file, describes; "mkimage push DIR IMAGE" sends a layout to a registry on loopback as that index; "mkimage pick DIR N OUT" writes a layout of its
// N-th image alone, counted from 0.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// spec is an index; its entries are in the order of the file.
type spec struct {
	Config  v1.Config // of every image that has none of its own
	Entries []struct {
		Platform    v1.Platform
		Config      *v1.Config
		Annotations map[string]string
		Layers      []string // tar files, compressed or not, the lowest first
	}
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mkimage:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 3 && args[0] == "write" {
		return write(args[1], args[2])
	}
	if len(args) == 3 && args[0] == "push" {
		return push(args[1], args[2])
	}
	if len(args) == 4 && args[0] == "pick" {
		return pick(args[1], args[2], args[3])
	}
	return fmt.Errorf("usage: mkimage write SPEC DIR | mkimage push DIR IMAGE | mkimage pick DIR N OUT")
}

func write(file, dir string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var s spec
	if err := json.Unmarshal(raw, &s); err != nil {
		return err
	}
	layers := map[string]v1.Layer{}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, e := range s.Entries {
		config := s.Config
		if e.Config != nil {
			config = *e.Config
		}
		img, err := image(config, e.Platform, e.Layers, layers)
		if err != nil {
			return err
		}
		platform := e.Platform
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{
			MediaType: types.OCIManifestSchema1, Platform: &platform, Annotations: e.Annotations,
		}})
	}
	_, err = layout.Write(dir, index)
	return err
}

// created is the time of every image: the same input makes the same digests.
const created = 1_700_000_000

func image(config v1.Config, p v1.Platform, files []string, known map[string]v1.Layer) (v1.Image, error) {
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, file := range files {
		layer := known[file]
		if layer == nil {
			var err error
			if layer, err = tarball.LayerFromFile(file, tarball.WithMediaType(types.OCILayer)); err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			known[file] = layer
		}
		var err error
		if img, err = mutate.Append(img, mutate.Addendum{Layer: layer, MediaType: types.OCILayer}); err != nil {
			return nil, err
		}
	}
	old, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	all := old.DeepCopy()
	all.OS, all.Architecture, all.Variant = p.OS, p.Architecture, p.Variant
	all.Created = v1.Time{Time: time.Unix(created, 0).UTC()}
	all.Config = config
	return mutate.ConfigFile(img, all)
}

func push(dir, image string) error {
	ref, err := name.ParseReference(image)
	if err != nil {
		return err
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return err
	}
	return remote.WriteIndex(ref, index, remote.WithJobs(2))
}

func pick(dir, number, out string) error {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n >= len(manifest.Manifests) {
		return fmt.Errorf("%s holds %d images, and no %q", dir, len(manifest.Manifests), number)
	}
	img, err := index.Image(manifest.Manifests[n].Digest)
	if err != nil {
		return err
	}
	_, err = layout.Write(out, mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{Add: img}))
	return err
}
