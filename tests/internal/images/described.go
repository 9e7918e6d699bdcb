package images

import (
	"fmt"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// described is an entry of an index, and what its image says about itself.
type described struct {
	platform            v1.Platform
	annotations, labels map[string]string
	env                 []string
}

// writeDescribed writes the layout "describes": images that say in their configs what the index
// does not.
//
//	0 generic
//	1 by the index zen3, by its label zen4
//	2 x86-64-v3, by its label zen3
//	3 CUDA, of which it requires 12.4
func writeDescribed(dir string) error {
	const microarch = "org.supercontainers.hardware.cpu.target.microarch"
	amd64 := v1.Platform{OS: "linux", Architecture: "amd64"}
	level := amd64
	level.Variant = "v3"
	gpu := amd64
	gpu.Features = []string{"nv-compute-8-0"}
	var index v1.ImageIndex = empty.Index
	for i, d := range []described{
		{platform: amd64},
		{
			platform: amd64, annotations: map[string]string{microarch: "zen3"},
			labels: map[string]string{microarch: "zen4"},
		},
		{platform: level, labels: map[string]string{"org.supercontainers.hardware.cpu.optimized.version": "znver3"}},
		{platform: gpu, env: []string{"NVIDIA_REQUIRE_CUDA=cuda>=12.4 brand=tesla,driver>=470,driver<471"}},
	} {
		img, err := d.image(i)
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index,
			mutate.IndexAddendum{
				Add:        img,
				Descriptor: v1.Descriptor{Platform: &d.platform, Annotations: d.annotations},
			})
	}
	_, err := layout.Write(filepath.Join(dir, "describes"), index)
	return err
}

// image is the image of a description; the number tells it from others.
func (d described) image(number int) (v1.Image, error) {
	img, err := Small(v1.Platform{OS: "linux", Architecture: "amd64"},
		fmt.Sprintf("described %d\n", number))
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.Config.Labels = d.labels
	config.Config.Env = append(config.Config.Env, d.env...)
	return mutate.ConfigFile(img, config)
}

// pushRequiring pushes variants by tag of which the best require a driver of CUDA 13: the single
// image 3.0, and 3.0_zen3, an index of one that requires it and one that does not.
func pushRequiring(host string) error {
	newer := described{env: []string{"NVIDIA_REQUIRE_CUDA=cuda>=13.0"}}
	single, err := newer.image(10)
	if err != nil {
		return err
	}
	better, err := newer.image(11)
	if err != nil {
		return err
	}
	worse, err := described{}.image(12)
	if err != nil {
		return err
	}
	index := mutate.AppendManifests(
		empty.Index, mutate.IndexAddendum{
			Add: better,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{
				OS: "linux", Architecture: "amd64",
				Variant: "v3",
			}},
		},
		mutate.IndexAddendum{
			Add: worse,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{
				OS: "linux", Architecture: "amd64",
				Variant: "v2",
			}},
		},
	)
	for tag, what := range map[string]remote.Taggable{
		"3.0": single, "3.0_zen3": index,
		"3.0_zen4": worse,
	} {
		ref, err := name.ParseReference(host + "/good/gromacs:" + tag)
		if err != nil {
			return err
		}
		if img, is := what.(v1.Image); is {
			err = remote.Write(ref, img)
		} else {
			err = remote.WriteIndex(ref, index)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
